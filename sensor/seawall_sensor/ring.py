"""The consumer's side of a BPF ring buffer, read by mapping its pages.

Layout (Documentation/bpf/ringbuf.rst): page 0 holds the consumer position (ours to write), page 1 the producer
position, then the data, mapped twice in a row so that no record is ever split. A record is `u32 length | flags`,
`u32 page offset`, the bytes, padding to 8. BUSY: reserved, not submitted yet (stop there). DISCARD: to be skipped.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
from collections.abc import Callable

_PAGE = mmap.PAGESIZE
_BUSY, _DISCARD, _LENGTH = 1 << 31, 1 << 30, (1 << 30) - 1


class RingBuffer:
    """One reader per buffer. A batch is about `batch_bytes` at most."""

    def __init__(self, fd: int, size_bytes: int, batch_bytes: int = 1 << 19) -> None:
        self.fd, self.size_bytes, self.batch_bytes = fd, size_bytes, batch_bytes
        self._consumer_page = mmap.mmap(fd, _PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._pages = mmap.mmap(fd, _PAGE + 2 * size_bytes, mmap.MAP_SHARED, mmap.PROT_READ, offset=_PAGE)
        # Access to an item of these is one aligned load or store, which the protocol needs.
        self._consumer = memoryview(self._consumer_page).cast("Q")
        self._producer = memoryview(self._pages)[:_PAGE].cast("Q")
        self._data = memoryview(self._pages)[_PAGE:]
        self._headers = self._data.cast("I")
        self._position: int = self._consumer[0]
        self._fence = _fence()

    def waiting(self) -> int:
        """Return how many bytes wait to be read."""
        return int(self._producer[0]) - self._position

    def read(self) -> tuple[bytes, list[int]]:
        """Return a copy of the oldest submitted records and their offsets in it, and free their space.

        Both are empty when nothing waits. Headers are read first and the bytes are copied after: the other order can
        meet a record that was submitted while it was being copied.
        """
        start = position = self._position
        end = min(int(self._producer[0]), start + self.batch_bytes)
        if start == end:
            return b"", []
        self._fence()
        headers, mask, offsets = self._headers, self.size_bytes - 1, []
        while position < end:
            header = headers[(position & mask) >> 2]
            if header & _BUSY:
                break
            if not header & _DISCARD:
                offsets.append(position - start + 8)
            position += (header & _LENGTH) + 15 & ~7  # 8 bytes of header, rounded up to 8
        self._fence()
        first = start & mask
        data = bytes(self._data[first : first + position - start])
        self._position = self._consumer[0] = position
        return data, offsets

    def close(self) -> None:
        """Unmap."""
        for view in (self._consumer, self._producer, self._headers, self._data):
            view.release()
        self._pages.close()
        self._consumer_page.close()


def _fence() -> Callable[[], object]:
    """Return a function that keeps the loads before it apart from those after it."""
    if platform.machine() in ("x86_64", "AMD64"):
        return lambda: None  # x86-TSO: loads are not reordered with loads
    libc, membarrier = ctypes.CDLL(None, use_errno=True), 283  # arm64
    expedited, register = 1 << 3, 1 << 4  # MEMBARRIER_CMD_(REGISTER_)PRIVATE_EXPEDITED, since 4.14
    libc.syscall(membarrier, register, 0, 0)
    return lambda: libc.syscall(membarrier, expedited, 0, 0)
