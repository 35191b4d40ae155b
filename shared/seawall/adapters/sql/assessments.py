"""Posture results, the present state of each scope."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import from_document, to_document
from seawall.adapters.sql.schema import assessment
from seawall.domain.posture import Assessment, Status


class SqlAssessments:
    """Fulfils `ports.store.AssessmentStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def replace(self, scope: str, assessments: Sequence[Assessment], assessed_at: datetime) -> int:
        """See the port."""
        rows = {item.id: _row(scope, item, assessed_at) for item in assessments}
        here = assessment.c.scope == scope
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
        self, *, scope: str = "", status: Status | None = None, control: str = "", limit: int = 1000, offset: int = 0
    ) -> list[Assessment]:
        """See the port."""
        query = sa.select(assessment.c.document)
        if scope:
            query = query.where(assessment.c.scope == scope)
        if status is not None:
            query = query.where(assessment.c.status == status.value)
        if control:
            query = query.where(assessment.c.control == control)
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
        "document": document,
    }
