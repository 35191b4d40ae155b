"""Sensors: streams of batches, status, enrolment tokens, revocations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import from_document, insert_for, to_document
from seawall.adapters.sql.schema import sensor, sensor_revocation, sensor_stream, sensor_token, sensor_token_use
from seawall.ports.sensors import EnrolmentToken, SensorStatus, StreamState


class SqlSensors:
    """Fulfils `ports.sensors.SensorStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)

    def stream(self, sensor: str, stream: str) -> StreamState | None:
        """See the port."""
        table = sensor_stream
        query = sa.select(table).where(table.c.sensor == sensor, table.c.stream == stream)
        with self._db.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        values: dict[str, Any] = dict(row._mapping)
        values["missing"] = tuple((first, last) for first, last in values["missing"])
        return StreamState(**values)

    def commit(self, state: StreamState, status: SensorStatus) -> bool:
        """See the port."""
        table = sensor_stream
        values = {
            "highest": state.highest,
            "missing": [list(hole) for hole in state.missing],
            "abandoned": state.abandoned,
            "version": state.version,
        }
        with self._db.write() as connection:
            if state.version == 1:
                insert = self._insert(table).values(sensor=state.sensor, stream=state.stream, **values)
                written = insert.on_conflict_do_nothing().returning(table.c.version)
            else:
                mine = sa.and_(table.c.sensor == state.sensor, table.c.stream == state.stream)
                update = sa.update(table).where(mine, table.c.version == state.version - 1)
                written = update.values(values).returning(table.c.version)
            if connection.execute(written).first() is None:
                return False
            self._keep(connection, status)
        return True

    def _keep(self, connection: sa.Connection, status: SensorStatus) -> None:
        stored = connection.execute(sa.select(sensor.c.document).where(sensor.c.sensor == status.sensor)).scalar()
        if stored is not None:
            earlier = from_document(stored, SensorStatus)
            merged = to_document(_merged(earlier, status))
            row = {"cluster": status.cluster, "node": status.node, "last_seen": status.last_seen, "document": merged}
            connection.execute(sa.update(sensor).where(sensor.c.sensor == status.sensor).values(row))
            return
        values = {
            "sensor": status.sensor,
            "cluster": status.cluster,
            "node": status.node,
            "last_seen": status.last_seen,
            "document": to_document(status),
        }
        connection.execute(self._insert(sensor).values(values).on_conflict_do_nothing())

    def sensors(self, *, cluster: str = "", limit: int = 1000) -> list[SensorStatus]:
        """See the port."""
        query = sa.select(sensor.c.document).order_by(sensor.c.cluster, sensor.c.node).limit(limit)
        if cluster:
            query = query.where(sensor.c.cluster == cluster)
        with self._db.read() as connection:
            return [from_document(document, SensorStatus) for document in connection.scalars(query)]

    def add_token(self, token: EnrolmentToken) -> None:
        """See the port."""
        values = {name: getattr(token, name) for name in EnrolmentToken.__slots__}
        with self._db.write() as connection:
            connection.execute(self._insert(sensor_token).values(values).on_conflict_do_nothing())

    def redeem(self, token_hash: str, node: str, now: datetime) -> EnrolmentToken | None:
        """See the port."""
        uses = sensor_token_use
        with self._db.write() as connection:
            query = sa.select(sensor_token).where(sensor_token.c.hash == token_hash, sensor_token.c.expires_at > now)
            row = connection.execute(query.with_for_update()).first()  # PostgreSQL: one redeemer at a time
            if row is None:
                return None
            token = EnrolmentToken(**row._mapping)
            used = set(connection.scalars(sa.select(uses.c.node).where(uses.c.hash == token_hash)))
            if node in used or len(used) >= token.uses:
                return None
            connection.execute(sa.insert(uses).values(hash=token_hash, node=node, used_at=now))
            return token

    def revoke(self, sensor: str, now: datetime, reason: str = "") -> None:
        """See the port."""
        values = {"sensor": sensor, "revoked_at": now, "reason": reason}
        with self._db.write() as connection:
            connection.execute(self._insert(sensor_revocation).values(values).on_conflict_do_nothing())

    def revoked(self, sensor: str) -> bool:
        """See the port."""
        query = sa.select(sensor_revocation.c.sensor).where(sensor_revocation.c.sensor == sensor)
        with self._db.read() as connection:
            return connection.execute(query).first() is not None


def _merged(earlier: SensorStatus, later: SensorStatus) -> SensorStatus:
    # A batch without a heartbeat says nothing of state and versions: what was known stays. A late batch of an earlier
    # time changes nothing but the counts of its own stream.
    if later.last_seen < earlier.last_seen:
        return earlier
    same_stream = earlier.stream == later.stream
    return SensorStatus(
        sensor=later.sensor,
        cluster=later.cluster,
        node=later.node,
        last_seen=later.last_seen,
        boot=later.boot,
        stream=later.stream,
        state=later.state or earlier.state,
        lost=later.lost,
        missing_batches=later.missing_batches,
        rejected=later.rejected + (earlier.rejected if same_stream else 0),
        details=later.details or earlier.details,
    )
