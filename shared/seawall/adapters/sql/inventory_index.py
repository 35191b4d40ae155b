"""The inverted index of packages: distinct packages once, and a row per package and image.

component          one distinct package of the fleet, by the hash of what identifies it
component_key      where its advisories stand: (ecosystem, name) -> component
indexed_image      digest -> number, and the numbers of its components
image_component    (component, image): a primary key in the order that questions come in
"""

from __future__ import annotations

import array
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import from_document, insert_for, to_document
from seawall.adapters.sql.schema import Document, metadata
from seawall.domain.packages import Package
from seawall.ports.inventory_index import Component, PackageKey
from seawall.vulnerability.ecosystems import lookups

component = sa.Table(
    "component",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Column("document", Document, nullable=False),
)
component_key = sa.Table(
    "component_key",
    metadata,
    sa.Column("ecosystem", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("component", sa.Integer, primary_key=True),
    sqlite_with_rowid=False,
)
indexed_image = sa.Table(
    "indexed_image",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("components", sa.LargeBinary, nullable=False),
)
image_component = sa.Table(
    "image_component",
    metadata,
    sa.Column("component", sa.Integer, primary_key=True),
    sa.Column("image", sa.Integer, primary_key=True),
    sqlite_with_rowid=False,
)

_CHUNK = 400
"""Values in one statement: below the limits of both databases."""


class SqlInventoryIndex:
    """Fulfils `ports.inventory_index.InventoryIndex`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)

    def put(self, digest: str, packages: Iterable[Package]) -> None:
        """See the port. Packages without an ecosystem have no advisories and are left out."""
        wanted = {_hash(package): package for package in map(_identity, packages) if lookups(package)}
        with self._db.write() as connection:
            numbers = self._numbers(connection, wanted)
            # The update that changes nothing takes the row's lock: two scans of one image come one after the other.
            statement = self._insert(indexed_image).values(digest=digest, components=b"")
            statement = statement.on_conflict_do_update(index_elements=["digest"], set_={"digest": digest})
            row = connection.execute(statement.returning(indexed_image.c.number, indexed_image.c.components)).one()
            image, before = row.number, set(_unpacked(row.components))
            if before == numbers:
                return
            connection.execute(
                indexed_image.update().where(indexed_image.c.number == image).values(components=_packed(numbers))
            )
            for chunk in _chunks(sorted(before - numbers)):
                connection.execute(
                    image_component.delete().where(
                        image_component.c.image == image, image_component.c.component.in_(chunk)
                    )
                )
            added = [{"component": number, "image": image} for number in sorted(numbers - before)]
            if added:
                connection.execute(self._insert(image_component).on_conflict_do_nothing(), added)

    def _numbers(self, connection: sa.Connection, wanted: dict[str, Package]) -> set[int]:
        known = self._known(connection, wanted)
        missing = {key: package for key, package in wanted.items() if key not in known}
        if missing:
            # In one order everywhere, so that two scans that bring the same new packages do not wait for each other.
            rows = [{"hash": key, "document": to_document(missing[key])} for key in sorted(missing)]
            connection.execute(self._insert(component).on_conflict_do_nothing(index_elements=["hash"]), rows)
            known |= self._known(connection, missing)
            keys = {
                (lookup.ecosystem, lookup.name, known[key])
                for key, package in missing.items()
                for lookup in lookups(package)
            }
            connection.execute(
                self._insert(component_key).on_conflict_do_nothing(),
                [
                    {"ecosystem": ecosystem, "name": name, "component": number}
                    for ecosystem, name, number in sorted(keys)
                ],
            )
        return set(known.values())

    @staticmethod
    def _known(connection: sa.Connection, wanted: Iterable[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for chunk in _chunks(sorted(wanted)):
            query = sa.select(component.c.hash, component.c.number).where(component.c.hash.in_(chunk))
            found.update((row.hash, row.number) for row in connection.execute(query))
        return found

    def components(self, keys: Collection[PackageKey]) -> list[Component]:
        """See the port."""
        found: dict[int, Component] = {}
        by_ecosystem: dict[str, list[str]] = {}
        for ecosystem, name in keys:
            by_ecosystem.setdefault(ecosystem, []).append(name)
        with self._db.read() as connection:
            for ecosystem, names in sorted(by_ecosystem.items()):
                for chunk in _chunks(sorted(names)):
                    query = (
                        sa.select(component.c.number, component.c.document)
                        .join(component_key, component_key.c.component == component.c.number)
                        .where(component_key.c.ecosystem == ecosystem, component_key.c.name.in_(chunk))
                    )
                    for row in connection.execute(query):
                        found[row.number] = Component(row.number, from_document(row.document, Package))
        return [found[number] for number in sorted(found)]

    def images(self, components: Collection[int]) -> Iterator[tuple[int, str]]:
        """See the port."""
        with self._db.read() as connection:
            for chunk in _chunks(sorted(components)):
                query = (
                    sa.select(image_component.c.component, indexed_image.c.digest)
                    .join(indexed_image, indexed_image.c.number == image_component.c.image)
                    .where(image_component.c.component.in_(chunk))
                )
                for row in connection.execution_options(yield_per=10_000).execute(query):
                    yield row[0], row[1]

    def digests(self) -> Iterator[str]:
        """See the port."""
        with self._db.read() as connection:
            yield from connection.scalars(sa.select(indexed_image.c.digest).order_by(indexed_image.c.number)).all()

    def counts(self) -> tuple[int, int]:
        """See the port."""
        with self._db.read() as connection:
            images = connection.scalar(sa.select(sa.func.count()).select_from(indexed_image)) or 0
            return images, connection.scalar(sa.select(sa.func.count()).select_from(component)) or 0


def _identity(package: Package) -> Package:
    """What tells packages apart wherever they lie."""
    return replace(package, licenses=(), path="", layer="", created_by="", analyzer="", files=())


def _hash(package: Package) -> str:
    parts = (package.purl, package.ecosystem, package.name, package.version, package.source, package.source_version)
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _packed(numbers: Iterable[int]) -> bytes:
    return array.array("I", sorted(numbers)).tobytes()


def _unpacked(raw: bytes) -> Sequence[int]:
    out = array.array("I")
    out.frombytes(raw)
    return out


def _chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    waiting = iter(values)
    while chunk := list(islice(waiting, _CHUNK)):
        yield chunk
