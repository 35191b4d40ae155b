"""Use case: take what a sensor or a cluster's API server says of running containers."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from seawall.domain.errors import MalformedEvent
from seawall.domain.running import RunningChange, RunningSnapshot
from seawall.ports.running import RunningStore

AHEAD: Final = timedelta(minutes=5)
"""How far a sender's clock may be ahead: a time from the far future would outvote every later word."""
MAX_CONTAINERS: Final = 200_000


def record_snapshot(store: RunningStore, snapshot: RunningSnapshot, now: datetime) -> int:
    """Keep a snapshot; return how many containers started, ended or changed.

    Raises:
        MalformedEvent: its time lies in the future, or it is beyond every size of a cluster.
    """
    _checked(snapshot.taken_at, now, len(snapshot.containers))
    return store.apply(snapshot)


def record_changes(store: RunningStore, changes: Collection[RunningChange], now: datetime) -> int:
    """Keep single starts and ends; return how many were news.

    Raises:
        MalformedEvent: as `record_snapshot`.
    """
    if not changes:
        return 0
    _checked(max(change.container.seen_at for change in changes), now, len(changes))
    return store.change(changes)


def _checked(at: datetime, now: datetime, count: int) -> None:
    if at > now + AHEAD:
        raise MalformedEvent(f"running containers of {at.isoformat()}, which is in the future", hint="check the clock")
    if count > MAX_CONTAINERS:
        raise MalformedEvent(f"{count:,} running containers; at most {MAX_CONTAINERS:,} are taken at once")
