"""Folds repeats of one analytic on one entity into one alert.

`fold` is a semilattice join: commutative, associative and idempotent, so the same events give the same alerts in any
order, in any batches and however often they arrive. What would grow without bound is kept as the smallest elements of
an order (evidence, entities, hashes of event ids), which keeps that property.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from seawall.domain.alerts import Alert, Entity, Evidence

SKETCH_SIZE = 256
"""Hashes kept per alert: counts are exact up to this, about 6 % off beyond."""
MAX_EVIDENCE = 20
MAX_ENTITIES = 64
MAX_REASONS = 12

_HASH_SPACE = 2**62
_EPOCH = datetime.fromtimestamp(0, UTC)


def event_hash(event_id: str) -> int:
    """Return a 62-bit hash of an event's id (JSON numbers and SQL integers hold it)."""
    return (
        int.from_bytes(hashlib.blake2b(event_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") >> 2
    )


def fold(alerts: Iterable[Alert], *, max_evidence: int = MAX_EVIDENCE) -> list[Alert]:
    """Return one alert per id, ordered by first_seen and id.

    Message, actor, source address and context are those of the earliest event. `count` is the number of different
    events: exact up to `SKETCH_SIZE`, estimated from the sketch beyond.
    """
    by_id: dict[str, list[Alert]] = {}
    for alert in alerts:
        by_id.setdefault(alert.id, []).append(alert)
    folded = [_join(group, max_evidence) for group in by_id.values()]
    return sorted(folded, key=lambda alert: (alert.first_seen, alert.id))


def _join(group: list[Alert], max_evidence: int) -> Alert:
    first = min(group, key=_order)
    if len(group) == 1 and first.members and len(first.evidence) <= max_evidence:
        # Ordered like a joined one, so that joining it with itself later changes nothing.
        return replace(
            first, entities=_ordered(first.entities), reasons=tuple(sorted(set(first.reasons))[:MAX_REASONS])
        )
    members = sorted({member for alert in group for member in _members(alert)})[:SKETCH_SIZE]
    by_place: dict[tuple[str, str, int], Evidence] = {}
    for alert in group:
        for item in alert.evidence:
            place = _place(item)
            other = by_place.get(place)
            # One call has several stages: the same one stands for it whatever came first.
            if other is None or (item is not other and _content(item) < _content(other)):
                by_place[place] = item
    evidence = sorted(by_place.items(), key=_evidence_order)
    entities: dict[Entity, None] = {}
    for alert in group:
        entities.update(dict.fromkeys(alert.entities))
    features: dict[str, str] = {}
    for alert in group:
        for name, value in alert.features.items():
            features[name] = max(features.get(name, ""), value)
    return replace(
        first,
        severity=max(alert.severity for alert in group),
        first_seen=min(alert.first_seen for alert in group),
        last_seen=max(alert.last_seen for alert in group),
        count=max(_distinct(members), *(alert.count for alert in group if len(alert.members) == 0))
        if any(not alert.members for alert in group)
        else _distinct(members),
        members=tuple(members),
        reasons=tuple(sorted({reason for alert in group for reason in alert.reasons})[:MAX_REASONS]),
        entities=_ordered(entities),
        evidence=tuple(item for _, item in evidence[:max_evidence]),
        features=dict(sorted(features.items())),
    )


def _ordered(entities: Iterable[Entity]) -> tuple[Entity, ...]:
    return tuple(sorted(set(entities), key=lambda entity: (entity.kind, entity.scope, entity.id))[:MAX_ENTITIES])


def _distinct(members: list[int]) -> int:
    if len(members) < SKETCH_SIZE:
        return len(members)
    return max(SKETCH_SIZE, round((SKETCH_SIZE - 1) * _HASH_SPACE / (members[-1] + 1)))


def _members(alert: Alert) -> tuple[int, ...]:
    return alert.members or tuple(event_hash(item.event_id) for item in alert.evidence)


def _place(item: Evidence) -> tuple[str, str, int]:
    return (item.event_id, item.file, item.index)


def _content(item: Evidence) -> tuple[str, str, str]:
    return (str(item.ts), item.summary, repr(item.raw))


def _evidence_order(entry: tuple[tuple[str, str, int], Evidence]) -> tuple[datetime, tuple[str, str, int], str]:
    place, item = entry
    return (item.ts or _EPOCH, place, item.summary)


def _order(alert: Alert) -> tuple[datetime, tuple[tuple[str, str, int], ...], str, str]:
    return (
        alert.first_seen,
        tuple(_place(item) for item in alert.evidence[:1]),
        alert.message,
        alert.actor + alert.source_ip,
    )
