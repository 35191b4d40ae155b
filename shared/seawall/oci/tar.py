"""A tar reader over a stream of bytes: one pass, nothing on disk, unwanted content skipped without a copy.

Reads ustar, PAX (local and global records, sparse 0.x and 1.0) and GNU (long names, base-256 numbers, old sparse).
Python's `tarfile` costs about ten times as much per entry and trusts its input more than we do.

Source: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from seawall.domain.errors import InputError, TooLarge
from seawall.oci.limits import Limits

BLOCK = 512
FILE, HARDLINK, SYMLINK, DIRECTORY, OTHER = "file", "hardlink", "symlink", "directory", "other"

_HEADER = struct.Struct("100s8s16s12s12x8xc100s8s80x155s12x")
_KINDS = {
    b"0": FILE,
    b"\0": FILE,
    b"7": FILE,
    b"S": FILE,
    b"1": HARDLINK,
    b"2": SYMLINK,
    b"5": DIRECTORY,
    b"3": OTHER,
    b"4": OTHER,
    b"6": OTHER,
}
_SPARSE_MAP = struct.Struct("12s12s")


class TarEntry(NamedTuple):
    """One entry. `path` is relative and clean (no `.`, `..`, empty parts); `link` as written."""

    path: str
    kind: str
    mode: int
    size_bytes: int
    link: str = ""


class TarReader:
    """Iterate for entries; between two entries, `read` and `peek` give the content of the one just returned.

    `refuse(path, reason)` hears of every entry that is left out; reading goes on behind it.

    Raises (from iteration):
        InputError: the archive is damaged or cut off here; entries before it stand.
        TooLarge: more entries than the limit.
    """

    def __init__(self, chunks: Iterator[bytes], limits: Limits, refuse: Callable[[str, str], None]) -> None:
        self._chunks = chunks
        self._limits = limits
        self._refuse = refuse
        self._buffer = b""
        self._position = 0
        self._left = 0  # content bytes of the current entry not yet read
        self._padding = 0
        self._sparse = False
        self.entries = 0

    def __iter__(self) -> Iterator[TarEntry]:
        long_name = long_link = None
        pax: dict[str, str] = {}
        pax_global: dict[str, str] = {}
        unpack = _HEADER.unpack_from
        limits = self._limits
        while True:
            if self._left or self._padding:
                self._skip(self._left)
                if self._padding and self._skip_padding(self._padding):
                    return  # umoci ends an archive behind the last file's last byte
                self._left = self._padding = 0
            position = self._position
            if len(self._buffer) - position >= BLOCK:
                buffer = self._buffer
                self._position = position + BLOCK
            else:
                block = self._take(BLOCK, short=True)
                if not block:
                    if long_name or long_link or pax:
                        raise InputError("tar archive ends after an extended header")
                    return  # some writers leave the end-of-archive blocks out
                if len(block) < BLOCK:
                    if block.strip(b"\0"):
                        raise InputError("tar archive ends within a header")
                    return
                buffer, position = block, 0
            if buffer[position] == 0 and not buffer[position : position + BLOCK].strip(b"\0"):
                self._drain()
                return
            self.entries += 1
            if self.entries > limits.entries:
                raise TooLarge(f"layer has over {limits.entries} entries")
            raw_name, raw_mode, _ids, raw_size, flag, raw_link, magic, raw_prefix = unpack(buffer, position)
            if not _checksum_holds(buffer, position):
                raise InputError(f"tar header of entry {self.entries} is damaged (checksum)")
            size = _number(raw_size)
            if size < 0:
                raise InputError(f"tar header of entry {self.entries} has a negative size")
            if flag in b"xgLKX" and flag != b"\0":
                if size > limits.header_bytes:
                    self._refuse("", f"extended header of {size} bytes, at most {limits.header_bytes} are read")
                    self._left, self._padding = size, -size % BLOCK
                    continue
                content = self._take(size)
                self._skip(-size % BLOCK)
                if flag == b"L":
                    long_name = content.rstrip(b"\0")
                elif flag == b"K":
                    long_link = content.rstrip(b"\0")
                elif flag == b"g":
                    pax_global.update(_pax(content))
                else:
                    pax = _pax(content)
                continue
            kind = _KINDS.get(flag, FILE)  # POSIX: unknown types are treated as regular files
            raw_name = raw_name.partition(b"\0")[0]
            if raw_prefix[0] and magic.startswith(b"ustar\0"):
                raw_name = raw_prefix.partition(b"\0")[0] + b"/" + raw_name
            if long_name is not None:
                raw_name, long_name = long_name, None
            if long_link is not None:
                raw_link, long_link = long_link, None
            path = raw_name.decode("utf-8", "backslashreplace")
            link = (
                raw_link.partition(b"\0")[0].decode("utf-8", "backslashreplace") if kind in (HARDLINK, SYMLINK) else ""
            )
            self._sparse = False
            if pax or pax_global:
                records = {**pax_global, **pax} if pax_global else pax
                pax = {}
                path = records.get("GNU.sparse.name") or records.get("path") or path
                link = records.get("linkpath", link) if link else link
                if "size" in records:
                    size = _decimal(records["size"])
                self._sparse = any(key.startswith("GNU.sparse.") for key in records)
            if kind is FILE:
                if path.endswith("/") and flag in b"0\0":  # before POSIX, a directory was a name with a slash
                    kind = DIRECTORY
                self._left, self._padding = size, -size % BLOCK
            elif kind is not HARDLINK or size == 0:
                self._left = self._padding = 0
            else:  # a hard link may carry its content (POSIX pax)
                self._left, self._padding = size, -size % BLOCK
            if flag == b"S":
                self._sparse = True
                if buffer[position + 482]:
                    self._skip_sparse_headers()
            clean = _clean(path, limits)
            if clean.__class__ is str:
                if clean:
                    yield TarEntry(clean, kind, _number(raw_mode), self._left, link)
            else:
                self._refuse(path[:200], str(clean))

    def read(self) -> bytes:
        """Return the rest of the current entry's content.

        Raises:
            InputError: the archive is cut off, or the file is sparse (its holes are not kept).
        """
        if self._sparse:
            raise InputError("sparse file")
        content = self._take(self._left)
        self._left = 0
        return content

    def peek(self, size: int) -> bytes:
        """Return the first `size` bytes of the content (fewer at its end) without taking them."""
        size = min(size, self._left)
        if len(self._buffer) - self._position < size:
            taken = self._take(size, short=True)
            self._buffer = taken + self._buffer[self._position :]
            self._position = 0
        return self._buffer[self._position : self._position + size]

    def stream(self) -> Iterator[bytes]:
        """Yield the rest of the current entry's content in pieces, for files too large to hold."""
        while self._left:
            if self._position >= len(self._buffer):
                self._refill()
            piece = self._buffer[self._position : self._position + self._left]
            self._position += len(piece)
            self._left -= len(piece)
            yield piece

    def _refill(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise InputError("tar archive is cut off")
        self._buffer, self._position = chunk, 0

    def _take(self, size: int, *, short: bool = False) -> bytes:
        position = self._position
        if len(self._buffer) - position >= size:
            self._position = position + size
            return self._buffer[position : position + size]
        # BytesIO hands its buffer over without a copy: a large file lies in memory once
        whole = io.BytesIO()
        missing = size - whole.write(memoryview(self._buffer)[position:])
        self._buffer, self._position = b"", 0
        while missing > 0:
            chunk = next(self._chunks, None)
            if chunk is None:
                if short:
                    break
                raise InputError("tar archive is cut off")
            if len(chunk) > missing:
                self._buffer, self._position = chunk, missing
            missing -= whole.write(memoryview(chunk)[:missing])
        return whole.getvalue()

    def _skip(self, size: int) -> None:
        while True:
            here = len(self._buffer) - self._position
            if here >= size:
                self._position += size
                return
            size -= here
            self._refill()

    def _skip_padding(self, size: int) -> bool:
        """Skip what fills the last block; return whether the archive ends there instead."""
        here = len(self._buffer) - self._position
        if here >= size:
            self._position += size
            return False
        return len(self._take(size, short=True)) < size

    def _skip_sparse_headers(self) -> None:
        for _ in range(self._limits.header_bytes // BLOCK):
            if not self._take(BLOCK)[504]:
                return
        raise InputError("sparse map is over the limit")

    def _drain(self) -> None:
        """Read what follows the end of the archive, so that the layer's digest can be checked."""
        self._buffer, self._position = b"", 0
        for _ in self._chunks:
            pass


def _checksum_holds(buffer: bytes, position: int) -> bool:
    # Adler-32's low half is 1 + the byte sum modulo 65,521: the sum that tar asks for, at C speed.
    field = buffer[position + 148 : position + 156]
    total = (zlib.adler32(buffer[position : position + BLOCK]) & 0xFFFF) - 1 - sum(field) + 256
    try:
        wanted = int(field.partition(b"\0")[0].strip() or b"-1", 8)
    except ValueError:
        return False
    return (total - wanted) % 65_521 == 0


def _number(field: bytes) -> int:
    """Return a header number: octal text, or base-256 where the first bit is set. Unreadable ones give -1."""
    if field[0] & 0x80:
        value = int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
        return value if value < 1 << 62 else -1
    try:
        return int(field.partition(b"\0")[0].strip() or b"0", 8)
    except ValueError:
        return -1


def _decimal(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InputError("PAX size is not a number")
    return int(text)


def _pax(content: bytes) -> dict[str, str]:
    """Return the records of a PAX header; damaged ones end the list."""
    records: dict[str, str] = {}
    position = 0
    while position < len(content):
        space = content.find(b" ", position, position + 20)
        length = content[position:space] if space > 0 else b""
        if not length.isdigit() or int(length) < 5 or position + int(length) > len(content):
            break
        end = position + int(length)
        key, equals, value = content[space + 1 : end - 1].partition(b"=")
        if equals:
            records[key.decode("utf-8", "backslashreplace")] = value.decode("utf-8", "backslashreplace")
        position = end
    return records


class _Refusal(str):
    """Why a path is left out."""

    __slots__ = ()


def _clean(path: str, limits: Limits) -> str:
    """Return `path` relative and without `.`, or a `_Refusal`; empty for the root itself."""
    if "./" in path or "//" in path or path.startswith(("/", ".")) or path.endswith(("/", "/.", "/..")) or "\0" in path:
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts:
            return _Refusal("path leaves the image (..)")
        path = "/".join(parts)
    if len(path) > limits.path_bytes:
        return _Refusal(f"path is longer than {limits.path_bytes} characters")
    if path.count("/") >= limits.path_depth:
        return _Refusal(f"path is deeper than {limits.path_depth} folders")
    return path
