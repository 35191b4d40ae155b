"""The asset graph in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
import sqlalchemy as sa

from seawall.adapters.sql.asset_history import HistoryReader
from seawall.adapters.sql.asset_tables import asset_event, asset_relation, asset_scope, asset_version
from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import from_document, insert_for, to_document
from seawall.domain.assets import AssetChange, AssetEvent, AssetSnapshot, AssetState, Relation
from seawall.ports.assets import Applied, ScopeState

_CHUNK = 400
_V = asset_version


class SqlAssets(HistoryReader):
    """Fulfils `ports.assets.AssetStore`."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._insert = insert_for(database.engine.dialect.name)

    def apply(self, snapshot: AssetSnapshot) -> Applied:
        """See the port."""
        by_kind: dict[str, dict[str, AssetState]] = {kind: {} for kind in snapshot.kinds}
        for state in snapshot.states:
            by_kind.setdefault(state.asset.kind, {})[state.asset.id] = state
        added: list[str] = []
        changed: list[str] = []
        removed: list[str] = []
        for kind in sorted(by_kind):
            with self._db.write() as connection:
                taken = self._take_turn(connection, snapshot.scope, kind)
                if taken is not None and snapshot.taken_at <= taken:
                    continue
                found = self._apply_kind(connection, snapshot, kind, by_kind[kind])
                added += found.added
                changed += found.changed
                removed += found.removed
                if kind in snapshot.kinds:
                    row = {"scope": snapshot.scope, "kind": kind, "taken_at": snapshot.taken_at}
                    statement = self._insert(asset_scope).values(row)
                    connection.execute(
                        statement.on_conflict_do_update(
                            index_elements=["scope", "kind"], set_={"taken_at": snapshot.taken_at}
                        )
                    )
        return Applied(tuple(sorted(added)), tuple(sorted(changed)), tuple(sorted(removed)))

    def _apply_kind(
        self, connection: sa.Connection, snapshot: AssetSnapshot, kind: str, incoming: dict[str, AssetState]
    ) -> Applied:
        at = snapshot.taken_at
        query = sa.select(_V.c.id, _V.c.valid_from, _V.c.last_seen, _V.c.hash).where(
            _V.c.scope == snapshot.scope, _V.c.kind == kind, _V.c.valid_to.is_(None)
        )
        newest = {row.id: row for row in connection.execute(query)}
        fresh: list[tuple[str, AssetState, str]] = []
        late: list[AssetChange] = []
        added: list[str] = []
        changed: list[str] = []
        removed: list[str] = []
        for identifier, state in incoming.items():
            row, mark = newest.get(identifier), _hash(state)
            if row is not None and row.last_seen > at:
                late.append(AssetChange(identifier, snapshot.scope, kind, at, state))
            elif row is None or row.hash != mark:
                fresh.append((identifier, state, mark))
                (changed if row is not None and row.hash else added).append(identifier)
        if kind in snapshot.kinds:
            removed = [row.id for row in newest.values() if row.hash and row.id not in incoming and row.last_seen <= at]
        for identifiers in _chunks(sorted({*(item[0] for item in fresh), *removed})):
            ended = _V.update().where(_V.c.id.in_(identifiers), _V.c.valid_to.is_(None), _V.c.valid_from < at)
            connection.execute(ended.values(valid_to=at))
            connection.execute(_V.delete().where(_V.c.id.in_(identifiers), _V.c.valid_from == at))
            connection.execute(asset_relation.delete().where(asset_relation.c.source.in_(identifiers)))
        rows = [_row(identifier, snapshot.scope, kind, at, state, mark) for identifier, state, mark in fresh]
        rows += [_row(identifier, snapshot.scope, kind, at, None, "") for identifier in removed]
        for chunk in _chunks(rows):
            connection.execute(_V.insert(), chunk)
        self._relate(connection, [state for _, state, _ in fresh])
        for change in late:
            self._set(connection, change)
        return Applied(tuple(added), tuple(changed), tuple(removed))

    def change(self, changes: Collection[AssetChange]) -> Applied:
        """See the port."""
        added: set[str] = set()
        changed: set[str] = set()
        removed: set[str] = set()
        with self._db.write() as connection:
            for scope, kind in sorted({(item.scope, item.kind) for item in changes}):
                self._take_turn(connection, scope, kind)
            for item in sorted(changes, key=lambda item: (item.at, item.id)):
                outcome = self._set(connection, item)
                if outcome:
                    {"added": added, "changed": changed, "removed": removed}[outcome].add(item.id)
        return Applied(tuple(sorted(added)), tuple(sorted(changed - added)), tuple(sorted(removed)))

    def _take_turn(self, connection: sa.Connection, scope: str, kind: str) -> datetime | None:
        """Wait for other writers of the same kind and scope; return when the kind was last listed."""
        if not self._db.is_sqlite:
            connection.execute(
                sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"asset/{scope}/{kind}"}
            )
        return connection.scalar(
            sa.select(asset_scope.c.taken_at).where(asset_scope.c.scope == scope, asset_scope.c.kind == kind)
        )

    def _set(self, connection: sa.Connection, change: AssetChange) -> str:
        """Put one word into an asset's timeline; return what it did to the present, empty for nothing."""
        mark = _hash(change.state) if change.state is not None else ""
        columns = (_V.c.valid_from, _V.c.valid_to, _V.c.last_seen, _V.c.hash)
        query = sa.select(*columns).where(_V.c.id == change.id).order_by(_V.c.valid_from)
        timeline = connection.execute(query).all()
        before = [row for row in timeline if row.valid_from <= change.at]
        after = [row for row in timeline if row.valid_from > change.at]
        present, following = (before[-1] if before else None), (after[0] if after else None)
        listed = connection.scalar(
            sa.select(asset_scope.c.taken_at).where(
                asset_scope.c.scope == change.scope, asset_scope.c.kind == change.kind
            )
        )
        mine = _V.c.id == change.id
        if present is None and following is None:
            if mark and listed is not None and listed > change.at:
                # It is not in a newer listing: it came and went in between.
                self._add(connection, change, mark, change.at, listed)
                self._add(connection, replace(change, state=None), "", listed, None)
                return ""
            self._add(connection, change, mark, change.at, None)
            return self._now_is(connection, change, "added" if mark else "")
        if present is not None and present.hash == mark:
            if change.at > present.last_seen and following is None:
                connection.execute(
                    _V.update().where(mine, _V.c.valid_from == present.valid_from).values(last_seen=change.at)
                )
            return ""
        if present is not None and present.valid_from == change.at:
            # Two words on one moment: an end counts before a state, and of two states always the same one.
            if not present.hash or (mark and mark < present.hash):
                return ""
            connection.execute(_V.delete().where(mine, _V.c.valid_from == change.at))
            self._add(connection, change, mark, change.at, following.valid_from if following else None)
            return self._now_is(connection, change, _what(present.hash, mark)) if following is None else ""
        ends = following.valid_from if following is not None else None
        if present is not None:
            confirmed = present.last_seen
            if following is None and listed is not None:
                confirmed = max(confirmed, listed)
            connection.execute(
                _V.update()
                .where(mine, _V.c.valid_from == present.valid_from)
                .values(valid_to=change.at, last_seen=min(confirmed, change.at))
            )
            if confirmed > change.at and (ends is None or confirmed < ends):
                # What we knew was seen again later: this word is of a time in between.
                again = sa.select(_V).where(mine, _V.c.valid_from == present.valid_from)
                copy: dict[str, Any] = dict(connection.execute(again).one()._mapping)
                copy |= {"valid_from": confirmed, "valid_to": ends, "last_seen": confirmed}
                connection.execute(_V.insert(), copy)
                self._add(connection, change, mark, change.at, confirmed)
                return ""
        if following is not None and following.hash == mark:
            connection.execute(
                _V.update().where(mine, _V.c.valid_from == following.valid_from).values(valid_from=change.at)
            )
            return ""
        self._add(connection, change, mark, change.at, ends)
        if following is not None:
            return ""
        return self._now_is(connection, change, _what(present.hash if present is not None else "", mark))

    @staticmethod
    def _add(connection: sa.Connection, change: AssetChange, mark: str, start: datetime, end: datetime | None) -> None:
        row = _row(change.id, change.scope, change.kind, start, change.state, mark)
        connection.execute(_V.insert(), row | {"valid_to": end})

    def _now_is(self, connection: sa.Connection, change: AssetChange, outcome: str) -> str:
        connection.execute(asset_relation.delete().where(asset_relation.c.source == change.id))
        if change.state is not None:
            self._relate(connection, [change.state])
        return outcome

    def _relate(self, connection: sa.Connection, states: Iterable[AssetState]) -> None:
        rows = [
            {"source": relation.source, "kind": relation.kind, "target": relation.target}
            for state in states
            for relation in state.relations
        ]
        for chunk in _chunks(rows):
            connection.execute(self._insert(asset_relation).on_conflict_do_nothing(), chunk)

    def note(self, events: Collection[AssetEvent]) -> int:
        """See the port."""
        rows = {
            (event.asset, event.id): {
                "asset": event.asset,
                "id": event.id,
                "at": event.at,
                "document": to_document(event),
            }
            for event in events
        }
        count = 0
        with self._db.write() as connection:
            for chunk in _chunks([rows[key] for key in sorted(rows)]):
                statement = self._insert(asset_event).values(chunk).on_conflict_do_nothing()
                count += len(connection.execute(statement.returning(asset_event.c.id)).all())
        return count

    def find(
        self,
        *,
        scope: str = "",
        kind: str = "",
        namespace: str = "",
        text: str = "",
        at: datetime | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[AssetState]:
        """See the port."""
        query = sa.select(_V.c.document).where(_V.c.hash != "")
        if at is None:
            query = query.where(_V.c.valid_to.is_(None))
        else:
            query = query.where(_V.c.valid_from <= at, sa.or_(_V.c.valid_to.is_(None), _V.c.valid_to > at))
        for column, value in ((_V.c.scope, scope), (_V.c.kind, kind), (_V.c.namespace, namespace)):
            if value:
                query = query.where(column == value)
        if text:
            query = query.where(_V.c.name.icontains(text, autoescape=True))
        query = query.order_by(_V.c.scope, _V.c.kind, _V.c.namespace, _V.c.name, _V.c.id).limit(limit).offset(offset)
        with self._db.read() as connection:
            return [from_document(document, AssetState) for document in connection.scalars(query)]

    def relations(self, id: str, limit: int = 1000) -> tuple[list[Relation], list[Relation]]:  # noqa: A002
        """See the port."""
        table = asset_relation
        with self._db.read() as connection:
            return tuple(  # type: ignore[return-value]
                [
                    Relation(row.source, row.kind, row.target)
                    for row in connection.execute(
                        sa.select(table)
                        .where(column == id)
                        .order_by(table.c.kind, table.c.source, table.c.target)
                        .limit(limit)
                    )
                ]
                for column in (table.c.source, table.c.target)
            )

    def objects(self, scope: str) -> Iterator[AssetState]:
        """See the port."""
        query = sa.select(_V.c.document).where(_V.c.scope == scope, _V.c.valid_to.is_(None), _V.c.hash != "")
        with self._db.read() as connection:
            for document in connection.execution_options(yield_per=1000).scalars(query):
                if document["body"]:
                    yield from_document(document, AssetState)

    def counts(self, scope: str = "") -> dict[str, int]:
        """See the port."""
        query = sa.select(_V.c.kind, sa.func.count()).where(_V.c.valid_to.is_(None), _V.c.hash != "")
        if scope:
            query = query.where(_V.c.scope == scope)
        with self._db.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query.group_by(_V.c.kind).order_by(_V.c.kind))}

    def scopes(self) -> list[ScopeState]:
        """See the port."""
        present = (
            sa.select(_V.c.scope, _V.c.kind, sa.func.count().label("assets"))
            .where(_V.c.valid_to.is_(None), _V.c.hash != "")
            .group_by(_V.c.scope, _V.c.kind)
            .subquery()
        )
        query = (
            sa.select(asset_scope, sa.func.coalesce(present.c.assets, 0).label("assets"))
            .outerjoin(present, sa.and_(present.c.scope == asset_scope.c.scope, present.c.kind == asset_scope.c.kind))
            .order_by(asset_scope.c.scope, asset_scope.c.kind)
        )
        with self._db.read() as connection:
            return [ScopeState(row.scope, row.kind, row.taken_at, row.assets) for row in connection.execute(query)]

    def prune(self, before: datetime, versions: int = 50) -> int:
        """See the port."""
        count = 0
        with self._db.write() as connection:
            gone = sa.and_(_V.c.hash == "", _V.c.valid_to.is_(None), _V.c.valid_from < before)
            for condition in (_V.c.valid_to < before, gone):
                count += len(connection.execute(_V.delete().where(condition).returning(_V.c.id)).all())
            many = sa.select(_V.c.id).group_by(_V.c.id).having(sa.func.count() > versions)
            for identifier in connection.scalars(many).all():
                oldest = sa.select(_V.c.valid_from).where(_V.c.id == identifier).order_by(_V.c.valid_from.desc())
                limit = connection.scalars(oldest.limit(1).offset(versions - 1)).one()
                old = _V.delete().where(_V.c.id == identifier, _V.c.valid_from < limit)
                count += len(connection.execute(old.returning(_V.c.id)).all())
            connection.execute(asset_event.delete().where(asset_event.c.at < before))
        return count


def _what(before: str, after: str) -> str:
    if not after:
        return "removed" if before else ""
    return "changed" if before else "added"


def _hash(state: AssetState) -> str:
    raw = msgspec.json.encode(state, order="sorted")
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def _row(identifier: str, scope: str, kind: str, at: datetime, state: AssetState | None, mark: str) -> dict[str, Any]:
    return {
        "id": identifier,
        "valid_from": at,
        "valid_to": None,
        "last_seen": at,
        "scope": scope,
        "kind": kind,
        "namespace": state.namespace if state is not None else "",
        "name": state.asset.name if state is not None else "",
        "hash": mark,
        "document": to_document(state) if state is not None else {},
    }


def _chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    waiting = iter(values)
    while chunk := list(islice(waiting, _CHUNK)):
        yield chunk
