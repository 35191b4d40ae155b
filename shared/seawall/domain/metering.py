"""Monitored vCores, by cluster, node and hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class NodeHour:
    """A node that was monitored in the hour that begins at `hour` (UTC), with `vcores` processors online."""

    cluster: str
    node: str
    hour: datetime
    vcores: int


@dataclass(frozen=True, slots=True)
class ClusterUsage:
    """What was monitored of a cluster in a span of time. `vcore_hours` sums every node's vCores over its hours."""

    cluster: str
    vcore_hours: int
    hours: int
    """Hours in which anything was monitored."""
    nodes: int
    """Different nodes."""
    peak_vcores: int
    """Most vCores in one hour."""

    @property
    def average_vcores(self) -> float:
        """Over the hours in which anything was monitored."""
        return self.vcore_hours / self.hours if self.hours else 0.0
