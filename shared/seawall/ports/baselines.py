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


class BaselineStore(Protocol):
    """Sketches by scope and shard, counts of what was not raised, and when what arrived from which cluster."""

    def load(self, scope: str, shard: int) -> bytes | None:
        """What is known of (scope, shard)."""

    def merge(self, changes: Iterable[tuple[str, int, bytes]], merge: Merge) -> None:
        """Join each (scope, shard, sketch) with what is kept, in one transaction."""

    def scopes(self) -> list[str]:
        """Every scope that was learnt from."""

    def count_muted(self, muted: Mapping[tuple[str, str, str], int], day: date) -> None:
        """Add to the counts of alerts that were not raised, by (scope, analytic, reason). A batch that is handled twice
        counts twice."""

    def muted(self) -> dict[tuple[str, str, str], int]:
        """Those counts, over all days."""

    def arrived(self, arrivals: Iterable[Arrival]) -> None:
        """Keep the newest time of each fact of each cluster."""

    def arrivals(self) -> list[Arrival]:
        """Every fact, by cluster and fact."""
