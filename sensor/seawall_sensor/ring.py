"""The consumer's side of a BPF ring buffer, read by mapping its pages.

Layout (Documentation/bpf/ringbuf.rst): page 0 holds the consumer position (ours to write), page 1 the producer
position, then the data, mapped twice in a row so that no record is ever split. A record is `u32 length | flags`,
`u32 page offset`, the bytes, padding to 8. BUSY: reserved, not submitted yet (stop there). DISCARD: to be skipped.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
from collections.abc import Callable, Container
from typing import NamedTuple

_PAGE = mmap.PAGESIZE
_BUSY, _DISCARD, _LENGTH = 1 << 31, 1 << 30, (1 << 30) - 1
_HEADER = 8
_STAMP = struct.Struct("<Q").unpack_from


class Batch(NamedTuple):
    """What one turn read. A record begins with its time stamp."""

    records: list[bytes]
    quiet: int = 0
    """Further records, which meant nothing."""
    first_ns: int = 0
    """Time stamp of the oldest record, quiet or not; 0 = there was none."""
    last_ns: int = 0
    corrupt: int = 0
    """Records whose length leads out of what was written; nothing that waited behind one can be read."""


class RingBuffer:
    """One reader per buffer. A batch is about `batch_bytes` at most.

    Records whose bytes from `tail_at` on are among `quiet` are counted, not returned: nothing is made of them, which is
    what lets one core take in millions a second.
    """

    def __init__(
        self,
        fd: int,
        size_bytes: int,
        *,
        quiet: Container[bytes] = frozenset(),
        tail_at: int = 0,
        batch_bytes: int = 1 << 19,
    ) -> None:
        self.fd, self.size_bytes, self._batch_bytes = fd, size_bytes, min(batch_bytes, size_bytes)
        self.quiet, self._tail_at = quiet, _HEADER + tail_at
        self._consumer_page = mmap.mmap(fd, _PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._pages = mmap.mmap(fd, _PAGE + 2 * size_bytes, mmap.MAP_SHARED, mmap.PROT_READ, offset=_PAGE)
        # Access to an item of these is one aligned load or store, which the protocol needs.
        self._consumer = memoryview(self._consumer_page).cast("Q")
        self._producer = memoryview(self._pages)[:_PAGE].cast("Q")
        self._words = memoryview(self._pages).cast("I")
        self._position: int = self._consumer[0]
        self._fence = _fence()

    def waiting(self) -> int:
        """Return how many bytes wait to be read."""
        return int(self._producer[0]) - self._position

    def read(self) -> Batch:
        """Return the oldest submitted records and free their space."""
        waiting = int(self._producer[0]) - self._position
        if not waiting:
            return Batch([])
        # The second mapping makes everything that waits one piece, whatever the position.
        start = at = _PAGE + (self._position & self.size_bytes - 1)
        written = start + waiting
        end = start + min(waiting, self._batch_bytes)
        if self._fence is not None:
            end = self._submitted(start, end)
            self._fence()
        pages, words, quiet, tail_at = self._pages, self._words, self.quiet, self._tail_at
        records: list[bytes] = []
        skipped = corrupt = last = 0
        while at < end:
            length = words[at >> 2]
            if length > _LENGTH:
                if length & _BUSY:
                    break
                at += (length & _LENGTH) + 15 & -8
                continue
            after = at + _HEADER + length
            if after > written:
                corrupt, at = 1, written
                break
            last = at
            if pages[at + tail_at : after] in quiet:
                skipped += 1
            else:
                records.append(pages[at + _HEADER : after])
            at = after + 7 & -8
        first_ns = last_ns = 0
        if last:
            last_ns = _STAMP(pages, last + _HEADER)[0]
            first_ns = _STAMP(records[0])[0] if records and not skipped else _STAMP(pages, start + _HEADER)[0]
        self._position += at - start
        self._consumer[0] = self._position
        return Batch(records, skipped, first_ns, last_ns, corrupt)

    def _submitted(self, start: int, end: int) -> int:
        """Return where the first record stands that is not submitted yet, `end` when all are."""
        words = self._words
        while start < end and not (length := words[start >> 2]) & _BUSY:
            start += (length & _LENGTH) + 15 & -8
        return min(start, end)

    def close(self) -> None:
        """Unmap."""
        for view in (self._consumer, self._producer, self._words):
            view.release()
        self._pages.close()
        self._consumer_page.close()


def _fence() -> Callable[[], object] | None:
    """Return what keeps the loads before it apart from those after it; None where the processor does so by itself (x86)."""
    if platform.machine() in ("x86_64", "AMD64"):
        return None
    libc, membarrier = ctypes.CDLL(None, use_errno=True), 283  # arm64
    expedited, register = 1 << 3, 1 << 4  # MEMBARRIER_CMD_(REGISTER_)PRIVATE_EXPEDITED, since 4.14
    libc.syscall(membarrier, register, 0, 0)
    return lambda: libc.syscall(membarrier, expedited, 0, 0)
