"""`rpmdb.sqlite`: the blobs of table Packages, by walking its b-tree.

Python's sqlite3 would need the database on disk or a second copy in memory, and runs C code on hostile bytes.

Source: SQLite, "Database File Format", 1.3 to 1.6 and 2.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from seawall.domain.errors import InputError

MAGIC = b"SQLite format 3\0"
_INTERIOR, _LEAF = 5, 13
MAX_DEPTH = 20


def blobs(content: bytes) -> Iterator[bytes]:
    """Yield the header blobs of the installed packages.

    Raises:
        InputError: not a database, or damaged here; blobs before it stand.
    """
    database = _Database(content)
    for row in database.rows(1, 0):
        columns = _columns(row)
        if len(columns) > 3 and columns[0] == b"table" and columns[1] == b"Packages" and isinstance(columns[3], int):
            for record in database.rows(columns[3], 0):
                values = _columns(record)
                if len(values) > 1 and isinstance(values[1], bytes):
                    yield values[1]
            return
    raise InputError("database has no table Packages")


class _Database:
    def __init__(self, content: bytes) -> None:
        if len(content) < 512 or not content.startswith(MAGIC):
            raise InputError("not an SQLite database")
        size = int.from_bytes(content[16:18], "big")
        self._page = 65_536 if size == 1 else size
        self._usable = self._page - content[20]
        if self._page < 512 or self._page & (self._page - 1) or self._usable < 480:
            raise InputError(f"SQLite page size {self._page} is not valid")
        self._content = content
        self._seen: set[int] = set()
        self._budget = 2 * len(content)

    def rows(self, page: int, depth: int) -> Iterator[bytes]:
        """Yield the records of a table's b-tree in order."""
        start = (page - 1) * self._page
        if page < 1 or start + self._page > len(self._content) or page in self._seen or depth > MAX_DEPTH:
            raise InputError(f"SQLite page {page} is damaged")
        self._seen.add(page)
        header = start + (100 if page == 1 else 0)
        kind = self._content[header]
        cells = int.from_bytes(self._content[header + 3 : header + 5], "big")
        pointers = header + (12 if kind == _INTERIOR else 8)
        if kind not in (_INTERIOR, _LEAF) or pointers + 2 * cells > start + self._page:
            raise InputError(f"SQLite page {page} is damaged")
        for number in range(cells):
            cell = start + int.from_bytes(self._content[pointers + 2 * number : pointers + 2 * number + 2], "big")
            if kind == _INTERIOR:
                yield from self.rows(int.from_bytes(self._content[cell : cell + 4], "big"), depth + 1)
            else:
                yield self._payload(cell)
        if kind == _INTERIOR:
            yield from self.rows(int.from_bytes(self._content[header + 8 : header + 12], "big"), depth + 1)

    def _payload(self, cell: int) -> bytes:
        length, position = _varint(self._content, cell)
        _, position = _varint(self._content, position)  # the row id
        self._budget -= length
        if self._budget < 0:
            raise InputError("SQLite records are larger than their file")
        usable = self._usable
        if length <= usable - 35:
            return self._content[position : position + length]
        least = (usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (usable - 4)
        if local > usable - 35:
            local = least
        pieces = [self._content[position : position + local]]
        following = int.from_bytes(self._content[position + local : position + local + 4], "big")
        missing = length - local
        while missing > 0 and following:
            start = (following - 1) * self._page
            if start + usable > len(self._content):
                break
            pieces.append(self._content[start + 4 : start + min(usable, missing + 4)])
            missing -= usable - 4
            following = int.from_bytes(self._content[start : start + 4], "big")
        if missing > 0:
            raise InputError("SQLite record is cut off")
        return b"".join(pieces)


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = 0
    for number in range(9):
        if position >= len(content):
            raise InputError("SQLite record is cut off")
        byte = content[position]
        position += 1
        if number == 8:
            return value << 8 | byte, position
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            break
    return value, position


_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def _columns(record: bytes) -> list[bytes | int | None]:
    """Return the columns of a record; texts as bytes."""
    end, position = _varint(record, 0)
    if end > len(record):
        raise InputError("SQLite record is damaged")
    values: list[bytes | int | None] = []
    body = end
    while position < end and len(values) < 100:
        kind, position = _varint(record, position)
        if kind >= 12:
            length = (kind - 12) // 2
            values.append(record[body : body + length])
            body += length
        elif kind in _INTEGER_BYTES:
            values.append(int.from_bytes(record[body : body + _INTEGER_BYTES[kind]], "big", signed=True))
            body += _INTEGER_BYTES[kind]
        elif kind == 7:
            values.append(None)
            body += 8
        else:
            values.append({8: 0, 9: 1}.get(kind))
    return values
