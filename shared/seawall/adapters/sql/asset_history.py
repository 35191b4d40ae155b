"""Reading the past of assets: versions joined with the calls that can have made them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from seawall.adapters.sql.asset_tables import asset_event, asset_version
from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import from_document
from seawall.domain.assets import AssetEvent, AssetState, AssetVersion

SKEW = timedelta(seconds=5)
"""An audit event's time and that of the listing that shows its effect come from two clocks."""
_V = asset_version


class HistoryReader:
    """The reading half of the asset store that looks back."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, id: str, at: datetime | None = None) -> AssetState | None:  # noqa: A002
        """See the port."""
        query = sa.select(_V.c.document).where(_V.c.id == id, _V.c.hash != "")
        if at is None:
            query = query.where(_V.c.valid_to.is_(None))
        else:
            query = query.where(_V.c.valid_from <= at, sa.or_(_V.c.valid_to.is_(None), _V.c.valid_to > at))
        with self._db.read() as connection:
            document = connection.scalar(query)
        return from_document(document, AssetState) if document is not None else None

    def history(self, id: str, limit: int = 100) -> list[AssetVersion]:  # noqa: A002
        """See the port."""
        query = sa.select(_V).where(_V.c.id == id).order_by(_V.c.valid_from.desc()).limit(limit + 1)
        with self._db.read() as connection:
            rows = connection.execute(query).all()
            events = self._events(connection, [id])
        return _joined(rows, events)[:limit]

    def between(self, start: datetime, end: datetime, scope: str = "", limit: int = 10_000) -> list[AssetVersion]:
        """See the port."""
        query = sa.select(_V).where(_V.c.valid_from > start, _V.c.valid_from <= end)
        if scope:
            query = query.where(_V.c.scope == scope)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(_V.c.valid_from.desc(), _V.c.id).limit(limit)).all()
            events = self._events(connection, sorted({row.id for row in rows}))
        return sorted(_joined(rows, events), key=lambda version: (version.valid_from, version.id))

    def events(self, id: str, limit: int = 100) -> list[AssetEvent]:  # noqa: A002
        """See the port."""
        with self._db.read() as connection:
            return self._events(connection, [id]).get(id, [])[:limit]

    @staticmethod
    def _events(connection: sa.Connection, identifiers: Sequence[str]) -> dict[str, list[AssetEvent]]:
        found: dict[str, list[AssetEvent]] = {}
        table = asset_event
        for start in range(0, len(identifiers), 400):
            query = sa.select(table.c.document).where(table.c.asset.in_(identifiers[start : start + 400]))
            for document in connection.scalars(query.order_by(table.c.at.desc(), table.c.id)):
                event = from_document(document, AssetEvent)
                found.setdefault(event.asset, []).append(event)
        return found


def _joined(rows: Iterable[Any], events: dict[str, list[AssetEvent]]) -> list[AssetVersion]:
    """Return versions, newest first, each with the calls after the version before it was last seen to be there."""
    by_asset: dict[str, list[Any]] = {}
    for row in rows:
        by_asset.setdefault(row.id, []).append(row)
    found: list[AssetVersion] = []
    for identifier, timeline in by_asset.items():
        timeline.sort(key=lambda row: row.valid_from, reverse=True)
        for index, row in enumerate(timeline):
            earlier = timeline[index + 1] if index + 1 < len(timeline) else None
            mine = tuple(
                event
                for event in events.get(identifier, ())
                if event.at <= row.valid_from + SKEW and (earlier is None or event.at > earlier.valid_from + SKEW)
            )
            state = from_document(row.document, AssetState) if row.hash else None
            found.append(AssetVersion(identifier, row.valid_from, row.valid_to, state, mine))
    return sorted(found, key=lambda version: version.valid_from, reverse=True)
