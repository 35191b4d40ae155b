"""Running containers: one row per source and container, one per source and scope.

A row says when its source last saw the container, and whether it ran then. An ended row stays until a newer snapshot of its
scope, which makes it needless: whatever comes late is older than that snapshot.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import from_document, insert_for, to_document
from seawall.adapters.sql.schema import Document, UtcDateTime, metadata
from seawall.domain.running import (
    RunningChange,
    RunningContainer,
    RunningSnapshot,
    RunningSource,
    Testimony,
    Verdict,
    bare_container_id,
    merged,
)
from seawall.ports.running import RunningScope

running_container = sa.Table(
    "running_container",
    metadata,
    sa.Column("cluster", sa.Text, primary_key=True),
    sa.Column("container_id", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("node", sa.Text, nullable=False),
    sa.Column("namespace", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("seen_at", UtcDateTime, nullable=False),
    sa.Column("running", sa.Boolean, nullable=False),
    sa.Column("document", Document, nullable=False),
    sa.Index("running_container_by_digest", "digest"),
)
running_scope = sa.Table(
    "running_scope",
    metadata,
    sa.Column("cluster", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("node", sa.Text, primary_key=True),
    sa.Column("taken_at", UtcDateTime, nullable=False),
)

_CHUNK = 400
_ROW = running_container


@dataclass(frozen=True, slots=True)
class _Seen:
    """A row, or one that shall be."""

    source: RunningSource
    container: RunningContainer
    running: bool

    @property
    def rank(self) -> tuple[datetime, bool, bytes]:
        """Of two words on one container the higher counts: the newer, then the end, then any fixed order."""
        return self.container.seen_at, not self.running, msgspec.json.encode(self.container)


class SqlRunning:
    """Fulfils `ports.running.RunningStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)

    def apply(self, snapshot: RunningSnapshot) -> int:
        """See the port."""
        incoming: dict[str, _Seen] = {}
        for item in snapshot.containers:
            seen = _Seen(snapshot.source, _placed(item, snapshot), running=True)
            known = incoming.get(seen.container.container_id)
            if known is None or seen.rank > known.rank:
                incoming[seen.container.container_id] = seen
        with self._db.write() as connection:
            scopes = self._scopes(connection, snapshot.cluster, snapshot.source, lock=True)
            newest = scopes.get(snapshot.node)
            if newest is not None and snapshot.taken_at < newest:
                return 0
            changed = self._store(connection, incoming.values(), scopes)
            covered = sa.and_(
                _ROW.c.cluster == snapshot.cluster,
                _ROW.c.source == snapshot.source.value,
                _ROW.c.seen_at < snapshot.taken_at,
                *([_ROW.c.node == snapshot.node] if snapshot.node else []),
            )
            ended = connection.execute(_ROW.delete().where(covered).returning(_ROW.c.running)).scalars().all()
            values = {
                "cluster": snapshot.cluster,
                "source": snapshot.source.value,
                "node": snapshot.node,
                "taken_at": snapshot.taken_at,
            }
            statement = self._insert(running_scope).values(values)
            keys = ["cluster", "source", "node"]
            connection.execute(
                statement.on_conflict_do_update(index_elements=keys, set_={"taken_at": snapshot.taken_at})
            )
        return int(changed + sum(ended))

    def change(self, changes: Collection[RunningChange]) -> int:
        """See the port."""
        grouped: dict[tuple[str, RunningSource], dict[str, _Seen]] = {}
        for item in changes:
            seen = _Seen(item.source, _bare(item.container), item.running)
            held = grouped.setdefault((item.container.cluster, item.source), {})
            known = held.get(seen.container.container_id)
            if known is None or seen.rank > known.rank:
                held[seen.container.container_id] = seen
        changed = 0
        with self._db.write() as connection:
            for (cluster, source), held in sorted(grouped.items()):
                changed += self._store(connection, held.values(), self._scopes(connection, cluster, source, lock=True))
        return changed

    def _scopes(
        self, connection: sa.Connection, cluster: str, source: RunningSource, *, lock: bool = False
    ) -> dict[str, datetime]:
        if lock and not self._db.is_sqlite:
            # Snapshots of one cluster and source take turns: two at once would each miss what the other brings.
            connection.execute(
                sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"),
                {"key": f"running/{cluster}/{source}"},
            )
        query = sa.select(running_scope.c.node, running_scope.c.taken_at).where(
            running_scope.c.cluster == cluster, running_scope.c.source == source.value
        )
        return {row.node: row.taken_at for row in connection.execute(query)}

    def _store(self, connection: sa.Connection, items: Iterable[_Seen], scopes: dict[str, datetime]) -> int:
        changed = 0
        for chunk in _chunks(sorted(items, key=lambda item: item.container.container_id)):
            ids = [item.container.container_id for item in chunk]
            query = sa.select(_ROW).where(
                _ROW.c.cluster == chunk[0].container.cluster,
                _ROW.c.source == chunk[0].source.value,
                _ROW.c.container_id.in_(ids),
            )
            stored = {row.container_id: _seen(row) for row in connection.execute(query)}
            rows = []
            for item in chunk:
                container, before = item.container, stored.get(item.container.container_id)
                limit = max((scopes[node] for node in {"", container.node} if node in scopes), default=None)
                if limit is not None and container.seen_at < limit:
                    continue  # a newer snapshot knows better
                if before is not None and before.rank >= item.rank:
                    continue
                rows.append(_values(item))
                changed += (
                    before is None
                    or before.running != item.running
                    or msgspec.structs.replace(before.container, seen_at=container.seen_at) != container
                )
            if rows:
                statement = self._insert(_ROW).values(rows)
                update = {name: statement.excluded[name] for name in rows[0] if not _ROW.c[name].primary_key}
                keys = ["cluster", "container_id", "source"]
                connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=update))
        return changed

    def of_digests(self, digests: Collection[str], *, limit: int = 10_000) -> list[RunningContainer]:
        """See the port."""
        wanted = set(digests) - {""}
        found: list[RunningContainer] = []
        for chunk in _chunks(sorted(wanted)):
            same = sa.select(_ROW.c.cluster, _ROW.c.container_id).where(_ROW.c.digest.in_(chunk))
            condition = sa.tuple_(_ROW.c.cluster, _ROW.c.container_id).in_(same)
            found += [item for item in self._find(condition) if item.digest in wanted]
        return _ordered(found)[:limit]

    def in_cluster(self, cluster: str, *, namespace: str = "", limit: int = 10_000) -> list[RunningContainer]:
        """See the port."""
        found = self._find(_ROW.c.cluster == cluster)
        return _ordered(item for item in found if not namespace or item.namespace == namespace)[:limit]

    def all(self, *, limit: int = 10_000) -> list[RunningContainer]:
        """See the port."""
        return _ordered(self._find(sa.true()))[:limit]

    def digests(self) -> dict[str, int]:
        """See the port."""
        counts: dict[str, int] = {}
        for item in self._find(sa.true()):
            if item.digest:
                counts[item.digest] = counts.get(item.digest, 0) + 1
        return counts

    def scopes(self) -> list[RunningScope]:
        """See the port."""
        query = sa.select(running_scope).order_by(*running_scope.primary_key.columns)
        with self._db.read() as connection:
            return [
                RunningScope(RunningSource(row.source), row.cluster, row.node, row.taken_at)
                for row in connection.execute(query)
            ]

    def forget(self, before: datetime) -> int:
        """See the port."""
        with self._db.write() as connection:
            connection.execute(running_scope.delete().where(running_scope.c.taken_at < before))
            gone = connection.execute(_ROW.delete().where(_ROW.c.seen_at < before).returning(_ROW.c.running)).scalars()
            return int(sum(gone.all()))

    def _find(self, condition: sa.ColumnElement[bool]) -> Iterator[RunningContainer]:
        with self._db.read() as connection:
            rows = connection.execute(sa.select(_ROW).where(condition)).all()
            clusters = {row.cluster for row in rows}
            taken: dict[tuple[str, str, str], datetime] = {}
            for row in connection.execute(sa.select(running_scope)):
                if row.cluster in clusters:
                    taken[row.cluster, row.source, row.node] = row.taken_at
        by_container: dict[tuple[str, str], list[_Seen]] = {}
        for row in rows:
            by_container.setdefault((row.cluster, row.container_id), []).append(_seen(row))
        for (cluster, _), held in by_container.items():
            words = [
                Testimony(
                    item.source, Verdict.RUNS if item.running else Verdict.ENDED, item.container.seen_at, item.container
                )
                for item in held
            ]
            node = next((item.container.node for item in held if item.container.node), "")
            for source in set(RunningSource) - {item.source for item in held}:
                covering = [taken.get((cluster, source.value, place)) for place in {"", node}]
                at = max((moment for moment in covering if moment is not None), default=None)
                if at is not None:
                    words.append(Testimony(source, Verdict.ABSENT, at))
            container = merged(words)
            if container is not None:
                yield container


def _placed(item: RunningContainer, snapshot: RunningSnapshot) -> RunningContainer:
    return msgspec.structs.replace(
        _bare(item), cluster=snapshot.cluster, node=snapshot.node or item.node, seen_at=snapshot.taken_at
    )


def _bare(item: RunningContainer) -> RunningContainer:
    return msgspec.structs.replace(
        item, container_id=bare_container_id(item.container_id), in_use=tuple(sorted(set(item.in_use)))
    )


def _values(item: _Seen) -> dict[str, Any]:
    container = item.container
    document = to_document(container)
    del document["seen_at"]
    return {
        "cluster": container.cluster,
        "container_id": container.container_id,
        "source": item.source.value,
        "node": container.node,
        "namespace": container.namespace,
        "digest": container.digest,
        "seen_at": container.seen_at,
        "running": item.running,
        "document": document,
    }


def _seen(row: Any) -> _Seen:
    container = from_document({**row.document, "seen_at": row.seen_at}, RunningContainer)
    return _Seen(RunningSource(row.source), container, row.running)


def _ordered(items: Iterable[RunningContainer]) -> list[RunningContainer]:
    return sorted(items, key=lambda item: (item.cluster, item.namespace, item.pod, item.container, item.container_id))


def _chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    waiting = iter(values)
    while chunk := list(islice(waiting, _CHUNK)):
        yield chunk
