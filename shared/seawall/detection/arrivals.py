"""What each cluster sends, in few words, and which analytics are blind because of what it does not send.

Facts: `any`, `reads` (get, list, watch), `reads of secrets`, `exec`, `request bodies`, `source addresses`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from seawall.detection.declaration import Detection
from seawall.domain.audit_events import AuditEvent

READS = frozenset({"get", "list", "watch"})


def facts_of(events: Iterable[Any]) -> dict[tuple[str, str], datetime]:
    """Return the newest time of each (cluster, fact) among the audit events."""
    newest: dict[tuple[Any, ...], str] = {}
    for event in events:
        if type(event) is not AuditEvent:
            continue
        ref = event.object_ref
        key = (
            event.cluster, event.verb in READS, ref and ref.resource, ref and ref.subresource,
            bool(event.request_raw), bool(event.source_ips),
        )  # fmt: skip
        stamp = event.received or event.timestamp or event.stage_time or ""
        if stamp > newest.get(key, ""):
            newest[key] = stamp
    found: dict[tuple[str, str], datetime] = {}
    for (cluster, *shape), stamp in newest.items():
        time = AuditEvent(received=stamp).time
        if time is None:
            continue
        for fact in _facts(*shape):
            found[cluster, fact] = max(time, found.get((cluster, fact), time))
    return found


def _facts(read: bool, resource: str | None, subresource: str | None, body: bool, address: bool) -> Iterator[str]:
    yield "any"
    if read and subresource not in ("exec", "attach"):
        yield "reads"
        if resource == "secrets":
            yield "reads of secrets"
    if subresource in ("exec", "attach"):
        yield "exec"
    if body:
        yield "request bodies"
    if address:
        yield "source addresses"


def lacking(rule: Detection, facts: Iterable[str]) -> tuple[str, ...]:
    """Return which facts an analytic over audit events needs and the cluster never sent. Calls of exec and reads of
    secrets are not asked for: that there were none is no sign that they would not arrive."""
    if rule.on is not AuditEvent:
        return ()
    words = " ".join(rule.needs)
    needed = {"any"}
    if "request" in words and "bodies" in words:
        needed.add("request bodies")
    if (rule.verbs and READS.issuperset(rule.verbs) and "pods/exec" not in rule.resources) or "reads of" in words:
        needed.add("reads")
    if rule.origins or "source address" in words:
        needed.add("source addresses")
    return tuple(sorted(needed.difference(facts)))
