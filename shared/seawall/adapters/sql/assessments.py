"""Posture results, the present state of each scope, and how its scores were."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import from_document, insert_for, to_document
from seawall.adapters.sql.schema import assessment, posture_trend
from seawall.domain.posture import Assessment, ObjectRef, Status, TrendPoint

FINE = timedelta(days=14)
"""How long every assessment's score is kept; of older days the last."""


class SqlAssessments:
    """Fulfils `ports.store.AssessmentStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)

    def replace(self, scope: str, assessments: Sequence[Assessment], assessed_at: datetime) -> int:
        """See the port."""
        return self._replace(scope, assessment.c.scope == scope, assessments, assessed_at)

    def replace_object(
        self,
        scope: str,
        ref: ObjectRef,
        assessments: Sequence[Assessment],
        assessed_at: datetime,
    ) -> int:
        """See the port."""
        here = sa.and_(assessment.c.scope == scope, assessment.c.object == _object(ref))
        return self._replace(
            scope, here, [item for item in assessments if _object(item.object) == _object(ref)], assessed_at
        )

    def _replace(
        self, scope: str, here: sa.ColumnElement[bool], assessments: Sequence[Assessment], assessed_at: datetime
    ) -> int:
        rows = {item.id: _row(scope, item, assessed_at) for item in assessments}
        with self._db.write() as connection:
            before = {
                row.id: row.document
                for row in connection.execute(sa.select(assessment.c.id, assessment.c.document).where(here))
            }
            gone = [identifier for identifier in before if identifier not in rows]
            changed = [
                row
                for identifier, row in rows.items()
                if identifier in before and before[identifier] != row["document"]
            ]
            new = [row for identifier, row in rows.items() if identifier not in before]
            stale = gone + [str(row["id"]) for row in changed]
            for start in range(0, len(stale), 500):
                connection.execute(assessment.delete().where(here, assessment.c.id.in_(stale[start : start + 500])))
            if new or changed:
                connection.execute(assessment.insert(), new + changed)
        return len(gone) + len(changed) + len(new)

    def find(
        self,
        *,
        scope: str = "",
        status: Status | None = None,
        control: str = "",
        ref: ObjectRef | None = None,
        limit: int = 1000,
        offset: int = 0,
    ) -> list[Assessment]:
        """See the port."""
        query = sa.select(assessment.c.document)
        if scope:
            query = query.where(assessment.c.scope == scope)
        if status is not None:
            query = query.where(assessment.c.status == status.value)
        if control:
            query = query.where(assessment.c.control == control)
        if ref is not None:
            query = query.where(assessment.c.object == _object(ref))
        query = (
            query.order_by(assessment.c.severity.desc(), assessment.c.control, assessment.c.id)
            .limit(limit)
            .offset(offset)
        )
        with self._db.read() as connection:
            return [from_document(document, Assessment) for document in connection.scalars(query)]

    def counts(self, scope: str = "") -> dict[str, int]:
        """See the port."""
        query = sa.select(assessment.c.status, sa.func.count()).group_by(assessment.c.status)
        if scope:
            query = query.where(assessment.c.scope == scope)
        with self._db.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def note_trend(self, points: Sequence[TrendPoint]) -> None:
        """See the port."""
        table = posture_trend
        with self._db.write() as connection:
            for point in points:
                values = {
                    "scope": point.scope,
                    "team": point.team,
                    "assessed_at": point.assessed_at,
                    "passed": point.passed,
                    "assessed": point.assessed,
                    "document": to_document({"failures": point.failures, "partial": point.partial}),
                }
                statement = self._insert(table).values(values)
                update = {name: values[name] for name in ("passed", "assessed", "document")}
                keys = ["scope", "team", "assessed_at"]
                connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=update))
            for scope, newest in {(point.scope, point.assessed_at) for point in points}:
                self._thin(connection, scope, newest - FINE)

    @staticmethod
    def _thin(connection: sa.Connection, scope: str, before: datetime) -> None:
        table = posture_trend
        mine = sa.and_(table.c.scope == scope, table.c.assessed_at < before)
        times = connection.scalars(sa.select(table.c.assessed_at).where(mine).distinct()).all()
        kept = {time.date(): time for time in sorted(times)}
        old = [time for time in times if kept[time.date()] != time]
        for start in range(0, len(old), 400):
            connection.execute(table.delete().where(mine, table.c.assessed_at.in_(old[start : start + 400])))

    def trend(self, *, scope: str = "", team: str | None = None, since: datetime | None = None) -> list[TrendPoint]:
        """See the port."""
        table = posture_trend
        query = sa.select(table).order_by(table.c.scope, table.c.team, table.c.assessed_at)
        if scope:
            query = query.where(table.c.scope == scope)
        if team is not None:
            query = query.where(table.c.team == team)
        if since is not None:
            query = query.where(table.c.assessed_at >= since)
        with self._db.read() as connection:
            return [
                TrendPoint(
                    row.scope, row.team, row.assessed_at, row.passed, row.assessed,
                    row.document["failures"], row.document["partial"],
                )
                for row in connection.execute(query)
            ]  # fmt: skip


def _object(ref: ObjectRef) -> str:
    return f"{ref.kind}/{ref.namespace}/{ref.name}"


def _row(scope: str, item: Assessment, assessed_at: datetime) -> dict[str, Any]:
    document = to_document(item)
    document["assessed_at"] = None  # when it was looked at is not part of the result
    return {
        "scope": scope,
        "id": item.id,
        "control": item.control,
        "status": item.status.value,
        "severity": int(item.severity),
        "assessed_at": assessed_at,
        "object": _object(item.object),
        "document": document,
    }
