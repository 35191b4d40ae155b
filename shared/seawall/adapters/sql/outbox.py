"""The outbox: one row per destination and state change, claimed with a lease."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import insert_for
from seawall.adapters.sql.schema import outbox
from seawall.domain.alerts import Incident
from seawall.ports.store import OutboxEntry


class SqlOutbox:
    """Fulfils `ports.store.OutboxStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)

    def add(self, destination: str, incidents: Sequence[Incident], now: datetime) -> int:
        """See the port."""
        added = 0
        with self._db.write() as connection:
            for item in incidents:
                row = {
                    "destination": destination,
                    "incident_id": item.id,
                    "seq": item.seq,
                    "created_at": now,
                    "due_at": now,
                }
                row |= {"state": "pending", "attempts": 0, "reason": ""}
                statement = self._insert(outbox).values(row).on_conflict_do_nothing().returning(outbox.c.seq)
                added += connection.execute(statement).first() is not None
        return added

    def claim(self, destination: str, now: datetime, *, limit: int = 100, lease_s: float = 60) -> list[OutboxEntry]:
        """See the port."""
        due = sa.select(outbox).where(
            outbox.c.destination == destination, outbox.c.state == "pending", outbox.c.due_at <= now
        )
        due = due.order_by(outbox.c.created_at, outbox.c.incident_id, outbox.c.seq).limit(limit)
        if not self._db.is_sqlite:
            due = due.with_for_update(skip_locked=True)
        with self._db.write() as connection:
            rows = connection.execute(due).all()
            for row in rows:
                lease = {"due_at": now + timedelta(seconds=lease_s), "attempts": row.attempts + 1}
                connection.execute(outbox.update().where(_is(row.destination, row.incident_id, row.seq)).values(lease))
        return [
            OutboxEntry(row.destination, row.incident_id, row.seq, row.attempts + 1, row.created_at) for row in rows
        ]

    def done(self, entries: Sequence[OutboxEntry]) -> None:
        """See the port."""
        with self._db.write() as connection:
            for entry in entries:
                self._set(connection, entry, state="done", reason="")

    def retry(self, entry: OutboxEntry, at: datetime, reason: str) -> None:
        """See the port."""
        with self._db.write() as connection:
            self._set(connection, entry, due_at=at, reason=reason[:1000])

    def poison(self, entry: OutboxEntry, reason: str) -> None:
        """See the port."""
        with self._db.write() as connection:
            self._set(connection, entry, state="poison", reason=reason[:1000])

    def pending(self) -> dict[str, int]:
        """See the port."""
        query = (
            sa.select(outbox.c.destination, sa.func.count())
            .where(outbox.c.state == "pending")
            .group_by(outbox.c.destination)
        )
        with self._db.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def _set(self, connection: sa.Connection, entry: OutboxEntry, **values: object) -> None:
        connection.execute(outbox.update().where(_is(entry.destination, entry.incident_id, entry.seq)).values(**values))


def _is(destination: str, incident_id: str, seq: int) -> sa.ColumnElement[bool]:
    return sa.and_(outbox.c.destination == destination, outbox.c.incident_id == incident_id, outbox.c.seq == seq)
