"""New or changed alerts go in, the incidents that change because of them come out."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from seawall.detection.declaration import Detection
from seawall.domain.alerts import Alert, Entity, Incident
from seawall.incidents.correlate import correlate, with_state
from seawall.incidents.joining import Joining, Role, links_of, owner_of, window_number
from seawall.ports.correlation import CorrelationStore

MAX_PER_ENTITY = 5_000
"""An address, domain or object with more alerts than this in its neighbourhood counts as shared."""
MAX_ALERTS = 50_000
"""Alerts that one call looks at; beyond it the farthest are left for their own calls."""

log = logging.getLogger(__name__)


def correlate_alerts(
    changed: Sequence[Alert],
    store: CorrelationStore,
    analytics: Mapping[str, Detection],
    joining: Joining | None = None,
) -> list[Incident]:
    """Return the incidents that changed, as stored, with their new `seq`.

    Loads what can hang together with `changed` (already stored) from the store, entity by entity, computes the
    incidents of it and keeps them. Idempotent: the same alerts again change nothing.
    """
    rules = joining or Joining()
    alerts, shared = _neighbourhood(changed, store, rules)
    if not alerts:
        return []
    incidents = correlate(alerts.values(), store.holding(alerts), analytics=analytics, joining=rules, shared=shared)
    return store.save(incidents, with_state)


def _neighbourhood(
    changed: Sequence[Alert], store: CorrelationStore, joining: Joining
) -> tuple[dict[str, Alert], set[tuple[Entity, int]]]:
    known = {alert.id: alert for alert in changed}
    new = set(known)
    shared: set[tuple[Entity, int]] = set()
    covered: dict[tuple[Entity, Role], list[tuple[datetime, datetime]]] = defaultdict(list)
    frontier = list(known.values())
    while frontier:
        reach: dict[Entity, tuple[datetime, datetime, Role]] = {}
        for alert in frontier:
            for entity, role in links_of(alert):
                start, end = _reach(alert, joining)
                held = reach.get(entity)
                reach[entity] = (
                    (min(start, held[0]), max(end, held[1]), min(role, held[2])) if held else (start, end, role)
                )
        found: dict[str, Alert] = {}
        for entity, (start, end, role) in reach.items():
            if any(since <= start and end <= until for since, until in covered[entity, role]):
                continue
            covered[entity, role].append((start, end))
            near = store.touching(entity, start, end, MAX_PER_ENTITY if role is Role.RARE else MAX_ALERTS)
            if role is Role.RARE:
                busy = _busy(entity, near, new, joining, full=len(near) >= MAX_PER_ENTITY)
                shared |= busy
                near = [item for item in near if (entity, window_number(item.first_seen, joining)) not in busy]
            elif role is Role.FOLLOWS:
                near = [item for item in near if (entity, Role.OPENS) in links_of(item)]
            found.update((item.id, item) for item in near if item.id not in known)
        if len(known) + len(found) > MAX_ALERTS:
            log.warning("correlation looks at a part only", extra={"alerts": len(known) + len(found)})
            break
        known.update(found)
        frontier = list(found.values())
    return known, shared


def _busy(
    entity: Entity, near: Sequence[Alert], new: set[str], joining: Joining, *, full: bool
) -> set[tuple[Entity, int]]:
    """The windows in which the entity was shared by too many before the new alerts came: nothing hangs on it there.

    Where only the new alerts make it so, its alerts are looked at once more, as they have to let go of each other.
    """
    owners: dict[int, set[Entity]] = defaultdict(set)
    windows: set[int] = set()
    for alert in near:
        number = window_number(alert.first_seen, joining)
        windows.add(number)
        if alert.id not in new:
            owners[number].add(owner_of(alert))
    return {(entity, number) for number in windows if full or len(owners[number]) > joining.shared_after}


def _reach(alert: Alert, joining: Joining) -> tuple[datetime, datetime]:
    """The time in which another alert can join this one, rounded out to whole windows so that owners can be counted."""
    size = joining.window.total_seconds()
    start = window_number(alert.first_seen - joining.window, joining) * size
    end = (window_number(alert.last_seen + joining.window, joining) + 1) * size
    return datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
