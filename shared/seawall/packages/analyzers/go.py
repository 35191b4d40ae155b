"""Go programs: the modules that the linker wrote into them, found also when the program is stripped.

Source: Go, src/debug/buildinfo (both forms, before and since 1.18); src/runtime/debug/mod.go (text form).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from seawall.domain.errors import InputError
from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer
from seawall.packages.elf import Elf, section_names

MAGIC = b"\xff Go buildinf:"
_INFO_START = bytes.fromhex("3077af0c9274080241e1c107e6d618e6")
_INFO_END = bytes.fromhex("f932433186182072008242104116d8f2")
_VERSION = re.compile(r"(?:go|devel )(\S+)")
_LDFLAGS = re.compile(r"-X[ =]\"?'?[^\s\"']*?[._/-]?[vV]ersion=\"?'?(v?\d+\.\d+(?:\.\d+)?[0-9A-Za-z.+-]*)")
MAX_INFO = 16 * 1024 * 1024


@analyzer(id="go-binary", executables=True, needle=MAGIC, version=5)
def go_binary(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the standard library, the main module and every dependency, replacements applied."""
    if file.partial:  # of a program too large to hold: the form since Go 1.18 has all in one place
        version, info = _read_inline(file.content, 0) if file.content[15:16] > b"\1" else ("", "")
        if not version:
            yield Gap(file.path, "Go program too large to be read, built before Go 1.18")
    elif file.content[:4] != b"\x7fELF":
        version, info = _of_another_system(file.content)
    else:
        names = section_names(file.content)
        if len(names) > 1 and b".go" not in names:
            return  # some other compiler's program
        try:
            elf = Elf(file.content)
        except InputError as error:
            yield Gap(file.path, error.message)
            return
        version, info = build_info(elf)
    if version:
        yield from modules(version, info)


def build_info(elf: Elf) -> tuple[str, str]:
    """Return (Go's version, module text), both empty where the program is not Go."""
    start = _find(elf)
    if start < 0:
        return "", ""
    content = elf.content
    pointer_size, flags = content[start + 14], content[start + 15]
    if flags & 2:
        return _read_inline(content, start)
    order: Literal["big", "little"] = "big" if flags & 1 else "little"
    version = _string(elf, content[start + 16 : start + 16 + pointer_size], pointer_size, order)
    info = _string(elf, content[start + 16 + pointer_size : start + 16 + 2 * pointer_size], pointer_size, order)
    return _text(version, info)


def _of_another_system(content: bytes) -> tuple[str, str]:
    """Return what `build_info` does, of a program for Windows or macOS built by Go 1.18 or later.

    The header is aligned by 16 (Go, src/debug/buildinfo); the same bytes inside a program that looks for it are not its own.
    """
    at = content.find(MAGIC)
    while at >= 0:
        if not at % 16 and content[at + 15 : at + 16] == b"\2":
            version, info = _read_inline(content, at)
            if _VERSION.match(version):
                return version, info
        at = content.find(MAGIC, at + 1)
    return "", ""


def _read_inline(content: bytes, start: int) -> tuple[str, str]:
    version, position = _inline(content, start + 32)
    info, _ = _inline(content, position)
    return _text(version, info)


def _text(version: bytes, info: bytes) -> tuple[str, str]:
    if len(info) >= 33 and info.startswith(_INFO_START):
        info = info[16:-16]
    return version.decode("utf-8", "replace").strip(), info.decode("utf-8", "replace")


def _find(elf: Elf) -> int:
    region = elf.sections.get(".go.buildinfo")
    if region is not None:
        at = elf.content.find(MAGIC, region.offset, region.offset + region.size)
    elif elf.sections and ".gopclntab" not in elf.sections:
        return -1  # a section table without Go's sections: some other compiler's program
    else:
        data = elf.writable()
        at = elf.content.find(MAGIC, data.offset, data.offset + data.size) if data is not None else -1
        if at < 0:
            at = elf.content.find(MAGIC)
    return at if at >= 0 and at + 32 <= len(elf.content) else -1


def _inline(content: bytes, position: int) -> tuple[bytes, int]:
    length = shift = 0
    for _ in range(5):
        if position >= len(content):
            return b"", position
        byte = content[position]
        position += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    if length > MAX_INFO:
        return b"", position
    return content[position : position + length], position + length


def _string(elf: Elf, pointer: bytes, size: int, order: Literal["big", "little"]) -> bytes:
    if size not in (4, 8):
        return b""
    record = elf.at_address(int.from_bytes(pointer, order), 2 * size)
    address = int.from_bytes(record[:size], order)
    length = int.from_bytes(record[size:], order)
    return elf.at_address(address, length) if 0 < length <= MAX_INFO else b""


def modules(go_version: str, info: str) -> Iterator[Found]:
    """Yield the packages of a build-info text; without one (built outside a module) only the standard library."""
    match = _VERSION.match(go_version)
    version = match.group(1).partition("-")[0].partition(" ")[0] if match else go_version.partition(" ")[0]
    if version:
        yield Found("golang", "stdlib", version)
    main: list[str] | None = None
    rows: list[list[str]] = []
    settings: dict[str, str] = {}
    for line in info.splitlines():
        parts = line.split("\t")
        if parts[0] == "mod" and len(parts) >= 3:
            main = parts
        elif parts[0] == "dep" and len(parts) >= 3:
            rows.append(parts)
        elif parts[0] == "=>" and len(parts) >= 3 and rows:
            rows[-1] = parts  # what was really compiled in
        elif parts[0] == "build" and len(parts) >= 2:
            key, _, value = parts[1].partition("=")
            settings[key] = value
    if main is not None:
        yield from _module(main[1], _main_version(main[2], settings))
    for parts in rows:
        yield from _module(parts[1], parts[2])


def _main_version(version: str, settings: dict[str, str]) -> str:
    """Return the main module's version; `(devel)` is looked up in the linker flags, where release builds put it."""
    if version and version != "(devel)":
        return version.removesuffix("+dirty")
    match = _LDFLAGS.search(settings.get("-ldflags", ""))
    if match:
        return match.group(1) if match.group(1).startswith("v") else f"v{match.group(1)}"
    return version


def _module(path: str, version: str) -> Iterator[Found]:
    if not path or len(path) > 512 or path.startswith((".", "/")):
        return  # replaced by a folder of the builder's machine: no public name
    namespace, _, name = path.rpartition("/")
    yield Found("golang", name, version, namespace)
