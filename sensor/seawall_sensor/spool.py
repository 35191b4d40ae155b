"""The spool: batches on disk until the receiver has them. Bounded by size and age; survives `kill -9` and reboot.

One file per batch: `<order>.swb` = CRC-32 of the rest (u32), header length (u32), header (JSON), zstd payload. A file gets
its name only after its content is on disk, so a name means a whole batch; a broken file is counted and dropped. Beside
them `counters` is mapped into memory: how many records were taken and how many are in batches. What a killed process had
taken and not yet written is the difference, and comes back as a count at the next start.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import msgspec
from seawall.domain.errors import ConfigError

_HEAD = struct.Struct(">II")
_COUNTERS = struct.Struct("<4sIQQQQ36s36s")
"""Magic, version, records taken, records in batches, last order, last batch of the stream, boot id, stream."""
_STATE = struct.Struct("<QQQ36s36s")
"""What follows the records taken."""
_MAGIC = b"SWSP"


class Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a batch beside its payload."""

    boot: str
    stream: str
    batch: int
    records: int
    created_ns: int
    """ns since 1970 UTC."""
    created_boot_ns: int
    """The same in ns since boot: age is measured by it, so that a clock that jumps does not age a spool."""
    payload_bytes: int
    """Uncompressed."""
    lost: dict[str, int] = {}
    loss_reports: int = 0
    """How many of the records report losses of this spool."""
    reported: int = 0
    """What those reports say: it has to be said again when the batch is dropped."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One batch in the spool."""

    order: int
    path: Path
    size_bytes: int


class Spool:
    """A folder of batches, oldest first. One process at a time; its methods are called under the caller's lock.

    When it is full or a batch is too old the oldest go; `dropped` counts their records.
    """

    def __init__(
        self,
        folder: Path,
        *,
        boot: str,
        max_bytes: int = 256 * 1024 * 1024,
        max_age_s: float = 72 * 3600.0,
        boot_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Open or make the folder.

        Raises:
            ConfigError: the folder can not be written.
        """
        self.folder, self.max_bytes, self.max_age_s = folder, max_bytes, max_age_s
        self._boot_ns, self._wall_ns = boot_ns, wall_ns
        self.dropped = 0
        """Records of batches that were dropped by size, age or damage since `take_dropped`."""
        self._again = 0
        self.lost_at_start = 0
        """Records that an earlier process took and did not get onto the disk."""
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._map = _mapped(folder / "counters")
            for leftover in folder.glob("*.tmp"):
                leftover.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"the spool folder {folder} can not be written: {error.strerror}") from error
        self._entries = [
            Entry(int(path.stem), path, path.stat().st_size)
            for path in sorted(folder.glob("*.swb"))
            if path.stem.isdigit()
        ]
        self._open(boot)

    def _open(self, boot: str) -> None:
        magic, _, taken, stored, order, batch, known_boot, stream = _COUNTERS.unpack_from(self._map)
        boot_key = boot.encode()[:36].ljust(36, b"\0")
        fresh = magic != _MAGIC
        # A batch may have got its name just before the counters were told.
        for entry in self._entries:
            if not fresh and entry.order > order:
                header = self._header(entry)
                if header is not None:
                    stored += header.records
                    batch = max(batch, header.batch) if header.stream.encode() == stream.rstrip(b"\0") else batch
        order = (
            max([order, *(entry.order for entry in self._entries)])
            if not fresh
            else max([0, *(e.order for e in self._entries)])
        )
        if not fresh:
            self.lost_at_start = max(0, taken - stored)
        if fresh or known_boot != boot_key:
            stream, batch = str(uuid4()).encode(), 0
        self.boot, self.stream, self._order, self._batch = boot, stream.rstrip(b"\0").decode(), order, batch
        self._taken: int = 0
        self._stored: int = 0
        struct.pack_into("<4sIQ", self._map, 0, _MAGIC, 1, 0)
        self._save()

    @property
    def stored(self) -> int:
        """Records that were put into batches since the start."""
        return self._stored

    @property
    def size_bytes(self) -> int:
        """Of the batches in it."""
        return sum(entry.size_bytes for entry in self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def taken(self, records: int) -> None:
        """Say that `records` are in memory now and will be stored; cheap (no system call)."""
        self._taken += records
        struct.pack_into("<Q", self._map, 8, self._taken)

    def give_up(self, records: int) -> None:
        """Say that `records` that were taken will never be stored; the caller reports them."""
        self._stored += records
        self._save()

    def store(
        self,
        payload: bytes,
        *,
        records: int,
        payload_bytes: int,
        lost: dict[str, int],
        loss_reports: int = 0,
        reported: int = 0,
    ) -> int:
        """Put one compressed payload on disk (fsync) and return its batch number.

        Makes room by dropping the oldest batches; a batch that is larger than the whole spool, or that a full disk
        does not take even then, is dropped itself. Returns 0 then; `dropped` counts it.
        """
        header = Stored(
            boot=self.boot,
            stream=self.stream,
            batch=self._batch + 1,
            records=records,
            created_ns=self._wall_ns(),
            created_boot_ns=self._boot_ns(),
            payload_bytes=payload_bytes,
            lost=lost,
            loss_reports=loss_reports,
            reported=reported,
        )
        head = msgspec.json.encode(header)
        rest = struct.pack(">I", len(head)) + head + payload
        body = struct.pack(">I", zlib.crc32(rest)) + rest
        self.trim(len(body))
        written = len(body) <= self.max_bytes and self._write(body)
        while not written and self._entries and len(body) <= self.max_bytes:
            self._drop(self._entries[0])  # the disk is full although we are within our bound
            written = self._write(body)
        self._stored += records
        if not written:
            self._count(header)
            self._save()
            return 0
        self._batch += 1
        self._save()
        return int(self._batch)

    def _write(self, body: bytes) -> bool:
        order = self._order + 1
        path = self.folder / f"{order:016d}.swb"
        temporary = path.with_suffix(".tmp")
        try:
            with temporary.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError:
            temporary.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            return False
        self._order = order
        self._entries.append(Entry(order, path, len(body)))
        return True

    def trim(self, room_bytes: int = 0) -> None:
        """Drop batches that are too old, and the oldest until `room_bytes` more fit."""
        while self._entries and self.size_bytes + room_bytes > self.max_bytes:
            self._drop(self._entries[0])
        while self._entries:
            header = self._header(self._entries[0])
            if header is not None and self._age_s(header) <= self.max_age_s:
                return
            self._drop(self._entries[0], header)

    def _age_s(self, header: Stored) -> float:
        if header.boot == self.boot:
            return (self._boot_ns() - header.created_boot_ns) / 1e9
        return (self._wall_ns() - header.created_ns) / 1e9

    def _drop(self, entry: Entry, header: Stored | None = None) -> None:
        header = header or self._header(entry)
        if header is not None:
            self._count(header)
        else:
            self.dropped += 1
        self.remove(entry)

    def _count(self, header: Stored) -> None:
        self.dropped += header.records - header.loss_reports
        self._again += header.reported

    def take_dropped(self) -> tuple[int, int]:
        """Return how many records were dropped since the last call, and how many losses their reports had counted."""
        found, self.dropped, self._again = (self.dropped, self._again), 0, 0
        return found

    def first(self) -> tuple[Entry, Stored, bytes] | None:
        """Return the oldest readable batch (compressed payload); broken ones are dropped and counted."""
        while self._entries:
            entry = self._entries[0]
            found = self._read(entry)
            if found is not None:
                return entry, *found
            self._drop(entry)
        return None

    def remove(self, entry: Entry) -> None:
        """Forget a batch: the receiver has it, or refused it for good."""
        entry.path.unlink(missing_ok=True)
        self._entries = [each for each in self._entries if each.order != entry.order]

    def close(self) -> None:
        """Write the counters out."""
        self._map.flush()
        self._map.close()

    def _header(self, entry: Entry) -> Stored | None:
        try:
            with entry.path.open("rb") as file:
                _, length = _HEAD.unpack(file.read(_HEAD.size))
                return msgspec.json.decode(file.read(min(length, 1 << 20)), type=Stored)
        except (OSError, struct.error, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _read(self, entry: Entry) -> tuple[Stored, bytes] | None:
        try:
            body = entry.path.read_bytes()
            checksum, length = _HEAD.unpack_from(body)
            if zlib.crc32(body[4:]) != checksum:
                return None
            return msgspec.json.decode(body[8 : 8 + length], type=Stored), body[8 + length :]
        except (OSError, struct.error, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _save(self) -> None:
        # Not `taken`: another thread writes it.
        _STATE.pack_into(
            self._map, 16, self._stored, self._order, self._batch, self.boot.encode()[:36], self.stream.encode()
        )


def _mapped(path: Path) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.fstat(descriptor).st_size < _COUNTERS.size:
            os.ftruncate(descriptor, _COUNTERS.size)
        return mmap.mmap(descriptor, _COUNTERS.size)
    finally:
        os.close(descriptor)
