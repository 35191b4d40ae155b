"""The reader of a ring buffer, over pages laid out as the kernel lays them out."""

from __future__ import annotations

import mmap
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seawall_sensor.ring import RingBuffer

PAGE, SIZE = mmap.PAGESIZE, 16 * mmap.PAGESIZE
BUSY, DISCARD = 1 << 31, 1 << 30


class Kernel:
    """What the kernel does to a ring: writes records into pages that are mapped twice, and moves the producer's position."""

    def __init__(self, start: int = 0) -> None:
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * PAGE + 2 * SIZE)
        self.position = start
        os.pwrite(self.fd, struct.pack("<Q", start), 0)
        self._moved()

    def write(self, record: bytes, flags: int = 0, length: int | None = None) -> int:
        """Write a record; `length` is what its header says of it."""
        at = self.position
        self._put(at, struct.pack("<II", (len(record) if length is None else length) | flags, 0) + record)
        self.position += len(record) + 15 & -8
        self._moved()
        return at

    def submit(self, at: int, length: int) -> None:
        self._put(at, struct.pack("<I", length))

    def _put(self, position: int, raw: bytes) -> None:
        at = position & SIZE - 1
        for copy in (2 * PAGE, 2 * PAGE + SIZE):
            os.pwrite(self.fd, raw[: SIZE - at], copy + at)
            os.pwrite(self.fd, raw[SIZE - at :], copy)

    def _moved(self) -> None:
        os.pwrite(self.fd, struct.pack("<Q", self.position), PAGE)


@pytest.fixture
def ring():
    """Make (kernel, reader) pairs; they are closed at the end."""
    made = []

    def make(start: int = 0, **options):
        kernel = Kernel(start)
        made.append((kernel, RingBuffer(kernel.fd, SIZE, **options)))
        return made[-1]

    yield make
    for kernel, reader in made:
        reader.close()
        os.close(kernel.fd)


def record(stamp: int, tail: bytes = b"") -> bytes:
    return struct.pack("<QQ", stamp, 7 * stamp) + tail


def test_records_come_in_order_with_their_times(ring):
    kernel, reader = ring()
    sent = [record(number, b"x" * number) for number in range(1, 20)]
    for each in sent:
        kernel.write(each)
    batch = reader.read()
    assert batch.records == sent
    assert (batch.first_ns, batch.last_ns, batch.quiet, batch.corrupt) == (1, 19, 0, 0)
    assert reader.waiting() == 0
    assert reader.read().records == []
    assert struct.unpack("<Q", os.pread(kernel.fd, 8, 0)) == (kernel.position,)  # their space is free


@pytest.mark.parametrize("start", [SIZE - 8, SIZE - 40, 5 * SIZE - 16])
def test_a_record_across_the_end_is_whole(ring, start):
    kernel, reader = ring(start)
    sent = [record(number, bytes(range(60))) for number in range(1, 4)]
    for each in sent:
        kernel.write(each)
    assert reader.read().records == sent


def test_what_is_not_submitted_yet_waits(ring):
    kernel, reader = ring()
    kernel.write(record(1))
    at = kernel.write(record(2), BUSY)
    kernel.write(record(3))
    assert [each[0] for each in reader.read().records] == [1]
    assert reader.read().records == []
    kernel.submit(at, len(record(2)))
    assert [each[0] for each in reader.read().records] == [2, 3]


def test_discarded_records_are_passed_over(ring):
    kernel, reader = ring()
    kernel.write(record(1), DISCARD)
    kernel.write(record(2))
    kernel.write(record(3), DISCARD)
    batch = reader.read()
    assert [each[0] for each in batch.records] == [2]
    assert batch.last_ns == 2
    assert reader.waiting() == 0


def test_quiet_tails_are_counted_and_left(ring):
    quiet = {b"nothing"}
    kernel, reader = ring(quiet=quiet, tail_at=16)
    for number, tail in enumerate((b"nothing", b"something", b"nothing", b"nothing!"), 1):
        kernel.write(record(number, tail))
    batch = reader.read()
    assert [each[16:] for each in batch.records] == [b"something", b"nothing!"]
    assert (batch.quiet, batch.first_ns, batch.last_ns) == (2, 1, 4)
    quiet.clear()
    kernel.write(record(5, b"nothing"))
    assert len(reader.read().records) == 1


def test_a_batch_ends_after_its_size(ring):
    kernel, reader = ring(batch_bytes=256)
    for number in range(1, 11):
        kernel.write(record(number, bytes(48)))
    first = reader.read()
    assert 0 < len(first.records) < 10
    assert reader.waiting() > 0
    rest = [each for _ in range(10) for each in reader.read().records]
    assert [each[0] for each in (*first.records, *rest)] == list(range(1, 11))


def test_a_record_larger_than_a_batch_comes_alone(ring):
    kernel, reader = ring(batch_bytes=64)
    kernel.write(record(1, bytes(8192)))
    kernel.write(record(2))
    assert [len(each) for each in reader.read().records] == [16 + 8192]
    assert [each[0] for each in reader.read().records] == [2]


@pytest.mark.parametrize("length", [4096, SIZE, (1 << 30) - 1])
def test_a_length_that_leads_out_is_counted_and_reading_goes_on(ring, length):
    kernel, reader = ring()
    kernel.write(record(1))
    kernel.write(record(2), length=length)
    batch = reader.read()
    assert len(batch.records) == 1
    assert batch.corrupt == 1
    kernel.write(record(3))
    assert [each[0] for each in reader.read().records] == [3]


@given(
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from([0, 0, 0, DISCARD])), max_size=40),
    st.integers(0, 3 * SIZE // 8),
)
def test_every_record_comes_once(sizes, start):
    kernel = Kernel(8 * start)
    reader = RingBuffer(kernel.fd, SIZE, quiet={b"q" * 9}, tail_at=16, batch_bytes=700)
    try:
        sent, got, quiet = [], [], 0
        for number, (size, flags) in enumerate(sizes, 1):
            each = record(number, b"q" * size)
            kernel.write(each, flags)
            if not flags:
                sent.append(each)
            if number % 7 == 0:
                batch = reader.read()
                got += batch.records
                quiet += batch.quiet
        while reader.waiting():
            batch = reader.read()
            got += batch.records
            quiet += batch.quiet
        assert got == [each for each in sent if len(each) != 25]
        assert quiet == sum(len(each) == 25 for each in sent)
    finally:
        reader.close()
        os.close(kernel.fd)
