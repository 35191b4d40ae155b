"""The spool: batches on disk until the receiver has them. Bounded by size and age; survives `kill -9` and reboot.

One file per batch: `<order>.swb` = CRC-32 of the rest (u32), header length (u32), header (JSON), zstd payload. A file gets
its name only after its content is on disk, so a name means a whole batch; a broken file is counted and dropped.

A disk that takes nothing (full, read-only, broken) holds up nothing: batches are held in memory, within a bound of their
own, delivered from there, and written out when the disk takes them again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import msgspec
from seawall.domain.errors import ConfigError

from seawall_sensor.counters import Counters

_HEAD = struct.Struct(">II")
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_PASSES = _NO_ROOM | {errno.EIO}
"""Errors at the start that mend themselves; others are mistakes of whoever set it up."""


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


@dataclass(slots=True)
class Entry:
    """One batch in the spool."""

    order: int
    path: Path
    size_bytes: int
    counts: tuple[int, int, int] | None = None
    """Records, loss reports among them, what those say; None = it is in the file's header."""
    held: bytes | None = None
    """The whole file, when the disk did not take it."""
    out: bool = False
    """On its way to the receiver: who drops it now might count as lost what arrives."""


class Spool:
    """A folder of batches, oldest first. One process at a time; its methods are called under the caller's lock.

    When it is full or a batch is too old the oldest go. After `__init__` nothing raises an `OSError`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        boot: str,
        max_bytes: int = 256 * 1024 * 1024,
        max_age_s: float = 72 * 3600.0,
        max_held_bytes: int = 8 * 1024 * 1024,
        boot_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Open or make the folder. `max_held_bytes`: what is kept in memory while the disk takes nothing.

        Raises:
            ConfigError: the folder can not be written. A full disk is none: that mends itself.
        """
        self.folder, self.max_bytes, self.max_age_s, self.max_held_bytes = folder, max_bytes, max_age_s, max_held_bytes
        self._boot_ns, self._wall_ns = boot_ns, wall_ns
        self.wrong = ""
        """Why the disk took nothing at the last try; empty = it did."""
        self._dropped: Counter[str] = Counter()
        self._again = 0
        self.lost_at_start = 0
        """Records that an earlier process took and did not get onto the disk."""
        self._entries: dict[int, Entry] = {}
        self.size_bytes = self.held_bytes = 0
        self._counters = Counters(folder / "counters")
        state = None
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for leftover in folder.glob("*.tmp"):
                leftover.unlink(missing_ok=True)
            for path in sorted(folder.glob("*.swb")):
                if path.stem.isdigit():
                    self._add(Entry(int(path.stem), path, path.stat().st_size))
            state = self._counters.load()
        except OSError as error:
            if error.errno not in _PASSES:
                raise ConfigError(f"the spool folder {folder} can not be written: {error.strerror}") from error
            self.wrong = error.strerror or str(error)
        self.boot = boot[:36]
        self.stream, self._order, self._batch, stored = "", max([0, *self._entries]), 0, 0
        if state is not None:
            self.stream, self._batch, stored = state.stream, state.batch, state.stored
            # A batch may have got its name just before the counters were told.
            for entry in self._entries.values():
                header = self._header(entry) if entry.order > state.order else None
                if header is not None:
                    stored += header.records
                    if header.stream == self.stream:
                        self._batch = max(self._batch, header.batch)
            self._order = max(self._order, state.order)
            self.lost_at_start = max(0, state.taken - stored)
        if state is None or state.boot != self.boot:
            self.stream, self._batch = str(uuid4()), 0
        self._taken = self._stored = 0
        self.placed = 0
        """Records that were put into batches since the start."""
        self._counters.begin()
        self._save()

    def __len__(self) -> int:
        return len(self._entries)

    def taken(self, records: int) -> None:
        """Say that `records` are in memory now and will be stored; cheap (no system call)."""
        self._taken += records
        self._counters.take(self._taken)

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
        """Put one compressed payload on disk (fsync), or hold it while the disk takes nothing; return its batch number.

        Makes room by dropping the oldest batches; a batch that is larger than the whole spool, or for which there is no
        room even then, is dropped itself. Returns 0 then.
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
        self.placed += records
        counts = (records, loss_reports, reported)
        fits = len(body) <= self.max_bytes
        if fits:
            self.trim(len(body))
            fits = self.size_bytes + len(body) <= self.max_bytes
        if not fits or not self._place(body, counts):
            self._count(counts, "disk" if fits else "size")
            self._stored += records
            self._save()
            return 0
        self._batch += 1
        self._save()
        return self._batch

    def _place(self, body: bytes, counts: tuple[int, int, int]) -> bool:
        order = self._order + 1
        entry = Entry(order, self.folder / f"{order:016d}.swb", len(body), counts)
        while True:
            failure = self._write(entry.path, body)
            if failure == 0:
                self._stored += counts[0]
                self._write_out()
                break
            if self.held_bytes + len(body) <= self.max_held_bytes:
                entry.held = body
                break
            # Room in memory, or on a full disk, comes from the oldest; a disk that is broken keeps what it has.
            oldest = self._oldest(held=failure not in _NO_ROOM)
            if oldest is None:
                return False
            self._drop(oldest, "disk")
        self._order = order
        self._add(entry)
        return True

    def _write(self, path: Path, body: bytes) -> int:
        """Return 0, or the number of the error."""
        for last in (False, True):
            try:
                self._write_file(path, body)
                if not self._counters.durable:
                    self._counters.persist()
            except OSError as error:
                for leftover in (path.with_suffix(".tmp"), path):
                    with contextlib.suppress(OSError):
                        leftover.unlink(missing_ok=True)
                if error.errno == errno.ENOENT and not last and self._make_folder():
                    continue
                self.wrong = error.strerror or str(error)
                return error.errno or errno.EIO
            break
        self.wrong = ""
        return 0

    def _make_folder(self) -> bool:
        """The folder was removed: make it again, and the counters with it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._counters.persist()
        except OSError:
            return False
        return True

    def _write_file(self, path: Path, body: bytes) -> None:
        temporary = path.with_suffix(".tmp")
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

    def _write_out(self) -> None:
        """The disk takes batches again: give it those that are held."""
        for entry in [each for each in self._entries.values() if each.held is not None] if self.held_bytes else []:
            assert entry.held is not None
            if self._write(entry.path, entry.held):
                return
            self.held_bytes -= entry.size_bytes
            entry.held = None
            self._stored += entry.counts[0] if entry.counts else 0

    def trim(self, room_bytes: int = 0) -> None:
        """Drop batches that are too old, and the oldest until `room_bytes` more fit."""
        while self.size_bytes + room_bytes > self.max_bytes and (entry := self._oldest()) is not None:
            self._drop(entry, "size")
        while (entry := self._oldest()) is not None:
            header = self._header(entry)
            if header is not None and self._age_s(header) <= self.max_age_s:
                return
            self._drop(entry, "age" if header is not None else "damaged")

    def _oldest(self, *, held: bool = False) -> Entry | None:
        """The oldest that may be dropped; `held`: of those in memory."""
        return next((each for each in self._entries.values() if not each.out and (each.held or not held)), None)

    def _age_s(self, header: Stored) -> float:
        if header.boot == self.boot:
            return (self._boot_ns() - header.created_boot_ns) / 1e9
        return (self._wall_ns() - header.created_ns) / 1e9

    def _drop(self, entry: Entry, reason: str) -> None:
        counts = entry.counts
        if counts is None:
            header = self._header(entry)
            counts = (header.records, header.loss_reports, header.reported) if header is not None else (1, 0, 0)
        self._count(counts, reason)
        self.remove(entry)

    def _count(self, counts: tuple[int, int, int], reason: str) -> None:
        records, loss_reports, reported = counts
        self._dropped[reason] += records - loss_reports
        self._again += reported

    def take_dropped(self) -> tuple[dict[str, int], int]:
        """Return how many records were dropped since the last call by reason (size, age, damaged, disk), and how many losses
        their reports had counted."""
        found, self._dropped, again, self._again = self._dropped, Counter(), self._again, 0
        return {reason: number for reason, number in found.items() if number}, again

    def first(self) -> tuple[Entry, Stored, bytes] | None:
        """Return the oldest readable batch (compressed payload), which is not dropped until `remove` or `put_back`; broken
        ones are dropped and counted."""
        while (entry := self._oldest()) is not None:
            found = self._read(entry)
            if found is not None:
                entry.out = True
                return entry, *found
            self._drop(entry, "damaged")
        return None

    def put_back(self, entry: Entry) -> None:
        """It was not delivered."""
        entry.out = False

    def remove(self, entry: Entry) -> None:
        """Forget a batch: the receiver has it, or refused it for good. A file that can not be removed comes again after a
        restart, under its number: receivers know it."""
        if self._entries.pop(entry.order, None) is None:
            return
        self.size_bytes -= entry.size_bytes
        if entry.held is not None:
            self.held_bytes -= entry.size_bytes
            self._stored += entry.counts[0] if entry.counts else 0
            self._save()
            return
        with contextlib.suppress(OSError):
            entry.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Try once more to write out what is held, and the counters."""
        self._write_out()
        self._save()
        self._counters.close()

    def _add(self, entry: Entry) -> None:
        self._entries[entry.order] = entry
        self.size_bytes += entry.size_bytes
        if entry.held is not None:
            self.held_bytes += entry.size_bytes

    def _header(self, entry: Entry) -> Stored | None:
        try:
            if entry.held is not None:
                return self._parsed(entry.held)[0]
            with entry.path.open("rb") as file:
                _, length = _HEAD.unpack(file.read(_HEAD.size))
                return msgspec.json.decode(file.read(min(length, 1 << 20)), type=Stored)
        except (OSError, struct.error, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _read(self, entry: Entry) -> tuple[Stored, bytes] | None:
        try:
            body = entry.held if entry.held is not None else entry.path.read_bytes()
            if zlib.crc32(body[4:]) != _HEAD.unpack_from(body)[0]:
                return None
            return self._parsed(body)
        except (OSError, struct.error, msgspec.DecodeError, UnicodeDecodeError):
            return None

    @staticmethod
    def _parsed(body: bytes) -> tuple[Stored, bytes]:
        _, length = _HEAD.unpack_from(body)
        return msgspec.json.decode(body[8 : 8 + length], type=Stored), body[8 + length :]

    def _save(self) -> None:
        self._counters.save(self._stored, self._order, self._batch, self.boot, self.stream)
