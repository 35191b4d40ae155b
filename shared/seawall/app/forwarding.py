"""From spoke to hub: documents of one Seawall's outbox become entries of another's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from seawall.domain.errors import MalformedEvent
from seawall.domain.publishing import Kind
from seawall.ports.outbox import Outbox, OutboxEntry
from seawall.ports.publisher import BatchPublisher

TYPE = "io.seawall.document.published"


def forwarded_event(entry: OutboxEntry, source: str) -> dict[str, Any]:
    """Return the CloudEvent (JSON form) of one entry; `source` names the spoke."""
    return {
        "specversion": "1.0",
        "id": f"{entry.kind}/{entry.subject}/{entry.seq}",
        "source": f"seawall://{source}",
        "type": TYPE,
        "subject": entry.subject,
        "time": entry.created_at.isoformat(),
        "datacontenttype": "application/json",
        "data": {"kind": str(entry.kind), "subject": entry.subject, "seq": entry.seq, "body": dict(entry.body)},
    }


def take_forwarded(
    outbox: Outbox, destinations: Iterable[BatchPublisher], event: Mapping[str, Any], now: datetime
) -> int:
    """Add what a spoke forwarded to this outbox; return how many entries were new. The same event twice adds nothing.

    Raises:
        MalformedEvent: not a forwarded document.
    """
    data = event.get("data")
    if event.get("type") != TYPE or not isinstance(data, dict):
        raise MalformedEvent(f"not a {TYPE} event", where="/type")
    try:
        kind, subject, seq, body = Kind(data["kind"]), data["subject"], data["seq"], data["body"]
    except (KeyError, ValueError) as error:
        raise MalformedEvent(f"not a forwarded document: {error}", where="/data") from error
    if not isinstance(subject, str) or not subject or type(seq) is not int or not isinstance(body, dict):
        raise MalformedEvent("subject, seq and body are a text, a number and an object", where="/data")
    return outbox.add(
        OutboxEntry(to.id, kind, subject, seq, body, now) for to in destinations if kind in to.kinds and to.id != "hub"
    )
