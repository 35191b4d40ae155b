"""AMQP 1.0 values, message sections and frames, as the Event Hubs double needs them (OASIS amqp-core-types-v1.0).

One Python type per AMQP type that we write, so that what is decoded can be encoded again without loss.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple


class Symbol(str):
    __slots__ = ()


class UByte(int): ...


class UShort(int): ...


class UInt(int): ...


class ULong(int): ...


class Timestamp(int): ...


class Array(list): ...


class Described(NamedTuple):
    code: Any
    value: Any


def _sized(data: bytes, small: int, large: int) -> bytes:
    head = struct.pack(">BB", small, len(data)) if len(data) < 256 else struct.pack(">BI", large, len(data))
    return head + data


def encode(x: Any) -> bytes:
    """Return one AMQP value."""
    if x is None:
        return b"\x40"
    if x is True:
        return b"\x41"
    if x is False:
        return b"\x42"
    if isinstance(x, Described):
        return b"\x00" + encode(ULong(x.code) if isinstance(x.code, int) else x.code) + encode(x.value)
    if isinstance(x, UByte):
        return struct.pack(">BB", 0x50, x)
    if isinstance(x, UShort):
        return struct.pack(">BH", 0x60, x)
    if isinstance(x, UInt):
        return struct.pack(">BI", 0x70, x)
    if isinstance(x, ULong):
        return struct.pack(">BB", 0x53, x) if x < 256 else struct.pack(">BQ", 0x80, x)
    if isinstance(x, Timestamp):
        return struct.pack(">Bq", 0x83, x)
    if isinstance(x, int):
        return struct.pack(">Bq", 0x81, x)
    if isinstance(x, float):
        return struct.pack(">Bd", 0x82, x)
    if isinstance(x, uuid.UUID):
        return b"\x98" + x.bytes
    if isinstance(x, Symbol):
        return _sized(x.encode("ascii"), 0xA3, 0xB3)
    if isinstance(x, str):
        return _sized(x.encode(), 0xA1, 0xB1)
    if isinstance(x, (bytes, bytearray, memoryview)):
        return _sized(bytes(x), 0xA0, 0xB0)
    if isinstance(x, Array):  # of symbols or of strings: the two that are needed
        code = 0xB3 if all(isinstance(i, Symbol) for i in x) else 0xB1
        body = struct.pack(">IB", len(x), code) + b"".join(struct.pack(">I", len(i.encode())) + i.encode() for i in x)
        return struct.pack(">BI", 0xF0, len(body)) + body
    if isinstance(x, dict):
        code, items = 0xD1, [part for pair in x.items() for part in pair]
    else:
        code, items = 0xD0, list(x)
    body = b"".join(map(encode, items))
    return struct.pack(">BII", code, len(body) + 4, len(items)) + body


_FIXED: dict[int, tuple[str, Callable[[Any], Any]]] = {
    0x50: ("B", UByte),
    0x60: ("H", UShort),
    0x70: ("I", UInt),
    0x52: ("B", UInt),
    0x80: ("Q", ULong),
    0x53: ("B", ULong),
    0x51: ("b", int),
    0x61: ("h", int),
    0x71: ("i", int),
    0x54: ("b", int),
    0x81: ("q", int),
    0x55: ("b", int),
    0x72: ("f", float),
    0x82: ("d", float),
    0x83: ("q", Timestamp),
    0x56: ("B", bool),
}
_CONSTANT: dict[int, Any] = {0x40: None, 0x41: True, 0x42: False, 0x43: UInt(0), 0x44: ULong(0)}


def decode(b: bytes, i: int = 0, code: int | None = None) -> tuple[Any, int]:
    """Return the AMQP value at `i` and the index behind it. `code` is given inside arrays."""
    if code is None:
        code, i = b[i], i + 1
    if code == 0x00:
        descriptor, i = decode(b, i)
        value, i = decode(b, i)
        return Described(descriptor, value), i
    if code in _CONSTANT:
        return _CONSTANT[code], i
    if code == 0x45:
        return [], i
    if code in _FIXED:
        fmt, kind = _FIXED[code]
        return kind(struct.unpack_from(">" + fmt, b, i)[0]), i + struct.calcsize(fmt)
    if code == 0x98:
        return uuid.UUID(bytes=bytes(b[i : i + 16])), i + 16
    if code in (0xC0, 0xC1, 0xD0, 0xD1):  # list, map: short and long
        count, i = (b[i + 1], i + 2) if code < 0xD0 else (struct.unpack_from(">I", b, i + 4)[0], i + 8)
        items = []
        for _ in range(count):
            value, i = decode(b, i)
            items.append(value)
        return (dict(zip(items[::2], items[1::2], strict=False)) if code & 1 else items), i
    if code in (0xE0, 0xF0):  # array
        count, i = (b[i + 1], i + 2) if code == 0xE0 else (struct.unpack_from(">I", b, i + 4)[0], i + 8)
        element, i, out = b[i], i + 1, Array()
        for _ in range(count):
            value, i = decode(b, i, element)
            out.append(value)
        return out, i
    if code in (0xA0, 0xA1, 0xA3):
        size, i = b[i], i + 1
    elif code in (0xB0, 0xB1, 0xB3):
        size, i = struct.unpack_from(">I", b, i)[0], i + 4
    else:
        raise ValueError(f"unknown AMQP type {code:#x}")
    raw, i = bytes(b[i : i + size]), i + size
    if code in (0xA0, 0xB0):
        return raw, i
    return (raw.decode() if code in (0xA1, 0xB1) else Symbol(raw.decode())), i


# Performatives, SASL frames, outcomes, message sections (amqp-core-transport, -security, -messaging).
OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
ERROR, ACCEPTED, REJECTED = 0x1D, 0x24, 0x25
SASL_MECHANISMS, SASL_OUTCOME = 0x40, 0x44
HEADER, DELIVERY_ANNOTATIONS, ANNOTATIONS, PROPERTIES, APP_PROPERTIES, DATA, SEQUENCE, VALUE = range(0x70, 0x78)
BATCH_FORMAT = 0x80013700  # each data section is a message of its own

Message = dict[int, Any]  # section code -> value; DATA -> list of bytes


def parse_message(b: bytes) -> Message:
    i, message = 0, {DATA: []}
    while i < len(b):
        section, i = decode(b, i)
        if section.code == DATA:
            message[DATA].append(section.value)
        else:
            message[int(section.code)] = section.value
    return message


def build_message(m: Message) -> bytes:
    before = (HEADER, DELIVERY_ANNOTATIONS, ANNOTATIONS, PROPERTIES, APP_PROPERTIES)
    parts = [encode(Described(k, m[k])) for k in before if m.get(k) is not None]
    parts += [encode(Described(DATA, d)) for d in m.get(DATA, [])]
    parts += [encode(Described(k, m[k])) for k in (SEQUENCE, VALUE) if k in m]
    return b"".join(parts)
