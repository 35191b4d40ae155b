"""Programs and libraries that people install by hand, told by the version strings inside them.

One row a program: which files, and the expression that finds its version. Where a distribution's package owns the
file, that package is reported instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from seawall.packages.analyzer import Analyzer, Found, ImageFile, Read, analyzer


@dataclass(frozen=True, slots=True)
class _Program:
    """`version` (one group) is tried where one of `needles` occurs: searching for fixed bytes is ten times as fast."""

    name: str
    reads: tuple[str, ...]
    needles: tuple[bytes, ...]
    version: re.Pattern[bytes]
    ecosystem: str = "Bitnami"
    """OSV's database that judges upstream versions."""


_PROGRAMS = (
    _Program("nginx", ("**/nginx",), (b"nginx/",), re.compile(rb"nginx/(\d+\.\d+\.\d+)\0")),
    _Program(
        "openssl",
        ("**/openssl", "**/libcrypto.so*", "**/libssl.so*"),
        (b"OpenSSL ",),
        re.compile(rb"OpenSSL (\d+\.\d+\.\d+[a-z]{0,2}(?:-(?:alpha|beta|pre|dev)\d*)?) +(?:\d{1,2} \w{3} \d{4}|\[)"),
    ),
    _Program(
        "node",
        ("**/node", "**/nodejs"),
        (b"node.js/v", b"\0v"),
        re.compile(rb"(?:node\.js/v|\0v)(\d{1,2}\.\d{1,2}\.\d{1,2})[\0 \n)]"),
    ),
    _Program(
        "python",
        ("**/python2*", "**/python3*", "**/python", "**/libpython2*", "**/libpython3*"),
        (b"\x003.", b"\x002.7"),
        re.compile(rb"\0([23]\.\d{1,2}\.\d{1,2}(?:(?:a|b|rc)\d{1,2})?)\+?\0"),
    ),
    _Program(
        "redis",
        ("**/redis-server", "**/redis-cli"),
        (b"redis_version:", b"Redis version=", b"redis-cli ", b"\x004.", b"\x005.", b"\x006.", b"\x007.", b"\x008."),
        re.compile(rb"(?:redis_version:|Redis version=|redis-cli |\0)(\d{1,2}\.\d{1,3}\.\d{1,3})[\0 \r\n,]"),
    ),
    _Program("busybox", ("**/busybox",), (b"BusyBox v",), re.compile(rb"BusyBox v(\d+\.\d+\.\d+)")),
)
MAX_TRIES = 10_000
"""Places that are looked at for one needle; a hostile file may hold millions."""


def _find(program: _Program, content: bytes) -> str:
    for needle in program.needles:
        at = content.find(needle)
        for _ in range(MAX_TRIES):
            if at < 0:
                break
            if match := program.version.match(content, at):
                return match.group(1).decode("ascii")
            at = content.find(needle, at + 1)
    return ""


def _reader(program: _Program) -> Read:
    def read(file: ImageFile) -> Iterator[Found]:
        if (file.partial or file.content[:4] == b"\x7fELF") and (version := _find(program, file.content)):
            yield Found("generic", program.name, version, ecosystem=program.ecosystem)

    return read


def _declare(program: _Program) -> Analyzer:
    declare: Callable[[Read], Analyzer] = analyzer(id=f"program-{program.name}", reads=program.reads, piecewise=True)
    return declare(_reader(program))


PROGRAMS: tuple[Analyzer, ...] = tuple(_declare(program) for program in _PROGRAMS)
