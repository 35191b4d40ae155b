"""The BPF Type Format, as far as the sensor asks: sizes and offsets of structures.

Source: Documentation/bpf/btf.rst. The running kernel's lies in /sys/kernel/btf/vmlinux, an object's in its `.BTF` section.
"""

from __future__ import annotations

import struct
from pathlib import Path

_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")
_EXTRA = {1: 4, 3: 12, 14: 4, 17: 4}  # INT, ARRAY, VAR, DECL_TAG
_PER_MEMBER = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}  # STRUCT, UNION, ENUM, FUNC_PROTO, DATASEC, ENUM64


def _types(blob: bytes) -> list[tuple[int, int, int, int]]:
    """Return (name offset, info, size or type, where its members begin) of every type, from 1 on."""
    _, _, _, header, type_at, type_bytes, _, _ = _HEADER.unpack_from(blob)
    at, end = header + type_at, header + type_at + type_bytes
    found = [(0, 0, 0, 0)]
    while at < end:
        name, info, size = _TYPE.unpack_from(blob, at)
        at += 12
        found.append((name, info, size, at))
        kind, members = info >> 24 & 31, info & 0xFFFF
        at += _EXTRA.get(kind, 0) + _PER_MEMBER.get(kind, 0) * members
    return found


def _strings(blob: bytes) -> tuple[bytes, int]:
    _, _, _, header, _, _, string_at, _ = _HEADER.unpack_from(blob)
    return blob, header + string_at


def _name(blob: bytes, base: int, offset: int) -> str:
    return blob[base + offset : blob.index(b"\0", base + offset)].decode()


def structures(blob: bytes) -> dict[str, tuple[int, dict[str, int]]]:
    """Return name: (size in bytes, member: offset in bytes) of the structures in a `.BTF` section."""
    blob, base = _strings(blob)
    found = {}
    for name, info, size, at in _types(blob):
        if info >> 24 & 31 != 4 or not name:
            continue
        members = {}
        for index in range(info & 0xFFFF):
            member, _, bits = _TYPE.unpack_from(blob, at + 12 * index)
            members[_name(blob, base, member)] = (bits & 0xFFFFFF if info >> 31 else bits) // 8
        found[_name(blob, base, name)] = (size, members)
    return found


def section(path: Path, wanted: str) -> bytes:
    """Return a section of a 64-bit little-endian ELF file; empty when it has none of that name."""
    blob = path.read_bytes()
    table, size, count, names = *struct.unpack_from("<Q", blob, 40), *struct.unpack_from("<HHH", blob, 58)
    headers = [struct.unpack_from("<IIQQQQ", blob, table + size * index) for index in range(count)]
    for name, _, _, _, offset, length in headers:
        start = headers[names][4] + name
        if blob[start : blob.index(b"\0", start)].decode() == wanted:
            return blob[offset : offset + length]
    return b""
