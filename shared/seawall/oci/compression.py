"""Layers as a stream of uncompressed bytes: gzip by ISA-L, zstd, or none, told apart by their first bytes.

A decompression bomb ends the stream with `TooLarge`; what came before it has been read.
"""

from __future__ import annotations

import queue
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import IO, cast

import zstandard
from isal import igzip_lib

from seawall.domain.errors import InputError, TooLarge
from seawall.oci.limits import Limits

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = (b"\x50\x2a\x4d\x18", b"\x51\x2a\x4d\x18")
_UNREADABLE = {b"BZh": "bzip2", b"\xfd7z": "xz"}
_GZIP_ERRORS = (cast(type[Exception], igzip_lib.error), zlib.error, EOFError, ValueError)
OUTPUT_BYTES = 2 * 1024 * 1024
"""Uncompressed bytes per step: large enough that threads and calls cost nothing, small enough for bounded memory."""


def decompress(chunks: Iterator[bytes], limits: Limits) -> Iterator[bytes]:
    """Yield the uncompressed bytes of `chunks`.

    Raises:
        InputError: the compressed stream is damaged, cut off, or of a kind that layers do not have (bzip2, xz).
        TooLarge: over `limits.layer_bytes`, or over `limits.ratio` times the compressed size.
    """
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= 4:
            break
    rest = _chain(head, chunks)
    if head.startswith(_GZIP):
        yield from _bounded(rest, _gzip, limits)
    elif head.startswith((_ZSTD, *_ZSTD_SKIPPABLE)):
        yield from _bounded(rest, _zstd, limits)
    else:
        for magic, name in _UNREADABLE.items():
            if head.startswith(magic):
                raise InputError(f"layer is compressed with {name}", hint="OCI layers are tar, gzip or zstd")
        yield from _bounded(rest, _plain, limits)


def _chain(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from chunks


def _bounded(
    chunks: Iterator[bytes], unpack: Callable[[Iterator[bytes]], Iterator[bytes]], limits: Limits
) -> Iterator[bytes]:
    taken = given = 0

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for chunk in chunks:
            taken += len(chunk)
            yield chunk

    for block in unpack(counted()):
        given += len(block)
        if given > limits.layer_bytes:
            raise TooLarge(f"layer is over {limits.layer_bytes} bytes uncompressed")
        if given > limits.ratio_floor_bytes and given > limits.ratio * taken:
            raise TooLarge(
                f"layer expands more than {limits.ratio} times ({given} bytes from {taken}): a decompression bomb"
            )
        yield block


def _plain(chunks: Iterator[bytes]) -> Iterator[bytes]:
    return chunks


def _gzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip members one after another (pigz, stargz and estargz write many)."""
    decoder: igzip_lib.IgzipDecompressor | None = None
    try:
        for chunk in chunks:
            data = chunk
            while data or (decoder is not None and not decoder.needs_input and not decoder.eof):
                if decoder is None:
                    if not data.strip(b"\0"):
                        break  # padding after the last member
                    decoder = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
                block = decoder.decompress(data, OUTPUT_BYTES)
                data = b""
                if decoder.eof:
                    data, decoder = decoder.unused_data, None
                if block:
                    yield block
    except _GZIP_ERRORS as error:
        raise InputError(f"gzip stream is damaged: {error}") from error
    if decoder is not None:
        raise InputError("gzip stream ends early")


def _zstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack zstd frames one after another (zstd:chunked writes many, some of them skippable)."""
    decoder: zstandard.ZstdDecompressionReader
    source = cast(IO[bytes], _Source(chunks))
    try:
        # A window over 128 MiB is refused: it would be the sender's choice how much memory we hold.
        with zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(
            source, read_across_frames=True
        ) as decoder:
            while block := decoder.read(OUTPUT_BYTES):
                yield block
    except zstandard.ZstdError as error:
        raise InputError(f"zstd stream is damaged: {error}") from error


class _Source:
    """A file-like `read` over chunks, as zstandard wants it."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._left = chunk
        if size < 0 or size >= len(self._left):
            taken, self._left = self._left, b""
        else:
            taken, self._left = self._left[:size], self._left[size:]
        return taken


class Prefetch:
    """Runs an iterator in a thread, a few items ahead: decompression, which leaves the interpreter lock, overlaps parsing.

    Use as a context manager: leaving it ends the thread, whether or not the items were all taken.
    """

    def __init__(self, items: Iterator[bytes], depth: int = 3) -> None:
        self._items = items
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="seawall-layer", daemon=True)

    def __enter__(self) -> Iterator[bytes]:
        self._thread.start()
        return self._take()

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        while self._thread.is_alive():
            try:
                self._queue.get_nowait()
            except queue.Empty:
                self._thread.join(0.01)

    def _run(self) -> None:
        try:
            for item in self._items:
                self._put(item)
                if self._stopped.is_set():
                    return
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - handed to the taking thread, which raises it
            self._put(error)
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()

    def _put(self, item: bytes | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def _take(self) -> Iterator[bytes]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
