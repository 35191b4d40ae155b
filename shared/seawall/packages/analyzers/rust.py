"""Rust programs built with cargo-auditable: the dependency list in their section `.dep-v0`.

Source: rust-secure-code/cargo-auditable, PARSING.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import msgspec

from seawall.domain.errors import InputError
from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer
from seawall.packages.elf import Elf, section_names

MAX_LIST = 16 * 1024 * 1024


class _Crate(msgspec.Struct):
    name: str
    version: str
    source: str = ""
    kind: str = "runtime"
    root: bool = False


class _List(msgspec.Struct):
    packages: list[_Crate]


_DECODER = msgspec.json.Decoder(_List)


@analyzer(id="rust-binary", executables=True, version=2)
def rust_binary(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the crates that were compiled in; build-time ones are not in the program."""
    if file.content[:4] != b"\x7fELF" or b".dep-v0" not in section_names(file.content):
        return
    try:
        section = Elf(file.content).section(".dep-v0")
    except InputError:
        return  # said by the Go analyzer already
    if section is None:
        return
    try:
        decoder = zlib.decompressobj()
        text = decoder.decompress(section, MAX_LIST)
        if decoder.unconsumed_tail:
            yield Gap(file.path, f"dependency list is over {MAX_LIST} bytes")
            return
        crates = _DECODER.decode(text).packages
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        yield Gap(file.path, f"dependency list (.dep-v0) is damaged: {error}")
        return
    for crate in crates:
        if crate.kind != "build":
            yield Found("cargo", crate.name, crate.version)
