"""The outbox: one row per destination and change, written by conditional insert; one sender per destination by lease."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import insert_for, to_document
from seawall.adapters.sql.schema import outbox, outbox_lease
from seawall.domain.publishing import Kind
from seawall.ports.outbox import OutboxEntry

_FORGET = 5_000
"""Rows that one transaction deletes: others wait meanwhile."""
_URGENT = (Kind.INCIDENT, Kind.ALERT)


class SqlOutbox:
    """Fulfils `ports.outbox.Outbox`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)
        self._thread = threading.local()

    @property
    def _holder(self) -> str:
        """Who holds a lease: one thread of one process, since rounds of one server's timer overlap."""
        if not hasattr(self._thread, "holder"):
            self._thread.holder = uuid.uuid4().hex
        return str(self._thread.holder)

    def add(self, entries: Iterable[OutboxEntry]) -> int:
        """See the port."""
        added = 0
        with self._db.write() as connection:
            for entry in entries:
                row = {
                    "destination": entry.destination,
                    "kind": str(entry.kind),
                    "subject": entry.subject,
                    "seq": entry.seq,
                    "state": "pending",
                    "attempts": 0,
                    "units": 0,
                    "due_at": entry.created_at,
                    "created_at": entry.created_at,
                    "reason": "",
                    "document": to_document(entry.body),
                }
                statement = self._insert(outbox).values(row).on_conflict_do_nothing().returning(outbox.c.seq)
                added += connection.execute(statement).first() is not None
        return added

    def claim(self, destination: str, *, limit: int, now: datetime, lease_s: float) -> list[OutboxEntry]:
        """See the port."""
        with self._db.write() as connection:
            if not self._take(connection, destination, now, lease_s):
                return []
            rows = _due(connection, destination, now, limit)
            if not rows:
                connection.execute(outbox_lease.delete().where(outbox_lease.c.destination == destination))
            for row in rows:
                connection.execute(outbox.update().where(_is(row)).values(attempts=row.attempts + 1))
        return [_entry(row, row.attempts + 1) for row in rows]

    def _take(self, connection: sa.Connection, destination: str, now: datetime, lease_s: float) -> bool:
        lease = {"holder": self._holder, "until": now + timedelta(seconds=lease_s)}
        statement = (
            self._insert(outbox_lease)
            .values(destination=destination, **lease)
            .on_conflict_do_update(index_elements=["destination"], set_=lease, where=outbox_lease.c.until <= now)
            .returning(outbox_lease.c.destination)
        )
        return connection.execute(statement).first() is not None

    def release(self, destination: str) -> None:
        """See the port."""
        ours = sa.and_(outbox_lease.c.destination == destination, outbox_lease.c.holder == self._holder)
        with self._db.write() as connection:
            connection.execute(outbox_lease.delete().where(ours))

    def done(self, entries: Sequence[OutboxEntry], *, now: datetime, units: int = 0) -> None:
        """See the port."""
        self._settle(entries, state="done", reason="", settled_at=now, units=units)

    def retry(self, entries: Sequence[OutboxEntry], *, not_before: datetime, reason: str) -> None:
        """See the port."""
        self._settle(entries, due_at=not_before, reason=reason[:1000])

    def poison(self, entries: Sequence[OutboxEntry], *, reason: str, now: datetime) -> None:
        """See the port."""
        self._settle(entries, state="poison", reason=reason[:1000], settled_at=now)

    def _settle(self, entries: Sequence[OutboxEntry], **values: Any) -> None:
        with self._db.write() as connection:
            for entry in entries:
                connection.execute(outbox.update().where(_is(entry)).values(**values))

    def units_since(self, destination: str, since: datetime) -> int:
        """See the port."""
        query = sa.select(sa.func.coalesce(sa.func.sum(outbox.c.units), 0)).where(
            outbox.c.destination == destination, outbox.c.state == "done", outbox.c.settled_at > since
        )
        with self._db.read() as connection:
            return int(connection.scalar(query) or 0)

    def latest(
        self, destination: str, kind: str, subject: str, *, below_seq: int, min_units: int = 0
    ) -> OutboxEntry | None:
        """See the port."""
        query = (
            sa.select(outbox)
            .where(
                outbox.c.destination == destination,
                outbox.c.kind == str(kind),
                outbox.c.subject == subject,
                outbox.c.seq < below_seq,
                outbox.c.state == "done",
                outbox.c.units >= min_units,
            )
            .order_by(outbox.c.seq.desc())
            .limit(1)
        )
        with self._db.read() as connection:
            row = connection.execute(query).first()
        return _entry(row, row.attempts) if row else None

    def forget(self, before: datetime) -> int:
        """See the port."""
        old = sa.select(outbox).where(outbox.c.settled_at < before).limit(_FORGET)
        count = 0
        while True:
            with self._db.write() as connection:
                rows = connection.execute(old.with_only_columns(*outbox.primary_key.columns)).all()
                for row in rows:
                    connection.execute(outbox.delete().where(_is(row)))
            count += len(rows)
            if len(rows) < _FORGET:
                return count

    def pending(self) -> dict[str, int]:
        """See the port."""
        query = (
            sa.select(outbox.c.destination, sa.func.count())
            .where(outbox.c.state == "pending")
            .group_by(outbox.c.destination)
        )
        with self._db.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}


def _due(connection: sa.Connection, destination: str, now: datetime, limit: int) -> list[Any]:
    """Return what is sent next: of each kind the oldest, as their index has them, however many wait behind."""
    earlier = outbox.alias("earlier")
    blocked = sa.exists().where(
        earlier.c.destination == destination,
        earlier.c.kind == outbox.c.kind,
        earlier.c.subject == outbox.c.subject,
        earlier.c.seq < outbox.c.seq,
        earlier.c.state == "pending",
        earlier.c.due_at > now,
    )
    pending = sa.select(outbox).where(outbox.c.destination == destination, outbox.c.state == "pending")
    due = pending.where(outbox.c.due_at <= now, ~blocked)
    order = (outbox.c.created_at, outbox.c.subject, outbox.c.seq)
    rows: list[Any] = []
    for kinds in _URGENT, [kind for kind in Kind if kind not in _URGENT]:
        found: list[Any] = []
        for kind in kinds:
            query = due.where(outbox.c.kind == kind.value).order_by(*order).limit(limit - len(rows))
            found += connection.execute(query).all()
        rows += sorted(found, key=lambda row: (row.created_at, row.kind, row.subject, row.seq))
        if len(rows) >= limit:
            break
    return rows[:limit]


def _entry(row: Any, attempts: int) -> OutboxEntry:
    return OutboxEntry(row.destination, row.kind, row.subject, row.seq, row.document, row.created_at, attempts)


def _is(entry: Any) -> sa.ColumnElement[bool]:
    return sa.and_(
        outbox.c.destination == entry.destination,
        outbox.c.kind == str(entry.kind),
        outbox.c.subject == entry.subject,
        outbox.c.seq == entry.seq,
    )
