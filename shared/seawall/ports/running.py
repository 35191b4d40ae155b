"""Containers that run now: kept from snapshots and changes, asked by image, by cluster, or all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from seawall.domain.running import RunningChange, RunningContainer, RunningSnapshot, RunningSource


@dataclass(frozen=True, slots=True)
class RunningScope:
    """Who reported what last: an empty `node` is the whole cluster."""

    source: RunningSource
    cluster: str
    node: str
    taken_at: datetime


class RunningStore(Protocol):
    """Every write is idempotent, and the same writes in any order end in the same answers: the newest word counts.

    Answers hold each container once, as all sources together know it (`domain.running.merged`), ordered by cluster,
    namespace, pod and container.
    """

    def apply(self, snapshot: RunningSnapshot) -> int:
        """Take a snapshot; return how many rows started, ended or changed. An older one than the stored changes nothing."""

    def change(self, changes: Collection[RunningChange]) -> int:
        """Take single starts and ends; return how many were news."""

    def of_digests(self, digests: Collection[str], *, limit: int = 10_000) -> list[RunningContainer]:
        """Containers that run one of these images."""

    def in_cluster(self, cluster: str, *, namespace: str = "", limit: int = 10_000) -> list[RunningContainer]:
        """Containers of one cluster, of one namespace where it is named."""

    def all(self, *, limit: int = 10_000) -> list[RunningContainer]:
        """Containers of every cluster."""

    def digests(self) -> dict[str, int]:
        """How many containers run each image that is known by digest."""

    def scopes(self) -> list[RunningScope]:
        """Who reports, and when last."""

    def forget(self, before: datetime) -> int:
        """Drop what nobody confirmed since `before` (a node or cluster that is gone); return how many containers."""
