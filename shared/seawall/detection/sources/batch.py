"""Bounds, and where events and rejects of one input are collected."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec

from seawall.domain.audit_events import Reject
from seawall.domain.errors import InputError, MalformedEvent, TooLarge

MAX_RECORDS = 500_000
"""Records of one list. 64 MiB hold fewer events that say anything; millions of `{}` would cost minutes."""
MAX_RECORD_BYTES = 16 * 1024 * 1024
"""One event. The API server takes requests up to 3 MiB; request and response together stay far below."""
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""One message or document, decompressed: CloudWatch, Event Hubs and Pub/Sub deliver at most 10 MiB."""
MAX_REJECTS = 100
"""Rejects kept with their detail; the rest is only counted."""

TOO_LARGE = "too_large"
NOT_JSON = "not_json"
TOO_DEEP = "too_deep"
WRONG_TYPE = "wrong_type"
BAD_COMPRESSION = "bad_compression"
BOMB = "decompression_limit"
UNKNOWN_FORMAT = "unknown_format"


@dataclass(slots=True)
class Batch:
    """What came out of one input. `position` counts records, read or not, so that an index means the same in every run."""

    file: str = ""
    cluster: str = ""
    platform: str = ""
    events: list[Any] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    """Records of other kinds that share the stream (klog lines, control messages): neither events nor errors."""
    position: int = 0

    def add(self, event: Any) -> None:
        """Keep an event as the record at the current position."""
        event.file = self.file
        event.index = self.position
        if not event.cluster:
            event.cluster = self.cluster
        self.events.append(event)
        self.position += 1

    def reject(self, reason: str, detail: object = "") -> None:
        """Count a record that could not be read."""
        self.rejected[reason] += 1
        if len(self.rejects) < MAX_REJECTS:
            self.rejects.append(Reject(reason, str(detail)[:200], self.file, self.position))
        self.position += 1

    def skip(self) -> None:
        """Pass over a record of another kind."""
        self.skipped += 1
        self.position += 1

    def readable(self) -> Batch:
        """Return the batch.

        Raises:
            MalformedEvent: nothing in it could be read.
        """
        if self.rejects and not self.events and not self.skipped:
            first = self.rejects[0]
            what = f"no audit event in it: {first.reason} {first.detail}".strip()
            raise MalformedEvent(what, where=f"record {first.index}")
        return self


def gunzip(data: bytes, limit: int = MAX_MESSAGE_BYTES) -> bytes:
    """Return the content of a gzip or zlib stream.

    Raises:
        TooLarge: it would be over `limit` bytes; nothing beyond the limit is kept.
        InputError: it is damaged.
    """
    decompressor = zlib.decompressobj(wbits=47)
    try:
        out = decompressor.decompress(data, limit + 1)
        if len(out) > limit or decompressor.unconsumed_tail:
            raise TooLarge(f"decompresses to more than {limit} bytes")
        if not decompressor.eof:
            raise InputError("the compressed data ends early")
    except zlib.error as error:
        raise InputError(f"damaged compressed data: {error}") from error
    return out


def unpack(data: bytes, batch: Batch) -> bytes | None:
    """Return `data` decompressed and un-base64d where it is; None after counting a reject."""
    try:
        if data[:4] == b"H4sI":
            data = base64.b64decode(data, validate=False)
        if data[:2] == b"\x1f\x8b":
            data = gunzip(data)
    except TooLarge as error:
        batch.reject(BOMB, error)
        return None
    except (InputError, binascii.Error, ValueError) as error:
        batch.reject(BAD_COMPRESSION, error)
        return None
    if len(data) > MAX_MESSAGE_BYTES:
        batch.reject(TOO_LARGE, f"{len(data)} bytes")
        return None
    return data


def base64_text(raw: Any) -> bytes:
    """Return the bytes of a base64 JSON text.

    Raises:
        InputError: it is not base64.
    """
    if not isinstance(raw, str):
        raise InputError("not a base64 text")
    try:
        return base64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"not base64: {error}") from error


def reason_of(error: Exception) -> str:
    """Return the reject word of a decoding error."""
    if isinstance(error, RecursionError):
        return TOO_DEEP
    return WRONG_TYPE if isinstance(error, msgspec.ValidationError) else NOT_JSON


def text(value: Any) -> str:
    """Return `value` if it is a text, else empty."""
    return value if isinstance(value, str) else ""


def mapping(value: Any) -> dict[str, Any]:
    """Return `value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """Return `value` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def fingerprint(data: bytes) -> str:
    """Return an event id for a record that has none: the same record gives the same id."""
    return "h-" + hashlib.blake2b(data, digest_size=12).hexdigest()
