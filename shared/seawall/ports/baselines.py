"""Keeping what baselines learnt, and what each cluster sends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

Merge = Callable[[bytes, bytes], bytes]
"""Joins two sketches; joining one twice changes nothing."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something that a cluster sends; see `seawall.detection.arrivals` for the words."""

    cluster: str
    fact: str
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Muted:
    """Alerts of one batch that were not raised: counts by (scope, analytic, reason). `batch` is the batch's id."""

    batch: str
    day: date
    counts: Mapping[tuple[str, str, str], int]


class BaselineStore(Protocol):
    """Sketches by scope and shard, counts of what was not raised, and when what arrived from which cluster."""

    def load(self, scope: str, shard: int) -> bytes | None:
        """What is known of (scope, shard)."""

    def merge(self, changes: Iterable[tuple[str, int, bytes]], merge: Merge, muted: Muted | None = None) -> None:
        """Join each (scope, shard, sketch) with what is kept and add to the counts of `muted`, in one transaction.

        A batch whose counts were added before adds none: what was learnt of it mutes others, or none, the second time.
        """

    def scopes(self) -> list[str]:
        """Every scope that was learnt from."""

    def muted(self) -> dict[tuple[str, str, str], int]:
        """Those counts, over all days."""

    def arrived(self, arrivals: Iterable[Arrival]) -> None:
        """Keep the newest time of each fact of each cluster."""

    def arrivals(self) -> list[Arrival]:
        """Every fact, by cluster and fact."""
