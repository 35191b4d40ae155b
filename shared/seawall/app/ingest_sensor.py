"""Takes a sensor's batch: verifies, detects what the node did not, records what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from seawall.domain.alerts import Alert
from seawall.domain.errors import Unavailable
from seawall.domain.runtime_events import NO_PROCESS, Heartbeat, Loss, RuntimeEvent
from seawall.formats.sensor_batch import Header, Rejected, SensorBatch, SensorTrust, decode_batch
from seawall.ports.sensors import SensorStatus, SensorStore, StreamState

MAX_HOLES = 256
"""Ranges of missing batches that are remembered per stream; older ones are given up as lost for good."""
_RACES = 5

Detect = Callable[[Sequence[RuntimeEvent], Header], Sequence[Alert]]
"""Runs the analytics on events in order. `header.analytics` says what ran on the node already."""
Keep = Callable[[SensorBatch, Sequence[Alert]], None]
"""Stores alerts (and whatever else of the batch is wanted). Called again for a batch after a crash: must be idempotent."""


@dataclass(frozen=True, slots=True)
class SensorIngest:
    """What one batch gave. A duplicate gave nothing new."""

    header: Header
    duplicate: bool
    events: int = 0
    alerts: tuple[Alert, ...] = ()
    losses: tuple[Loss, ...] = ()
    """Losses that the sensor reported, and one of stage `gap` when batches before this one are missing."""
    rejected: tuple[Rejected, ...] = ()


def ingest_sensor(
    body: bytes,
    *,
    trust: SensorTrust,
    store: SensorStore,
    detect: Detect,
    keep: Keep,
    now: datetime,
) -> SensorIngest:
    """Take one batch. The same batch again changes nothing; batches may arrive in any order.

    Alerts of the node and of `detect` go to `keep` before the batch counts as taken, so a crash in between repeats the
    work and never loses it.

    Raises:
        TooLarge, MalformedEvent, Unauthenticated: see `decode_batch`.
        Unavailable: the store, or too many writers for one stream at once; deliver again.
    """
    batch = decode_batch(body, trust)
    header = batch.header
    state = store.stream(header.sensor, header.stream) or StreamState(header.sensor, header.stream)
    if arrived(state, header.batch):
        return SensorIngest(header, duplicate=True)
    alerts = (*batch.alerts, *detect(batch.events, header))
    keep(batch, alerts)
    for _ in range(_RACES):
        advanced = advance(state, header.batch)
        if store.commit(advanced, _status(batch, advanced, now)):
            break
        state = store.stream(header.sensor, header.stream) or StreamState(header.sensor, header.stream)
        if arrived(state, header.batch):
            return SensorIngest(header, duplicate=True)
    else:
        raise Unavailable(f"too many writers for the stream of {header.sensor}", retry_after_s=1)
    losses = [event for event in batch.events if isinstance(event, Loss)]
    if header.batch > state.highest + 1:
        losses.append(_gap(header, header.batch - state.highest - 1))
    return SensorIngest(
        header,
        duplicate=False,
        events=len(batch.events),
        alerts=tuple(alerts),
        losses=tuple(losses),
        rejected=batch.rejected,
    )


def arrived(state: StreamState, batch: int) -> bool:
    """Whether `batch` was taken before. Batches that were given up count as taken: nobody waits for them."""
    return batch <= state.highest and not any(first <= batch <= last for first, last in state.missing)


def advance(state: StreamState, batch: int) -> StreamState:
    """Return the state after `batch` arrived, with the next version."""
    if batch > state.highest:
        missing = state.missing
        if batch > state.highest + 1:
            missing = (*missing, (state.highest + 1, batch - 1))
        highest = batch
    else:
        missing = tuple(part for hole in state.missing for part in _without(hole, batch))
        highest = state.highest
    dropped = missing[: max(0, len(missing) - MAX_HOLES)]
    return replace(
        state,
        highest=highest,
        missing=missing[len(dropped) :],
        abandoned=state.abandoned + sum(last - first + 1 for first, last in dropped),
        version=state.version + 1,
    )


def missing_batches(state: StreamState) -> int:
    """How many batches of the stream never came."""
    return state.abandoned + sum(last - first + 1 for first, last in state.missing)


def _without(hole: tuple[int, int], batch: int) -> list[tuple[int, int]]:
    first, last = hole
    if not first <= batch <= last:
        return [hole]
    return [part for part in ((first, batch - 1), (batch + 1, last)) if part[0] <= part[1]]


def _gap(header: Header, batches: int) -> Loss:
    # How many events the missing batches hold is not known before they arrive, so batches are what is counted.
    return Loss(
        ts_ns=header.created_ns,
        process=NO_PROCESS,
        node=header.node,
        cluster=header.cluster,
        boot=header.boot,
        lost=batches,
        event_class="batch",
        stage="gap",
    )


def _status(batch: SensorBatch, state: StreamState, now: datetime) -> SensorStatus:
    header = batch.header
    beats = [event for event in batch.events if isinstance(event, Heartbeat)]
    details: dict[str, Any] = {}
    if beats:
        details = msgspec.to_builtins(beats[-1])
        for name in ("event", "process", "node", "cluster", "boot"):
            details.pop(name, None)
    return SensorStatus(
        sensor=header.sensor,
        cluster=header.cluster,
        node=header.node,
        last_seen=now,
        boot=header.boot,
        stream=header.stream,
        state=beats[-1].state if beats else "",
        lost=header.lost,
        missing_batches=missing_batches(state),
        rejected=len(batch.rejected),
        details=details,
    )
