"""An rpm header blob: tags to values.

Source: rpm, "RPM v4 header format"; lib/rpmtag.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from seawall.domain.errors import InputError

_ENTRY = struct.Struct(">IIII")
_STRING, _STRING_ARRAY, _I18N = 6, 8, 9
NAME, VERSION, RELEASE, EPOCH, LICENSE, ARCH, SOURCE_RPM = 1000, 1001, 1002, 1003, 1014, 1022, 1044
VENDOR, DIR_INDEXES, BASE_NAMES, DIR_NAMES, MODULARITY_LABEL = 1011, 1116, 1117, 1118, 5096
_WANTED = frozenset(
    (
        NAME,
        VERSION,
        RELEASE,
        EPOCH,
        LICENSE,
        ARCH,
        SOURCE_RPM,
        VENDOR,
        DIR_INDEXES,
        BASE_NAMES,
        DIR_NAMES,
        MODULARITY_LABEL,
    )
)
MAX_ENTRIES = 65_536


@dataclass(frozen=True, slots=True)
class Header:
    """Values by tag: a string, a list of strings, or integers."""

    values: dict[int, list[str] | tuple[int, ...]]

    def text(self, tag: int) -> str:
        """Return a string tag's value, empty where it is not there."""
        value = self.values.get(tag)
        return value[0] if isinstance(value, list) and value else ""

    def texts(self, tag: int) -> list[str]:
        """Return a string array's values."""
        value = self.values.get(tag)
        return value if isinstance(value, list) else []

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return an integer tag's values."""
        value = self.values.get(tag)
        return value if isinstance(value, tuple) else ()


def parse_header(blob: bytes) -> Header:
    """Return the tags that we use.

    Raises:
        InputError: the blob is not a header.
    """
    if len(blob) < 8:
        raise InputError("rpm header is cut off")
    count, size = struct.unpack_from(">II", blob)
    data = 8 + 16 * count
    if count > MAX_ENTRIES or data + size > len(blob):
        raise InputError("rpm header is damaged")
    end = data + size
    values: dict[int, list[str] | tuple[int, ...]] = {}
    for number in range(count):
        tag, kind, offset, length = _ENTRY.unpack_from(blob, 8 + 16 * number)
        if tag not in _WANTED:
            continue
        start = data + offset
        if offset >= size or length > size:
            raise InputError(f"rpm tag {tag} points behind its header")
        if kind == 4:
            if start + 4 * length <= end:
                values[tag] = struct.unpack_from(f">{length}I", blob, start)
        elif kind in (_STRING, _I18N, _STRING_ARRAY):
            wanted = 1 if kind == _STRING else length
            parts = blob[start:end].split(b"\0", wanted)
            values[tag] = [part.decode("utf-8", "replace") for part in parts[:wanted]]
    return Header(values)
