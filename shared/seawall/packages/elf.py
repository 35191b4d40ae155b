"""ELF files: sections and segments, enough to find what compilers leave in them.

Source: System V ABI, "Object Files"; elf(5).
"""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass

from seawall.domain.errors import InputError

MAX_SECTIONS = 4096
_WRITABLE = 2


@dataclass(frozen=True, slots=True)
class Region:
    """A section (with name) or loaded segment (without): file offset, size, address in memory."""

    name: str
    offset: int
    size: int
    address: int
    flags: int = 0


def section_names(content: bytes) -> bytes:
    """Return the table of section names, NUL-separated; empty where there is none. Far cheaper than `Elf`."""
    try:
        order = "<" if content[5] == 1 else ">"
        if content[4] == 2:
            (shoff,) = struct.unpack_from(f"{order}Q", content, 40)
            size, _, strndx = struct.unpack_from(f"{order}HHH", content, 58)
            offset, length = struct.unpack_from(f"{order}QQ", content, shoff + strndx * size + 24)
        else:
            (shoff,) = struct.unpack_from(f"{order}I", content, 32)
            size, _, strndx = struct.unpack_from(f"{order}HHH", content, 46)
            offset, length = struct.unpack_from(f"{order}II", content, shoff + strndx * size + 16)
    except (struct.error, IndexError, OverflowError):
        return b""
    return content[offset : offset + min(length, 1 << 20)] if shoff else b""


class Elf:
    """A parsed file. Tables that are damaged are treated as absent: stripped programs have none either."""

    def __init__(self, content: bytes) -> None:
        """Read the tables of `content`.

        Raises:
            InputError: not ELF.
        """
        if len(content) < 52 or content[:4] != b"\x7fELF" or content[4] not in (1, 2) or content[5] not in (1, 2):
            raise InputError("not an ELF file")
        self.content = content
        self.order = "<" if content[5] == 1 else ">"
        self.wide = content[4] == 2
        self.sections: dict[str, Region] = {}
        self.segments: list[Region] = []
        with contextlib.suppress(struct.error, OverflowError):
            self._read_tables()

    def _read_tables(self) -> None:
        content, order = self.content, self.order
        if self.wide:
            phoff, shoff = struct.unpack_from(f"{order}QQ", content, 32)
            phsize, phnum, shsize, shnum, strndx = struct.unpack_from(f"{order}HHHHH", content, 54)
        else:
            phoff, shoff = struct.unpack_from(f"{order}II", content, 28)
            phsize, phnum, shsize, shnum, strndx = struct.unpack_from(f"{order}HHHHH", content, 42)
        for number in range(min(phnum, MAX_SECTIONS)):
            at = phoff + number * phsize
            if self.wide:
                kind, flags, offset, address, _, size = struct.unpack_from(f"{order}IIQQQQ", content, at)
            else:
                kind, offset, address, _, size, _, flags = struct.unpack_from(f"{order}IIIIIII", content, at)
            if kind == 1:
                self.segments.append(Region("", offset, size, address, flags))
        if not shoff or not shnum or shnum > MAX_SECTIONS:
            return
        raw = []
        for number in range(shnum):
            at = shoff + number * shsize
            if self.wide:
                name, _, flags, address, offset, size = struct.unpack_from(f"{order}IIQQQQ", content, at)
            else:
                name, _, flags, address, offset, size = struct.unpack_from(f"{order}IIIIII", content, at)
            raw.append((name, offset, size, address, flags))
        if strndx >= len(raw):
            return
        names = content[raw[strndx][1] : raw[strndx][1] + raw[strndx][2]]
        for name, offset, size, address, flags in raw:
            text = names[name : names.find(b"\0", name)].decode("ascii", "replace")
            if text and offset + size <= len(content):
                self.sections.setdefault(text, Region(text, offset, size, address, flags))

    def section(self, name: str) -> bytes | None:
        """Return a section's bytes, or None."""
        region = self.sections.get(name)
        return None if region is None else self.content[region.offset : region.offset + region.size]

    def writable(self) -> Region | None:
        """Return the first writable segment, where data lies."""
        return next((item for item in self.segments if item.flags & _WRITABLE), None)

    def at_address(self, address: int, size: int) -> bytes:
        """Return `size` bytes from a memory address, fewer where the file has fewer."""
        for region in (*self.segments, *self.sections.values()):
            if region.address and region.address <= address < region.address + region.size:
                start = region.offset + address - region.address
                return self.content[start : start + min(size, region.address + region.size - address)]
        return b""
