"""Inputs that no retry can help."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import insert_for
from seawall.adapters.sql.schema import poison
from seawall.ports.store import PoisonRecord


class SqlPoison:
    """Fulfils `ports.store.PoisonStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)

    def add(self, record: PoisonRecord) -> None:
        """See the port."""
        values = {name: getattr(record, name) for name in PoisonRecord.__slots__}
        with self._db.write() as connection:
            connection.execute(self._insert(poison).values(values).on_conflict_do_nothing())

    def forget(self, before: datetime) -> int:
        """See the port."""
        with self._db.write() as connection:
            return int(connection.execute(poison.delete().where(poison.c.received_at < before)).rowcount)

    def newest(self, limit: int = 100) -> list[PoisonRecord]:
        """See the port."""
        query = sa.select(poison).order_by(poison.c.received_at.desc(), poison.c.id).limit(limit)
        with self._db.read() as connection:
            return [PoisonRecord(**row._mapping) for row in connection.execute(query)]
