"""Profiles of workloads as bytes: what a node keeps over a restart of its sensor."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import msgspec

from seawall.detection.baselines.profiles import HabitSettings, Profile
from seawall.domain.errors import InputError

MAX_BYTES = 32 << 20
"""More is refused as damaged or hostile; `MAX_FEATURES` values at their longest take half of it."""

_MAGIC = b"SWH1"


class _Kept(msgspec.Struct, array_like=True):
    slot_ns: int
    profiles: Sequence[Profile]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Kept)


def to_bytes(profiles: Sequence[Profile], settings: HabitSettings) -> bytes:
    """Return the profiles in their order: a mark of the form, CRC-32 of the rest, MessagePack."""
    body = _ENCODER.encode(_Kept(settings.slot_ns, profiles))
    return _MAGIC + zlib.crc32(body).to_bytes(4, "big") + body


def from_bytes(data: bytes, settings: HabitSettings) -> list[Profile]:
    """Return what `to_bytes` wrote. What was learnt with another learning time counts by the hours that it took.

    Raises:
        InputError: other bytes.
    """
    if data[:4] != _MAGIC:
        raise InputError("not baselines of this version")
    body = data[8:]
    if len(data) > MAX_BYTES or zlib.crc32(body) != int.from_bytes(data[4:8], "big"):
        raise InputError("baselines are damaged")
    try:
        kept = _DECODER.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InputError(f"baselines are damaged: {error}") from error
    profiles = list(kept.profiles)
    if kept.slot_ns != settings.slot_ns:
        for profile in profiles:
            profile.rescaled(max(kept.slot_ns, 1) / settings.slot_ns)
    return profiles
