"""Which features were seen on which of the last 32 days: the whole memory of the baselines.

A feature (family, subject, value) is a 64-bit key. Its state is one integer: the newest day it was seen on and one bit
for each of the 32 days up to then. Seeing it again on the same day changes nothing and two sketches merge by OR, so a
sketch is a function of the set of (feature, day) pairs that trained it: commutative, associative and idempotent, which
is what at-least-once and out-of-order delivery need. Counts are counts of days, never of events.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime

from seawall.domain.errors import InputError

MEMORY_DAYS = 32
"""A feature that was not seen for this long is forgotten."""

_SHIFT = 32
_MASK = (1 << MEMORY_DAYS) - 1
_MAGIC = b"SWB1"
_HEADER = struct.Struct("<4sIII")
MAX_FEATURES = 4_000_000
"""Most features that one sketch's bytes may hold; more is refused as damaged or hostile."""


def feature_key(family: str, subject: str, value: str) -> int:
    """Return the 64-bit key of a feature, the same on every host. Two features share one with probability 2⁻⁶⁴."""
    text = f"{len(family)}:{family}{len(subject)}:{subject}{value}"
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def day_of(ts: datetime) -> int:
    """Return the UTC day of `ts`, counted from 1970-01-01."""
    return int(ts.astimezone(UTC).timestamp() // 86_400)


def joined(one: int, other: int) -> int:
    """Return the union of two states: days newer than either are kept, days out of reach of the newest fall off."""
    if one >> _SHIFT < other >> _SHIFT:
        one, other = other, one
    newest = one >> _SHIFT
    older = (other & _MASK) << (newest - (other >> _SHIFT)) if newest - (other >> _SHIFT) < MEMORY_DAYS else 0
    return newest << _SHIFT | ((one | older) & _MASK)


class Sketch:
    """Features with their days. `epoch` counts resets: of two epochs the higher one wins whole. `start` is the first day
    learnt from within the epoch, 0 = none."""

    __slots__ = ("epoch", "start", "table")

    def __init__(self, epoch: int = 0, start: int = 0, table: dict[int, int] | None = None) -> None:
        self.epoch = epoch
        self.start = start
        self.table = {} if table is None else table

    def observe(self, key: int, day: int) -> bool:
        """Note that the feature was seen on `day`; return False when that was known."""
        if not self.start or day < self.start:
            self.start = day
        before = self.table.get(key)
        after = day << _SHIFT | 1 if before is None else joined(before, day << _SHIFT | 1)
        self.table[key] = after
        return after != before

    def days(self, key: int, today: int) -> int:
        """On how many of the `MEMORY_DAYS` days up to `today` the feature was seen, or on later ones."""
        state = self.table.get(key)
        if state is None:
            return 0
        behind = today - (state >> _SHIFT)
        if behind <= 0:
            return (state & _MASK).bit_count()
        return ((state << behind) & _MASK).bit_count() if behind < MEMORY_DAYS else 0

    def days_before(self, key: int, day: int) -> int:
        """On how many days in memory before `day` the feature was seen."""
        state = self.table.get(key)
        if state is None:
            return 0
        return ((state & _MASK) >> max((state >> _SHIFT) - day + 1, 0)).bit_count()

    def each_day(self, key: int) -> tuple[int, ...]:
        """The days in memory on which the feature was seen, newest first."""
        state = self.table.get(key, 0)
        newest = state >> _SHIFT
        return tuple(newest - back for back in range((state & _MASK).bit_length()) if state >> back & 1)

    def first_day(self, key: int) -> int:
        """The earliest day in memory on which the feature was seen, 0 = never."""
        state = self.table.get(key)
        return 0 if state is None else (state >> _SHIFT) - (state & _MASK).bit_length() + 1

    def merge(self, other: Sketch) -> None:
        """Take what `other` knows; merging the same again changes nothing."""
        if other.epoch < self.epoch:
            return
        if other.epoch > self.epoch:
            self.epoch, self.start, self.table = other.epoch, other.start, dict(other.table)
            return
        if other.start and (not self.start or other.start < self.start):
            self.start = other.start
        table = self.table
        for key, state in other.table.items():
            before = table.get(key)
            table[key] = state if before is None else joined(before, state)

    def forget(self, today: int) -> int:
        """Drop features that were not seen for `MEMORY_DAYS`; return how many."""
        gone = [key for key, state in self.table.items() if today - (state >> _SHIFT) >= MEMORY_DAYS]
        for key in gone:
            del self.table[key]
        return len(gone)

    def __len__(self) -> int:
        return len(self.table)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sketch):
            return NotImplemented
        return (self.epoch, self.start, self.table) == (other.epoch, other.start, other.table)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def to_bytes(self) -> bytes:
        """Return the sketch as bytes: 16 bytes a header, 16 a feature; equal sketches give equal bytes."""
        keys = array("Q", sorted(self.table))
        states = array("Q", (self.table[key] for key in keys))
        if sys.byteorder == "big":
            keys.byteswap()
            states.byteswap()
        return _HEADER.pack(_MAGIC, self.epoch, self.start, len(keys)) + keys.tobytes() + states.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Sketch:
        """Return the sketch that `to_bytes` wrote.

        Raises:
            InputError: other bytes.
        """
        return cls(*_parsed(data))


def _parsed(data: bytes) -> tuple[int, int, dict[int, int]]:
    if len(data) < _HEADER.size:
        raise InputError("not a baseline sketch: too short")
    magic, epoch, start, count = _HEADER.unpack_from(data)
    if magic != _MAGIC or count > MAX_FEATURES or len(data) != _HEADER.size + 16 * count:
        raise InputError("not a baseline sketch, or a damaged one")
    return epoch, start, dict(_pairs(data, count))


def _pairs(data: bytes, count: int) -> Iterator[tuple[int, int]]:
    keys, states = array("Q"), array("Q")
    middle = _HEADER.size + 8 * count
    keys.frombytes(data[_HEADER.size : middle])
    states.frombytes(data[middle:])
    if sys.byteorder == "big":
        keys.byteswap()
        states.byteswap()
    return zip(keys, states, strict=True)
