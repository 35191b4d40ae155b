"""Domain values as JSON documents and back."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
"""An escaped NUL in JSON; behind an odd number of backslashes these six characters are text."""


def to_document(value: object) -> Any:
    """Return plain JSON values; bytes as base64, times as RFC 3339. NUL characters, which PostgreSQL refuses, become U+FFFD."""
    raw = msgspec.json.encode(value)
    if b"\\u0000" in raw:
        raw = _NUL.sub("\\1\ufffd".encode(), raw)
    return msgspec.json.decode(raw)


def from_document(document: Any, kind: type[T]) -> T:
    """Return the `kind` that `to_document` wrote."""
    return msgspec.convert(document, kind, strict=False)


def insert_for(dialect: str) -> Any:
    """The dialect's `insert` with `on_conflict_do_*`."""
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return postgresql_insert
