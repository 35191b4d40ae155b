"""DNS messages as they were on the wire (RFC 1035): any bytes give an answer, malformed ones with the reason."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 17: "RP", 18: "AFSDB",
    24: "SIG", 25: "KEY", 28: "AAAA", 29: "LOC", 33: "SRV", 35: "NAPTR", 36: "KX", 37: "CERT", 39: "DNAME", 41: "OPT",
    43: "DS", 44: "SSHFP", 45: "IPSECKEY", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 49: "DHCID", 50: "NSEC3", 51: "NSEC3PARAM",
    52: "TLSA", 53: "SMIMEA", 55: "HIP", 59: "CDS", 60: "CDNSKEY", 61: "OPENPGPKEY", 62: "CSYNC", 63: "ZONEMD", 64: "SVCB",
    65: "HTTPS", 99: "SPF", 108: "EUI48", 109: "EUI64", 249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR", 255: "ANY",
    256: "URI", 257: "CAA",
}  # fmt: skip
"""Mnemonics of record types, IANA DNS parameters."""

_NAMED = frozenset({"CNAME", "NS", "PTR", "DNAME"})
_MAX_ANSWERS, _MAX_JUMPS, _MAX_NAME = 32, 32, 255
_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")


@dataclass(frozen=True, slots=True)
class Message:
    """The first question and the answers. `malformed` says what breaks the standard, empty = nothing."""

    answer: bool
    name: str
    type: str
    opcode: int
    rcode: int
    answers: tuple[tuple[str, str], ...] = ()
    ttl_s: int = 0
    malformed: str = ""
    truncated: bool = False


class _Broken(Exception):
    pass


def _label(raw: bytes) -> str:
    return "".join(chr(c).lower() if 33 <= c < 127 and c not in b".\\" else f"\\{c:03d}" for c in raw)


def _read_name(data: bytes, at: int) -> tuple[str, int]:
    """Return the name at `at` and where the next field begins."""
    labels: list[str] = []
    length, after, jumps = 0, -1, 0
    while True:
        if at >= len(data):
            raise _Broken("name runs over the end")
        size = data[at]
        if size & 0xC0 == 0xC0:
            if at + 1 >= len(data):
                raise _Broken("pointer runs over the end")
            target = (size & 0x3F) << 8 | data[at + 1]
            if after < 0:
                after = at + 2
            jumps += 1
            if target >= at or jumps > _MAX_JUMPS:
                raise _Broken("pointer does not point back")
            at = target
            continue
        if size & 0xC0:
            raise _Broken("label type")
        at += 1
        if not size:
            break
        length += size + 1
        if length > _MAX_NAME:
            raise _Broken("name over 255 bytes")
        if at + size > len(data):
            raise _Broken("label runs over the end")
        labels.append(_label(data[at : at + size]))
        at += size
    return ".".join(labels), after if after >= 0 else at


def _value(kind: str, data: bytes, at: int, size: int) -> str:
    raw = data[at : at + size]
    if kind == "A" and size == 4:
        return str(ipaddress.IPv4Address(raw))
    if kind == "AAAA" and size == 16:
        return str(ipaddress.IPv6Address(raw))
    if kind in _NAMED:
        return _read_name(data, at)[0]
    if kind == "MX" and size > 2:
        return _read_name(data, at + 2)[0]
    if kind == "TXT":
        parts, offset = [], 0
        while offset < len(raw):
            parts.append(raw[offset + 1 : offset + 1 + raw[offset]])
            offset += 1 + raw[offset]
        return b"".join(parts).decode("utf-8", "replace")
    return raw[:512].hex()


def parse(data: bytes, *, whole_bytes: int = 0, tcp: bool = False) -> Message:
    """Return what a message says. `whole_bytes` is its length on the wire when `data` is only its beginning.

    Over TCP two bytes of length come first (RFC 1035, 4.2.2). Never raises.
    """
    whole = whole_bytes or len(data)
    if tcp:
        data, whole = data[2:], whole - 2
    cut = whole > len(data)
    if len(data) < _HEADER.size:
        return Message(False, "", "", 0, 0, malformed="shorter than a header")
    _, flags, questions, answers, _, _ = _HEADER.unpack_from(data)
    answer, opcode, rcode = bool(flags >> 15), flags >> 11 & 15, flags & 15
    name, kind, malformed, ttl = "", "", "", -1
    found: list[tuple[str, str]] = []
    try:
        at = _HEADER.size
        if questions != 1:
            malformed = f"{questions} questions"
        for index in range(min(questions, 8)):
            asked, at = _read_name(data, at)
            if at + 4 > len(data):
                raise _Broken("question runs over the end")
            number, _ = struct.unpack_from("!HH", data, at)
            at += 4
            if index == 0:
                name, kind = asked, TYPES.get(number, f"TYPE{number}")
        for _ in range(min(answers, _MAX_ANSWERS) if answer else 0):
            _, at = _read_name(data, at)
            if at + _RECORD.size > len(data):
                raise _Broken("record runs over the end")
            number, _, seconds, size = _RECORD.unpack_from(data, at)
            at += _RECORD.size
            if at + size > len(data):
                raise _Broken("record runs over the end")
            record = TYPES.get(number, f"TYPE{number}")
            if record != "OPT":
                found.append((record, _value(record, data, at, size)))
                ttl = seconds if ttl < 0 else min(ttl, seconds)
            at += size
        if opcode not in (0, 4, 5) and not malformed:
            malformed = f"operation {opcode}"
        if flags & 0x40 and not malformed:
            malformed = "reserved bit set"
    except _Broken as reason:
        if not cut:
            malformed = str(reason)
    return Message(answer, name, kind, opcode, rcode, tuple(found), max(ttl, 0), malformed, cut)
