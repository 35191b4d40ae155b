"""Use case: heartbeats of sensors become monitored vCores per node and hour."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from seawall.domain.metering import NodeHour
from seawall.domain.runtime_events import Heartbeat
from seawall.formats.sensor_batch import SensorBatch

MOST_VCORES = 4096
"""More than any node has: a sensor cannot make its cluster dearer than that."""
OLDEST = timedelta(days=8)
"""How long a sensor's spool can hold a heartbeat back; older and future times are taken for a wrong clock."""


def metered(batch: SensorBatch, now: datetime) -> Iterator[NodeHour]:
    """Yield the hours that the heartbeats of `batch` are about. Cluster and node are those of the sensor's certificate."""
    for event in batch.events:
        if isinstance(event, Heartbeat) and event.cpus > 0:
            at = datetime.fromtimestamp(event.ts_ns / 1e9, UTC) if 0 < event.ts_ns < 1 << 62 else now
            if not now - OLDEST <= at <= now + timedelta(hours=1):
                at = now
            hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
            yield NodeHour(batch.header.cluster, batch.header.node, hour, min(event.cpus, MOST_VCORES))
