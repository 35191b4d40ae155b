"""Use case: read every configured cluster, account and registry; keep what there is, judge it, record what runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from seawall.app.judge_posture import PosturePolicy, judge
from seawall.app.publishing import asset_entries
from seawall.app.record_assets import record_assets
from seawall.domain.errors import SeawallError
from seawall.ports.inventory_source import Collected, InventorySource
from seawall.ports.publisher import BatchPublisher
from seawall.ports.store import Store

log = logging.getLogger(__name__)

KEPT: Final = timedelta(days=30)
"""How long the past of assets is kept."""
UNCONFIRMED: Final = timedelta(days=2)
"""Containers that nobody confirmed for so long do not run."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What became of one scope. `error` = nothing of it could be read; notes say what could not be in part."""

    scope: str
    objects: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    results: int = 0
    results_changed: int = 0
    partial: int = 0
    notes: tuple[str, ...] = ()
    error: str = ""


def discover(
    sources: Iterable[InventorySource],
    store: Store,
    *,
    publishers: Callable[[], Sequence[BatchPublisher]],
    policy: PosturePolicy,
    now: Callable[[], datetime],
) -> list[Discovery]:
    """Read each source, and the clusters that accounts lead to. One that fails does not hold up the others."""
    found: list[Discovery] = []
    waiting = list(sources)
    known: set[str] = set()
    while waiting:
        source = waiting.pop(0)
        if source.scope in known:
            continue
        known.add(source.scope)
        try:
            collected = source.collect()
        except SeawallError as error:
            log.warning("a source cannot be read", extra={"scope": source.scope, "error": str(error)})
            found.append(Discovery(source.scope, error=str(error)))
            continue
        waiting += collected.clusters
        found.append(take(collected, store, publishers=publishers, policy=policy, now=now()))
    store.assets.prune(now() - KEPT)
    store.running.forget(now() - UNCONFIRMED)
    return found


def take(
    collected: Collected,
    store: Store,
    *,
    publishers: Callable[[], Sequence[BatchPublisher]],
    policy: PosturePolicy,
    now: datetime,
) -> Discovery:
    """Keep and judge what was collected of one scope."""
    applied, assets = record_assets(
        store, collected.scope, collected.objects, collected.complete, collected.taken_at, now
    )
    if assets:
        store.outbox.add(asset_entries(publishers(), assets, now))
    judged = judge(
        store,
        publishers,
        policy,
        scope=collected.scope,
        objects=collected.objects,
        notes=collected.notes,
        unread=collected.unread,
        now=now,
    )
    return Discovery(
        collected.scope,
        len(collected.objects),
        len(applied.added),
        len(applied.changed),
        len(applied.removed),
        judged.results,
        judged.changed,
        len(judged.report.partial),
        tuple(f"{note.where}: {note.reason}" for note in collected.notes),
    )
