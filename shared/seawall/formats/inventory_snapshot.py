"""What a puller inside a private cluster sends: one listing, gzip-compressed JSON, to the posture door of the server.

`{"seawall": "inventory/1", "taken_at": …, "complete": [kinds], "unread": [kinds], "notes": [{where, reason}], "objects": […]}`
"""

from __future__ import annotations

import json
import zlib
from datetime import datetime, timedelta
from typing import Final

import msgspec

from seawall.domain.errors import MalformedEvent, TooLarge
from seawall.ports.inventory_source import Collected
from seawall.posture.loading import prune
from seawall.posture.objects import Note, Obj

FORM: Final = "inventory/1"
MAX_BYTES: Final = 512 << 20
"""Of the JSON; a body that expands to more is refused while it is read."""
AHEAD: Final = timedelta(minutes=5)
_GZIP: Final = b"\x1f\x8b"


class _Note(msgspec.Struct):
    where: str
    reason: str


class _Snapshot(msgspec.Struct):
    seawall: str
    taken_at: datetime
    objects: list[dict[str, object]]
    complete: list[str] = []
    unread: list[str] = []
    notes: list[_Note] = []


def encode_snapshot(collected: Collected) -> bytes:
    """Return the body that carries a listing; values of Secrets are not in it."""
    document = {
        "seawall": FORM,
        "taken_at": collected.taken_at.isoformat(),
        "complete": sorted(collected.complete),
        "unread": sorted(collected.unread),
        "notes": [{"where": note.where, "reason": note.reason} for note in collected.notes],
        "objects": [obj.body for obj in collected.objects],
    }
    packer = zlib.compressobj(6, wbits=31)
    return packer.compress(json.dumps(document, separators=(",", ":")).encode()) + packer.flush()


def is_snapshot(body: bytes) -> bool:
    """Whether a body claims to be a listing; manifests and dumps come uncompressed."""
    return body[:2] == _GZIP


def decode_snapshot(body: bytes, scope: str, now: datetime) -> Collected:
    """Return the listing.

    Raises:
        MalformedEvent: it is none, or its time lies in the future. TooLarge: it expands to more than `MAX_BYTES`.
    """
    unpacker = zlib.decompressobj(wbits=31)
    try:
        raw = unpacker.decompress(body, MAX_BYTES)
    except zlib.error as error:
        raise MalformedEvent(f"not gzip: {error}") from error
    if unpacker.unconsumed_tail:
        raise TooLarge(f"a listing of more than {MAX_BYTES >> 20} MiB")
    try:
        found = msgspec.json.decode(raw, type=_Snapshot)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedEvent(f"not a listing: {error}"[:300]) from error
    if found.seawall != FORM:
        raise MalformedEvent(
            f"a listing of form {found.seawall[:40]!r}; {FORM} is understood", hint="upgrade the older side"
        )
    if found.taken_at.tzinfo is None or found.taken_at > now + AHEAD:
        raise MalformedEvent(
            "the listing's time lies in the future, or has no zone", hint="check the clock of the cluster"
        )
    objects = [Obj(prune(item), source=scope) for item in found.objects]
    notes = [Note(note.where, note.reason) for note in found.notes]
    return Collected(scope, found.taken_at, objects, set(found.complete), set(found.unread), notes)
