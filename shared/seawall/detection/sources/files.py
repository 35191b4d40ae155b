"""Log files as streams of records: JSON lines of any size, or one document; gzip and zstd read as they go."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import IO, Any, cast

import msgspec
import zstandard
from isal import igzip, isal_zlib

from seawall.detection.sources.batch import (
    BAD_COMPRESSION,
    MAX_MESSAGE_BYTES,
    MAX_RECORD_BYTES,
    TOO_LARGE,
    Batch,
)
from seawall.detection.sources.recognise import add_document, decode

_CHUNK = 1024 * 1024
_SNIFF = 64 * 1024
_ZSTD = b"\x28\xb5\x2f\xfd"
_WINDOW = 2**27
"""Largest zstd window: a stream can ask for more memory than it holds data."""


def read_log(stream: IO[bytes], *, file: str = "", cluster: str = "", platform: str = "") -> Iterator[Batch]:
    """Yield what a log file holds, a batch for each line (JSON lines) or one for the document.

    The batch is the same object every time, emptied before it is filled again; its `position` goes on, and `rejected`
    counts up. A line over `MAX_RECORD_BYTES`, or a document over `MAX_MESSAGE_BYTES`, is one reject; what follows a
    long line is still read. Memory stays under about twice the longest accepted record.
    """
    batch = Batch(file=file, cluster=cluster, platform=platform)
    head = _fill(stream, b"", 4)
    source = cast(IO[bytes], _Prefixed(head, stream))
    if head[:2] == b"\x1f\x8b":
        source = cast(IO[bytes], igzip.IGzipFile(fileobj=source, mode="rb"))  # type: ignore[no-untyped-call]
    elif head == _ZSTD:
        unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        source = cast(IO[bytes], unpacker.stream_reader(source, read_across_frames=True))
    try:
        start = _begin(source)
        body = cast(IO[bytes], _Prefixed(start, source))
        yield from _lines(body, batch) if is_lines(start) else _document(body, batch)
    except (OSError, EOFError, isal_zlib.error, zstandard.ZstdError) as error:  # type: ignore[misc]
        batch.events.clear()
        batch.reject(BAD_COMPRESSION, error)
        yield batch


def is_lines(start: bytes) -> bool:
    """True when a file that begins with `start` has one document per line."""
    start = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    first, newline, rest = start.partition(b"\n")
    if not newline:
        return len(start) >= _SNIFF // 2 and start[:1] == b"{"
    try:
        msgspec.json.decode(first, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, ValueError):
        following = rest[:1]
        return following in (b"{", b"\n", b"\r") or first[:1] not in (b"{", b"[")
    return True


def _lines(stream: IO[bytes], batch: Batch) -> Iterator[Batch]:
    pending = bytearray()
    skipping = False
    while chunk := stream.read(_CHUNK):
        lines = chunk.split(b"\n")
        last = lines.pop()
        for line in lines:
            if skipping:
                skipping = False
                continue
            if pending:
                pending += line
                line = bytes(pending)
                pending.clear()
            yield from _line(line, batch)
        if skipping:
            continue
        pending += last
        if len(pending) > MAX_RECORD_BYTES:
            batch.events.clear()
            batch.reject(TOO_LARGE, f"a line over {MAX_RECORD_BYTES} bytes")
            yield batch
            pending.clear()
            skipping = True
    if pending and not skipping:
        yield from _line(bytes(pending), batch)


def _line(line: bytes, batch: Batch) -> Iterator[Batch]:
    batch.events.clear()
    if line[:1] == b"\0":
        line = line.lstrip(b"\0")
    if line[:3] == b"\xef\xbb\xbf":
        line = line[3:]
    if len(line) > MAX_RECORD_BYTES:
        batch.reject(TOO_LARGE, f"{len(line)} bytes")
    elif line and not line.isspace():
        decode(line, batch=batch)
    else:
        batch.position += 1
        return
    yield batch


def _document(stream: IO[bytes], batch: Batch) -> Iterator[Batch]:
    data = _fill(stream, b"", MAX_MESSAGE_BYTES + 1)
    if len(data) > MAX_MESSAGE_BYTES:
        batch.reject(TOO_LARGE, f"a document over {MAX_MESSAGE_BYTES} bytes")
        yield batch
        return
    data = data.removeprefix(b"\xef\xbb\xbf").strip()
    if not data:
        return
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, ValueError):
        documents = _concatenated(data)
        if len(documents) > 1:
            for document in documents:
                add_document(document, batch, 0)
            yield batch
            return
    decode(data, batch=batch)
    yield batch


def _concatenated(data: bytes) -> list[bytes]:
    """Split documents that follow each other, pretty-printed (`jq .` writes this); empty when they do not all parse."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return []
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text):
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return []
        found.append(text[at:end].encode())
        at = end
        while at < len(text) and text[at].isspace():
            at += 1
    return found


def _begin(stream: IO[bytes]) -> bytes:
    """Return the first bytes that are not NUL or blank. A log that was truncated under its writer begins with NULs."""
    while start := _fill(stream, b"", _SNIFF):
        if kept := start.lstrip(b"\0 \t\r\n"):
            return kept if len(kept) == len(start) else _fill(stream, kept, _SNIFF)
    return b""


def _fill(stream: IO[bytes], data: bytes, size: int) -> bytes:
    parts, length = [data], len(data)
    while length < size:
        part = stream.read(min(size - length, _CHUNK))
        if not part:
            break
        parts.append(part)
        length += len(part)
    return b"".join(parts)


class _Prefixed(io.RawIOBase):
    """A stream with bytes put back in front of it."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        super().__init__()
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; what was put back comes first."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes; those put back come first."""
        if not self._head:
            return self._stream.read(-1 if size is None else size)
        if size is None or size < 0:
            head, self._head = self._head, b""
            return head + self._stream.read()
        head, self._head = self._head[:size], self._head[size:]
        return head
