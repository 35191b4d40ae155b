"""Alerts: folded into what is stored, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import from_document, insert_for, to_document
from seawall.adapters.sql.schema import alert, alert_entity
from seawall.domain.alerts import Alert, Entity
from seawall.domain.severity import Severity
from seawall.incidents.joining import entities_of
from seawall.ports.store import Fold

_CHUNK = 500
"""Ids per statement: SQLite and PostgreSQL both bound the number of parameters."""


class SqlAlerts:
    """Fulfils `ports.store.AlertStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)

    def merge(self, alerts: Sequence[Alert], fold: Fold) -> list[Alert]:
        """See the port."""
        incoming = {item.id: item for item in fold(alerts)}
        changed: list[Alert] = []
        with self._db.write() as connection:
            stored = {item.id: item for item in self._read(connection, sorted(incoming), lock=True)}
            for identifier in sorted(incoming):
                new, old = incoming[identifier], stored.get(identifier)
                if old is None and not self._reserve(connection, new):
                    (old,) = self._read(
                        connection, [identifier], lock=True
                    )  # another writer was first, since we looked
                merged = fold([old, new])[0] if old is not None else new
                if merged == old:
                    continue
                self._write(connection, merged)
                changed.append(merged)
        return changed

    def _reserve(self, connection: sa.Connection, item: Alert) -> bool:
        """Write the row of a new alert; False when there is one, which is waited for until its writer has committed."""
        made = self._insert(alert).values(self._values(item)).on_conflict_do_nothing().returning(alert.c.id)
        return connection.execute(made).first() is not None

    @staticmethod
    def _values(item: Alert) -> dict[str, Any]:
        return {
            "id": item.id,
            "analytic": item.analytic,
            "severity": int(item.severity),
            "cluster": item.cluster,
            "first_seen": item.first_seen,
            "last_seen": item.last_seen,
            "document": to_document(item),
        }

    def _write(self, connection: sa.Connection, item: Alert) -> None:
        values = self._values(item)
        connection.execute(self._insert(alert).values(values).on_conflict_do_update(index_elements=["id"], set_=values))
        connection.execute(alert_entity.delete().where(alert_entity.c.alert_id == item.id))
        seen = {"alert_id": item.id, "first_seen": item.first_seen, "last_seen": item.last_seen}
        rows = [
            seen | {"kind": entity.kind.value, "scope": entity.scope, "entity": entity.id}
            for entity in entities_of(item)
        ]
        if rows:
            connection.execute(alert_entity.insert(), rows)

    def _read(self, connection: sa.Connection, ids: Sequence[str], *, lock: bool = False) -> list[Alert]:
        found: list[Alert] = []
        for start in range(0, len(ids), _CHUNK):
            query = sa.select(alert.c.document).where(alert.c.id.in_(ids[start : start + _CHUNK])).order_by(alert.c.id)
            if lock and not self._db.is_sqlite:
                query = query.with_for_update()
            found.extend(from_document(document, Alert) for document in connection.scalars(query))
        return found

    def get(self, ids: Iterable[str]) -> list[Alert]:
        """See the port."""
        with self._db.read() as connection:
            return sorted(self._read(connection, sorted(set(ids))), key=lambda item: (item.first_seen, item.id))

    def touching(self, entity: Entity, start: datetime, end: datetime, limit: int) -> list[Alert]:
        """See `ports.correlation.CorrelationStore`."""
        query = sa.select(alert.c.document).join(alert_entity, alert_entity.c.alert_id == alert.c.id)
        query = query.where(
            alert_entity.c.kind == entity.kind.value,
            alert_entity.c.entity == entity.id,
            alert_entity.c.scope == entity.scope,
            alert_entity.c.last_seen >= start,
            alert_entity.c.first_seen <= end,
        )
        return self._all(query.order_by(alert.c.first_seen, alert.c.id).limit(limit))

    def between(self, start: datetime, end: datetime, cluster: str | None = None) -> list[Alert]:
        """See the port."""
        query = sa.select(alert.c.document).where(alert.c.last_seen >= start, alert.c.first_seen <= end)
        if cluster is not None:
            query = query.where(alert.c.cluster == cluster)
        return self._all(query.order_by(alert.c.first_seen, alert.c.id))

    def newest(
        self,
        *,
        limit: int = 100,
        offset: int = 0,
        severity: Severity | None = None,
        cluster: str = "",
        analytic: str = "",
    ) -> list[Alert]:
        """See the port."""
        query = sa.select(alert.c.document).order_by(alert.c.last_seen.desc(), alert.c.id).limit(limit).offset(offset)
        if severity is not None:
            query = query.where(alert.c.severity >= int(severity))
        if cluster:
            query = query.where(alert.c.cluster == cluster)
        if analytic:
            query = query.where(alert.c.analytic == analytic)
        return self._all(query)

    def per_day(self, start: datetime) -> list[tuple[date, Severity, int]]:
        """See the port."""
        seen = alert.c.first_seen if self._db.is_sqlite else sa.func.timezone("UTC", alert.c.first_seen)
        day = sa.func.date(seen, type_=sa.String if self._db.is_sqlite else sa.Date).label("day")
        query = sa.select(day, alert.c.severity, sa.func.count()).where(alert.c.first_seen >= start)
        query = query.group_by(day, alert.c.severity).order_by(day, alert.c.severity)
        with self._db.read() as connection:
            return [
                (date.fromisoformat(str(when)), Severity(severity), count)
                for when, severity, count in connection.execute(query)
            ]

    def _all(self, query: sa.Select[Any]) -> list[Alert]:
        with self._db.read() as connection:
            return [from_document(document, Alert) for document in connection.scalars(query)]
