"""One engine, two kinds of transaction, migrations at start."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from seawall.domain.errors import ConfigError, Unavailable

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for SQLite's one write lock."""


class Database:
    """Opens `url` (`sqlite:///path` or `postgresql+psycopg://…`), creating a missing SQLite file's folder.

    `password` gives PostgreSQL's password of each new connection: a token of an identity.

    Raises:
        ConfigError: the URL is not of a supported database.
    """

    def __init__(self, url: str, password: Callable[[], str] | None = None) -> None:
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError as error:
            raise ConfigError(
                "store_url is not a database URL", hint="sqlite:///path or postgresql+psycopg://host/name"
            ) from error
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise ConfigError(
                f"store_url: {parsed.get_backend_name()} is not supported", hint="sqlite or postgresql+psycopg"
            )
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite:
            if parsed.database and parsed.database != ":memory:":
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            self.engine = sa.create_engine(parsed, pool_size=8, max_overflow=16)
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
        else:
            self.engine = sa.create_engine(parsed, pool_pre_ping=True, pool_size=8, max_overflow=16)
            sa.event.listen(self.engine, "connect", _prepare_postgresql)
            if password is not None:
                sa.event.listen(self.engine, "do_connect", _with_password(password))

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads."""
        with _translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that commits at the end; SQLite takes the write lock at its start, so it never fails half-way."""
        with (
            _translated(),
            self.engine.connect().execution_options(seawall_write=True) as connection,
            connection.begin(),
        ):
            yield connection

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("the store has no connection free", retry_after_s=5) from error
    except OperationalError as error:
        raise Unavailable("the store does not answer", hint=str(error.orig).splitlines()[0]) from error
    except DBAPIError as error:
        if error.connection_invalidated or "could not serialize" in str(error.orig) or "deadlock" in str(error.orig):
            raise Unavailable("the store asked to try again", hint=str(error.orig).splitlines()[0]) from error
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:  # the rest says more than we ask
            raise Unavailable("the store is damaged", hint=f"{error.orig}; put a backup in its place") from error
        raise


_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _with_password(password: Callable[[], str]) -> Callable[..., None]:
    def give(_dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]) -> None:
        parameters["password"] = password()

    return give


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we send BEGIN ourselves; the driver's own comes too late for reads
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"busy_timeout={BUSY_TIMEOUT_MS}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_postgresql(connection: Any, _record: object) -> None:
    """Texts with what PostgreSQL does not take (NUL, halves of surrogate pairs) are stored with U+FFFD in its place.

    Names of objects in the URL of a refused request reach us as they were sent: one must not cost its whole batch.
    """
    from psycopg.types.string import StrBinaryDumper, StrDumper

    for kind in (StrBinaryDumper, StrDumper):
        connection.adapters.register_dumper(str, type(kind.__name__, (_Storable, kind), {}))


class _Storable:
    def dump(self, obj: str) -> Any:
        if "\0" in obj or not obj.isascii():
            obj = obj.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
        return super().dump(obj)  # type: ignore[misc]


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("seawall_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
