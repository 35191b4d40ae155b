"""Which incident of the Defender portal stands for which of ours, and what both sides last agreed on."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import insert_for
from seawall.adapters.sql.schema import incident, metadata
from seawall.ports.portal import PortalLink

portal_link = sa.Table(
    "portal_link",
    metadata,
    sa.Column("incident", sa.Text, primary_key=True),
    sa.Column("portal_id", sa.Text, nullable=False, index=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("classification", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
)


class SqlPortalLinks:
    """Fulfils `ports.portal.PortalLinks`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)

    def of(self, incident_id: str) -> PortalLink | None:
        """See the port."""
        with self._db.read() as connection:
            row = connection.execute(sa.select(portal_link).where(portal_link.c.incident == incident_id)).first()
        return PortalLink(**row._mapping) if row else None

    def save(self, link: PortalLink) -> None:
        """See the port."""
        values = asdict(link)
        with self._db.write() as connection:
            statement = self._insert(portal_link).values(values)
            connection.execute(statement.on_conflict_do_update(index_elements=["incident"], set_=values))

    def behind(self, limit: int = 100) -> list[PortalLink]:
        """See the port."""
        query = (
            sa.select(portal_link)
            .join(incident, incident.c.id == portal_link.c.incident)
            .where(incident.c.seq != portal_link.c.seq)
            .order_by(portal_link.c.incident)
            .limit(limit)
        )
        with self._db.read() as connection:
            return [PortalLink(**row._mapping) for row in connection.execute(query)]
