"""Monitored vCores: one row per cluster, node and hour."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import insert_for
from seawall.adapters.sql.schema import UtcDateTime, metadata
from seawall.domain.metering import ClusterUsage, NodeHour

node_hour = sa.Table(
    "node_hour",
    metadata,
    sa.Column("cluster", sa.Text, primary_key=True),
    sa.Column("node", sa.Text, primary_key=True),
    sa.Column("hour", UtcDateTime, primary_key=True),
    sa.Column("vcores", sa.Integer, nullable=False),
    sa.Index("ix_node_hour_hour", "hour"),
)


class SqlMetering:
    """Fulfils `ports.metering.MeterStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)

    def note(self, hours: Iterable[NodeHour]) -> None:
        """See the port."""
        most: dict[tuple[str, str, datetime], int] = {}
        for item in hours:
            key = (item.cluster, item.node, item.hour)
            most[key] = max(most.get(key, 0), item.vcores)
        if not most:
            return
        with self._db.write() as connection:
            for (cluster, node, hour), vcores in sorted(most.items()):
                made = self._insert(node_hour).values(cluster=cluster, node=node, hour=hour, vcores=vcores)
                connection.execute(
                    made.on_conflict_do_update(
                        index_elements=["cluster", "node", "hour"],
                        set_={"vcores": made.excluded.vcores},
                        where=node_hour.c.vcores < made.excluded.vcores,
                    )
                )

    def usage(self, start: datetime, end: datetime, cluster: str = "") -> list[ClusterUsage]:
        """See the port."""
        chosen = (node_hour.c.hour >= start) & (node_hour.c.hour < end)
        if cluster:
            chosen &= node_hour.c.cluster == cluster
        by_hour = (
            sa.select(node_hour.c.cluster, node_hour.c.hour, sa.func.sum(node_hour.c.vcores).label("vcores"))
            .where(chosen)
            .group_by(node_hour.c.cluster, node_hour.c.hour)
            .subquery()
        )
        sums = sa.select(
            by_hour.c.cluster, sa.func.sum(by_hour.c.vcores), sa.func.count(), sa.func.max(by_hour.c.vcores)
        ).group_by(by_hour.c.cluster)
        nodes = (
            sa.select(node_hour.c.cluster, sa.func.count(sa.distinct(node_hour.c.node)))
            .where(chosen)
            .group_by(node_hour.c.cluster)
        )
        with self._db.read() as connection:
            counted = {name: int(count) for name, count in connection.execute(nodes)}
            found = [
                ClusterUsage(name, int(total), int(hours), counted[name], int(peak))
                for name, total, hours, peak in connection.execute(sums)
            ]
        return sorted(found, key=lambda item: (-item.vcore_hours, item.cluster))

    def present(self, since: datetime) -> dict[str, int]:
        """See the port."""
        newest = (
            sa.select(node_hour.c.cluster, node_hour.c.node, sa.func.max(node_hour.c.hour).label("hour"))
            .where(node_hour.c.hour >= since)
            .group_by(node_hour.c.cluster, node_hour.c.node)
            .subquery()
        )
        same = (
            (node_hour.c.cluster == newest.c.cluster)
            & (node_hour.c.node == newest.c.node)
            & (node_hour.c.hour == newest.c.hour)
        )
        query = (
            sa.select(node_hour.c.cluster, sa.func.sum(node_hour.c.vcores))
            .join(newest, same)
            .group_by(node_hour.c.cluster)
        )
        with self._db.read() as connection:
            return {name: int(vcores) for name, vcores in connection.execute(query)}
