"""Sketches of the baselines as bytes, one row per scope and shard."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import insert_for
from seawall.adapters.sql.schema import UtcDateTime, metadata
from seawall.ports.baselines import Arrival, Merge, Muted

REMEMBERED = timedelta(days=7)
"""How long it is known that a batch was counted: longer than any queue keeps it."""

baseline = sa.Table(
    "baseline",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("shard", sa.Integer, primary_key=True),
    sa.Column("sketch", sa.LargeBinary, nullable=False),
)
baseline_muted = sa.Table(
    "baseline_muted",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("analytic", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("alerts", sa.BigInteger, nullable=False),
)
baseline_batch = sa.Table(
    "baseline_batch",
    metadata,
    sa.Column("batch", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, nullable=False, index=True),
)
arrival = sa.Table(
    "arrival",
    metadata,
    sa.Column("cluster", sa.Text, primary_key=True),
    sa.Column("fact", sa.Text, primary_key=True),
    sa.Column("last_seen", UtcDateTime, nullable=False),
)


class SqlBaselines:
    """Fulfils `ports.baselines.BaselineStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)

    def load(self, scope: str, shard: int) -> bytes | None:
        """See the port."""
        query = sa.select(baseline.c.sketch).where(baseline.c.scope == _text(scope), baseline.c.shard == shard)
        with self._db.read() as connection:
            found = connection.scalar(query)
        return None if found is None else bytes(found)

    def merge(self, changes: Iterable[tuple[str, int, bytes]], merge: Merge, muted: Muted | None = None) -> None:
        """See the port. Rows are locked in one order, so that workers wait for each other and never in a circle."""
        ordered = sorted((_text(scope), shard, sketch) for scope, shard, sketch in changes)
        if not ordered and not (muted and muted.counts):
            return
        with self._db.write() as connection:
            for scope, shard, sketch in ordered:
                row = {"scope": scope, "shard": shard, "sketch": sketch}
                made = connection.execute(self._insert(baseline).values(row).on_conflict_do_nothing())
                if made.rowcount:
                    continue
                here = (baseline.c.scope == scope) & (baseline.c.shard == shard)
                held = bytes(connection.scalars(sa.select(baseline.c.sketch).where(here).with_for_update()).one())
                joined = merge(held, sketch)
                if joined != held:
                    connection.execute(baseline.update().where(here).values(sketch=joined))
            if muted and muted.counts:
                self._count(connection, muted)

    def _count(self, connection: sa.Connection, muted: Muted) -> None:
        seen = self._insert(baseline_batch).values(batch=muted.batch, day=muted.day).on_conflict_do_nothing()
        if not connection.execute(seen).rowcount:
            return
        connection.execute(baseline_batch.delete().where(baseline_batch.c.day < muted.day - REMEMBERED))
        for (scope, analytic, reason), alerts in sorted(muted.counts.items()):
            row = {"scope": _text(scope), "analytic": analytic, "reason": reason, "day": muted.day, "alerts": alerts}
            connection.execute(
                self._insert(baseline_muted)
                .values(row)
                .on_conflict_do_update(
                    index_elements=["scope", "analytic", "reason", "day"],
                    set_={"alerts": baseline_muted.c.alerts + alerts},
                )
            )

    def scopes(self) -> list[str]:
        """See the port."""
        with self._db.read() as connection:
            return list(connection.scalars(sa.select(baseline.c.scope).distinct().order_by(baseline.c.scope)))

    def muted(self) -> dict[tuple[str, str, str], int]:
        """See the port."""
        table = baseline_muted.c
        query = sa.select(table.scope, table.analytic, table.reason, sa.func.sum(table.alerts)).group_by(
            table.scope, table.analytic, table.reason
        )
        with self._db.read() as connection:
            return {
                (scope, analytic, reason): int(alerts) for scope, analytic, reason, alerts in connection.execute(query)
            }

    def arrived(self, arrivals: Iterable[Arrival]) -> None:
        """See the port."""
        rows = sorted(arrivals, key=lambda item: (item.cluster, item.fact))
        if not rows:
            return
        with self._db.write() as connection:
            for item in rows:
                made = self._insert(arrival).values(
                    cluster=_text(item.cluster), fact=item.fact, last_seen=item.last_seen
                )
                connection.execute(
                    made.on_conflict_do_update(
                        index_elements=["cluster", "fact"],
                        set_={"last_seen": made.excluded.last_seen},
                        where=arrival.c.last_seen < made.excluded.last_seen,
                    )
                )

    def arrivals(self) -> list[Arrival]:
        """See the port."""
        query = sa.select(arrival).order_by(arrival.c.cluster, arrival.c.fact)
        with self._db.read() as connection:
            return [Arrival(**row._mapping) for row in connection.execute(query)]


def _text(value: str) -> str:
    """PostgreSQL takes no NUL in texts, and no half of a surrogate pair."""
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
