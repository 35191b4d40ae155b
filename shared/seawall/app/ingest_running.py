"""Running containers out of a sensor's batch: snapshots of the node, starts, ends, packages in use."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from seawall.app.record_running import record_changes, record_snapshot
from seawall.domain.running import RunningChange, RunningContainer, RunningSnapshot, RunningSource
from seawall.domain.runtime_events import (
    ContainerContext,
    ContainerStart,
    ContainerStop,
    ImageInUse,
    NodeInventory,
    RuntimeEvent,
)
from seawall.ports.running import RunningStore


def keep_running(store: RunningStore, events: Iterable[RuntimeEvent], now: datetime) -> int:
    """Take what `events` say of running containers; return how much was news. Repeats and any order are fine.

    A node whose clock is ahead speaks of `now`: its batch holds alerts too and must not be refused over that.
    """
    changes: list[RunningChange] = []
    news = 0
    for event in events:
        if isinstance(event, NodeInventory):
            snapshot = RunningSnapshot(
                source=RunningSource.SENSOR,
                cluster=event.cluster,
                node=event.node,
                taken_at=min(event.ts, now),
                containers=tuple(_running(event, each.container, each.packages, now) for each in event.containers),
            )
            news += record_snapshot(store, snapshot, now)
        elif isinstance(event, ContainerStart | ContainerStop | ImageInUse) and event.container is not None:
            packages = event.packages if isinstance(event, ImageInUse) else ()
            changes.append(
                RunningChange(
                    source=RunningSource.SENSOR,
                    container=_running(event, event.container, packages, now),
                    running=not isinstance(event, ContainerStop),
                )
            )
    return news + record_changes(store, changes, now)


def _running(
    event: RuntimeEvent, container: ContainerContext, packages: tuple[str, ...], now: datetime
) -> RunningContainer:
    return RunningContainer(
        cluster=event.cluster,
        container_id=container.id,
        seen_at=min(event.ts, now),
        node=event.node,
        namespace=container.namespace,
        pod=container.pod,
        owner=container.owner or (f"Pod/{container.pod}" if container.pod else ""),
        container=container.name,
        image=container.image,
        digest=container.image_digest,
        started_at=datetime.fromtimestamp(container.started_ns / 1e9, UTC) if container.started_ns else None,
        in_use=packages,
    )
