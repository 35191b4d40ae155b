"""Which sensor batches arrived."""

from __future__ import annotations

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import insert_for
from seawall.adapters.sql.schema import sensor_batch
from seawall.ports.store import BatchRecord


class SqlSensorBatches:
    """Fulfils `ports.store.SensorBatchStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)

    def accept(self, batch: BatchRecord) -> bool:
        """See the port."""
        values = {name: getattr(batch, name) for name in BatchRecord.__slots__}
        with self._db.write() as connection:
            statement = (
                self._insert(sensor_batch).values(values).on_conflict_do_nothing().returning(sensor_batch.c.sensor)
            )
            return connection.execute(statement).first() is not None

    def batches(self, sensor: str, boot_id: str) -> list[BatchRecord]:
        """See the port."""
        query = sa.select(sensor_batch).where(sensor_batch.c.sensor == sensor, sensor_batch.c.boot_id == boot_id)
        with self._db.read() as connection:
            return [BatchRecord(**row._mapping) for row in connection.execute(query.order_by(sensor_batch.c.first_seq))]
