"""Responses and their history. Rows are added and never changed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import from_document, insert_for, to_document
from seawall.adapters.sql.schema import Document, UtcDateTime, metadata
from seawall.domain.responses import DENY_IMAGE, Response, ResponseEvent, ResponseState

response = sa.Table(
    "response",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("action", sa.Text, nullable=False, index=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False, index=True),
    sa.Column("started_at", UtcDateTime, nullable=False, index=True),
    sa.Column("document", Document, nullable=False),
)
response_event = sa.Table(
    "response_event",
    metadata,
    sa.Column("response_id", sa.Text, sa.ForeignKey("response.id"), primary_key=True),
    sa.Column("state", sa.Text, primary_key=True),
    sa.Column("document", Document, nullable=False),
)
_ORDER = {state: number for number, state in enumerate(ResponseState)}
_CHUNK = 500
"""Subjects per statement."""


class SqlResponses:
    """Fulfils `ports.responses.ResponseStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)

    def begin(self, item: Response) -> None:
        """See the port."""
        values = {
            "id": item.id,
            "action": item.action,
            "target": item.target.id,
            "subject": item.subject,
            "started_at": item.history[0].at,
            "document": to_document(replace(item, history=())),
        }
        with self._db.write() as connection:
            connection.execute(self._insert(response).values(values).on_conflict_do_nothing())
            self._add(connection, item.id, item.history[0])

    def note(self, id: str, event: ResponseEvent) -> None:  # noqa: A002 - the port's word
        """See the port."""
        with self._db.write() as connection:
            self._add(connection, id, event)

    def get(self, id: str) -> Response | None:  # noqa: A002 - the port's word
        """See the port."""
        return next(iter(self._all(sa.select(response).where(response.c.id == id))), None)

    def of(self, subjects: Collection[str]) -> list[Response]:
        """See the port."""
        wanted = sorted(set(subjects))
        found = [
            item
            for start in range(0, len(wanted), _CHUNK)
            for item in self._all(sa.select(response).where(response.c.subject.in_(wanted[start : start + _CHUNK])))
        ]
        return sorted(found, key=lambda item: (item.history[0].at, item.id))

    def newest(self, limit: int = 100) -> list[Response]:
        """See the port."""
        return self._all(sa.select(response).order_by(response.c.started_at.desc(), response.c.id).limit(limit))

    def denied(self) -> frozenset[str]:
        """See the port."""
        had = sa.select(response_event.c.response_id)
        applied = had.where(response_event.c.state == ResponseState.APPLIED.value)
        undone = had.where(response_event.c.state == ResponseState.UNDONE.value)
        query = sa.select(response.c.target).where(
            response.c.action == DENY_IMAGE, response.c.id.in_(applied), response.c.id.not_in(undone)
        )
        with self._db.read() as connection:
            return frozenset(connection.scalars(query))

    def _add(self, connection: sa.Connection, identifier: str, event: ResponseEvent) -> None:
        values = {"response_id": identifier, "state": event.state.value, "document": to_document(event)}
        connection.execute(self._insert(response_event).values(values).on_conflict_do_nothing())

    def _all(self, query: sa.Select[Any]) -> list[Response]:
        with self._db.read() as connection:
            found = [from_document(row.document, Response) for row in connection.execute(query)]
            ids = [item.id for item in found]
            events = connection.execute(sa.select(response_event).where(response_event.c.response_id.in_(ids))).all()
        history: dict[str, list[ResponseEvent]] = {}
        for row in sorted(events, key=lambda row: _ORDER[ResponseState(row.state)]):
            history.setdefault(row.response_id, []).append(from_document(row.document, ResponseEvent))
        return [replace(item, history=tuple(history[item.id])) for item in found]
