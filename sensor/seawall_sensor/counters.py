"""How many records were taken and how many are on disk: a small file mapped into memory, so that it survives `kill -9`.

What a killed process had taken and not yet written is the difference, and comes back as a count at the next start.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import NamedTuple

_LAYOUT = struct.Struct("<4sIQQQQ36s36s")
"""Magic, version, then the fields of `State`."""
_AFTER_TAKEN = struct.Struct("<QQQ36s36s")
_TAKEN = struct.Struct("<Q")
_MAGIC = b"SWSP"


class State(NamedTuple):
    """What an earlier process left."""

    taken: int
    stored: int
    order: int
    """Number of the last file."""
    batch: int
    """Number of the last batch of the stream."""
    boot: str
    stream: str


class Counters:
    """The mapped file. Without one (a full disk at start) it counts in memory until `persist` succeeds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.durable = False
        self._map = mmap.mmap(-1, _LAYOUT.size)

    def persist(self) -> None:
        """Move into the file, made when it is missing; its space is taken now, so that a full disk is met here and not in
        the middle of a write to memory (SIGBUS). What was counted so far replaces what it held.

        Raises:
            OSError: it can not be made.
        """
        found = self._open()
        found[:] = self._map[:]
        self._map, self.durable = found, True

    def load(self) -> State | None:
        """Open the file and return what it holds; None = it is new or damaged.

        Raises:
            OSError: it can not be made.
        """
        self._map, self.durable = self._open(), True
        magic, _, taken, stored, order, batch, boot, stream = _LAYOUT.unpack_from(self._map)
        if magic != _MAGIC:
            return None
        return State(taken, stored, order, batch, _text(boot), _text(stream))

    def _open(self) -> mmap.mmap:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _LAYOUT.size)
            return mmap.mmap(descriptor, _LAYOUT.size)
        finally:
            os.close(descriptor)

    def begin(self) -> None:
        """Say that the file is ours and nothing was taken yet."""
        struct.pack_into("<4sIQ", self._map, 0, _MAGIC, 1, 0)

    def take(self, total: int) -> None:
        """Say how many records were taken; another thread than `save`'s calls it. No system call."""
        _TAKEN.pack_into(self._map, 8, total)

    def save(self, stored: int, order: int, batch: int, boot: str, stream: str) -> None:
        """Say the rest."""
        _AFTER_TAKEN.pack_into(self._map, 16, stored, order, batch, boot.encode()[:36], stream.encode()[:36])

    def close(self) -> None:
        """Write it out."""
        if self.durable:
            self._map.flush()
        self._map.close()


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode("ascii", "replace")
