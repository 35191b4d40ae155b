"""Use case: per cluster, what stopped arriving and which analytics are blind, and why."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from seawall.detection.arrivals import lacking
from seawall.detection.declaration import Detection
from seawall.ports.baselines import Arrival

SILENT_AFTER = timedelta(minutes=60)


def coverage(
    arrivals: Iterable[Arrival], rules: Iterable[Detection], now: datetime, silent_after: timedelta = SILENT_AFTER
) -> list[dict[str, Any]]:
    """Return one entry per cluster: last event, whether it stopped sending, facts, and blind analytics with what lacks."""
    clusters: dict[str, dict[str, datetime]] = {}
    for item in arrivals:
        clusters.setdefault(item.cluster, {})[item.fact] = item.last_seen
    chosen = [rule for rule in rules if rule.enabled]
    return [
        {
            "cluster": cluster,
            "last_event": max(facts.values()).isoformat(),
            "silent": now - max(facts.values()) > silent_after,
            "arrives": sorted(facts),
            "blind": {rule.id: list(missing) for rule in chosen if (missing := lacking(rule, facts))},
        }
        for cluster, facts in sorted(clusters.items())
    ]
