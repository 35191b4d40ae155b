"""What each cluster sends, in few words, and which analytics are blind because of what it does not send.

Facts: `any`, `reads` (get, list, watch), `reads of secrets`, `exec`, `request bodies`, `source addresses`, and for the
resources whose bodies analytics read `writes of RESOURCE` and `bodies of RESOURCE`: a policy may log the bodies of some.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from seawall.detection.declaration import Detection
from seawall.domain.audit_events import AuditEvent

READS = frozenset({"get", "list", "watch"})
WRITES = frozenset({"create", "update", "patch"})
WITH_BODIES = frozenset(
    {
        "pods", "deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs", "roles", "clusterroles",
        "rolebindings", "clusterrolebindings", "configmaps", "secrets", "services", "ingresses", "serviceaccounts",
        "namespaces", "mutatingwebhookconfigurations", "validatingwebhookconfigurations", "networkpolicies",
        "certificatesigningrequests",
    }
)  # fmt: skip
"""Resources that are told apart by whether their writes come with bodies; facts are stored, so they are few."""


def facts_of(events: Iterable[Any]) -> dict[tuple[str, str], datetime]:
    """Return the newest time of each (cluster, fact) among the audit events."""
    newest: dict[tuple[Any, ...], str] = {}
    for event in events:
        if type(event) is not AuditEvent:
            continue
        ref = event.object_ref
        key = (
            event.cluster, event.verb in READS, ref and ref.resource, ref and ref.subresource,
            bool(event.request_raw or event.response_raw), bool(event.source_ips),
            event.verb in WRITES and event.code < 400,
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


def _facts(
    read: bool, resource: str | None, subresource: str | None, body: bool, address: bool, written: bool
) -> Iterator[str]:
    yield "any"
    if written and resource in WITH_BODIES and not subresource:
        yield f"writes of {resource}"
        if body:
            yield f"bodies of {resource}"
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
    missing: list[str] = []
    if "request" in words and "bodies" in words:
        facts = frozenset(facts)
        asked = WITH_BODIES.intersection(rule.resources)
        bare = sorted(name for name in asked if f"writes of {name}" in facts and f"bodies of {name}" not in facts)
        if bare and not any(f"bodies of {name}" in facts for name in asked):
            missing = [f"bodies of {name}" for name in bare]
        elif not bare:
            needed.add("request bodies")
    if (rule.verbs and READS.issuperset(rule.verbs) and "pods/exec" not in rule.resources) or "reads of" in words:
        needed.add("reads")
    if rule.origins or "source address" in words:
        needed.add("source addresses")
    return (*sorted(needed.difference(facts)), *missing)
