"""Incidents: a number per state change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import from_document, insert_for, to_document
from seawall.adapters.sql.schema import incident
from seawall.domain.alerts import Incident


class SqlIncidents:
    """Fulfils `ports.store.IncidentStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)

    def save(self, incidents: Sequence[Incident]) -> list[Incident]:
        """See the port."""
        changed: list[Incident] = []
        with self._db.write() as connection:
            for item in sorted(incidents, key=lambda item: item.id):
                old = self._read(connection, item.id, lock=True)
                kept = replace(item, status=old.status, seq=old.seq) if old else replace(item, seq=0)
                if kept == old:
                    continue
                kept = replace(kept, seq=kept.seq + 1)
                self._write(connection, kept)
                changed.append(kept)
        return changed

    def get(self, id: str) -> Incident | None:  # noqa: A002 - the port's word
        """See the port."""
        with self._db.read() as connection:
            return self._read(connection, id)

    def between(self, start: datetime, end: datetime) -> list[Incident]:
        """See the port."""
        query = sa.select(incident.c.document).where(
            incident.c.last_seen >= start, incident.c.first_seen <= end, incident.c.merged_into == ""
        )
        return self._all(query.order_by(incident.c.first_seen, incident.c.id))

    def newest(self, *, limit: int = 100, offset: int = 0, status: str = "") -> list[Incident]:
        """See the port."""
        query = sa.select(incident.c.document).where(incident.c.merged_into == "")
        if status:
            query = query.where(incident.c.status == status)
        return self._all(query.order_by(incident.c.last_seen.desc(), incident.c.id).limit(limit).offset(offset))

    def set_status(self, id: str, status: str) -> Incident | None:  # noqa: A002 - the port's word
        """See the port."""
        with self._db.write() as connection:
            old = self._read(connection, id, lock=True)
            if old is None or old.status == status:
                return old
            changed = replace(old, status=status, seq=old.seq + 1)
            self._write(connection, changed)
        return changed

    def _read(self, connection: sa.Connection, identifier: str, *, lock: bool = False) -> Incident | None:
        query = sa.select(incident.c.document).where(incident.c.id == identifier)
        if lock and not self._db.is_sqlite:
            query = query.with_for_update()
        document = connection.scalar(query)
        return from_document(document, Incident) if document is not None else None

    def _write(self, connection: sa.Connection, item: Incident) -> None:
        values = {
            "id": item.id,
            "severity": int(item.severity),
            "status": item.status,
            "first_seen": item.first_seen,
            "last_seen": item.last_seen,
            "seq": item.seq,
            "merged_into": item.merged_into,
            "document": to_document(item),
        }
        connection.execute(
            self._insert(incident).values(values).on_conflict_do_update(index_elements=["id"], set_=values)
        )

    def _all(self, query: sa.Select[Any]) -> list[Incident]:
        with self._db.read() as connection:
            return [from_document(document, Incident) for document in connection.scalars(query)]
