"""What was monitored, hour by hour."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from seawall.domain.metering import ClusterUsage, NodeHour


class MeterStore(Protocol):
    """One row per cluster, node and hour: the same hour noted again changes nothing, more vCores replace fewer."""

    def note(self, hours: Iterable[NodeHour]) -> None:
        """Keep them."""

    def usage(self, start: datetime, end: datetime, cluster: str = "") -> list[ClusterUsage]:
        """Sums over hours that begin in [start, end), most vCore-hours first."""

    def present(self, since: datetime) -> dict[str, int]:
        """vCores by cluster of the nodes that were monitored since then, each at its newest hour."""
