"""Incidents: a number per state change."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import from_document, insert_for, to_document
from seawall.adapters.sql.schema import incident, incident_alert
from seawall.domain.alerts import Incident
from seawall.domain.severity import Severity
from seawall.ports.correlation import Carry

_CHUNK = 500
"""Ids per statement."""


class SqlIncidents:
    """Fulfils `ports.store.IncidentStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)
        self._turn = threading.Lock()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See the port. Threads of one process take turns before they take a connection to wait with."""
        with self._turn:
            if self._db.is_sqlite:
                yield
                return
            with self._db.write() as connection:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('correlate', 0))"))
                yield

    def holding(self, alert_ids: Collection[str]) -> list[Incident]:
        """See `ports.correlation.CorrelationStore`."""
        ids = sorted(set(alert_ids))
        found: dict[str, Incident] = {}
        with self._db.read() as connection:
            for start in range(0, len(ids), _CHUNK):
                held = sa.select(incident_alert.c.incident_id).where(
                    incident_alert.c.alert_id.in_(ids[start : start + _CHUNK])
                )
                query = sa.select(incident.c.id, incident.c.document).where(incident.c.id.in_(held))
                found |= {row.id: from_document(row.document, Incident) for row in connection.execute(query)}
        return [found[key] for key in sorted(found)]

    def save(self, incidents: Sequence[Incident], carry: Carry) -> list[Incident]:
        """See `ports.correlation.CorrelationStore`."""
        changed: list[Incident] = []
        with self._db.write() as connection:
            for item in sorted(incidents, key=lambda item: item.id):
                old = self._read(connection, item.id, lock=True)
                new = carry(item, old)
                if old is None and not self._reserve(connection, new):
                    old = self._read(connection, item.id, lock=True)  # another writer was first, since we looked
                    new = carry(item, old)
                if new == old:
                    continue
                self._write(connection, new)
                connection.execute(incident_alert.delete().where(incident_alert.c.incident_id == new.id))
                if new.alert_ids:
                    rows = [{"incident_id": new.id, "alert_id": alert_id} for alert_id in new.alert_ids]
                    connection.execute(incident_alert.insert(), rows)
                if old is None or new.seq > old.seq:
                    changed.append(new)
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

    def open_counts(self) -> dict[Severity, int]:
        """See the port."""
        query = sa.select(incident.c.severity, sa.func.count()).group_by(incident.c.severity)
        query = query.where(incident.c.merged_into == "", incident.c.status != "closed")
        with self._db.read() as connection:
            return {Severity(severity): count for severity, count in connection.execute(query)}

    def decide(self, id: str, *, status: str = "", classification: str = "", owner: str = "") -> Incident | None:  # noqa: A002 - the port's word
        """See the port."""
        with self._db.write() as connection:
            old = self._read(connection, id, lock=True)
            if old is None:
                return None
            decided = replace(
                old,
                status=status or old.status,
                classification=classification or old.classification,
                owner=owner or old.owner,
            )
            if decided == old:
                return old
            changed = replace(decided, seq=old.seq + 1)
            self._write(connection, changed)
        return changed

    def _read(self, connection: sa.Connection, identifier: str, *, lock: bool = False) -> Incident | None:
        query = sa.select(incident.c.document).where(incident.c.id == identifier)
        if lock and not self._db.is_sqlite:
            query = query.with_for_update()
        document = connection.scalar(query)
        return from_document(document, Incident) if document is not None else None

    def _reserve(self, connection: sa.Connection, item: Incident) -> bool:
        made = self._insert(incident).values(self._values(item)).on_conflict_do_nothing().returning(incident.c.id)
        return connection.execute(made).first() is not None

    @staticmethod
    def _values(item: Incident) -> dict[str, Any]:
        return {
            "id": item.id,
            "severity": int(item.severity),
            "status": item.status,
            "first_seen": item.first_seen,
            "last_seen": item.last_seen,
            "seq": item.seq,
            "merged_into": item.merged_into,
            "document": to_document(item),
        }

    def _write(self, connection: sa.Connection, item: Incident) -> None:
        values = self._values(item)
        connection.execute(
            self._insert(incident).values(values).on_conflict_do_update(index_elements=["id"], set_=values)
        )

    def _all(self, query: sa.Select[Any]) -> list[Incident]:
        with self._db.read() as connection:
            return [from_document(document, Incident) for document in connection.scalars(query)]
