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
    otherwise: re.Pattern[bytes] | None = None
    """Where `version` is nowhere: of all the places where this one matches, the highest number counts."""


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
        # Linkers lay equal tails of strings over each other: below /opt/python/3.12.1 the version is the end of a path.
        (b"\x003.", b"\x002.7", b"/3.", b"/2.7"),
        re.compile(rb"[\0/]([23]\.\d{1,2}\.\d{1,2}(?:(?:a|b|rc)\d{1,2})?)\+?\0"),
    ),
    _Program(
        "redis",
        ("**/redis-server", "**/redis-cli"),
        (b"redis_version:", b"Redis version=", b"redis-cli ", b"\x004.", b"\x005.", b"\x006.", b"\x007.", b"\x008."),
        # INFO prints the version before the kind of atomics, redis-cli before the commit. The table of commands names
        # older versions: those that brought each command.
        re.compile(
            rb"(?:redis_version:|Redis version=|redis-cli )(\d{1,2}\.\d{1,3}\.\d{1,3})[\0 \r\n,]"
            rb"|\0(\d{1,2}\.\d{1,3}\.\d{1,3})\0(?: \(git:%s|(?:\d{1,2}\.\d{1,2}\.\d{1,2}\0)?(?:c11|atomic|sync)-builtin\0)"
        ),
        otherwise=re.compile(rb"\0(\d{1,2}\.\d{1,3}\.\d{1,3})\0"),
    ),
    _Program("busybox", ("**/busybox",), (b"BusyBox v",), re.compile(rb"BusyBox v(\d+\.\d+\.\d+)")),
)
_SERIES = re.compile(r"^(?:lib)?python(\d\.\d+)")
MAX_TRIES = 10_000
"""Places that are looked at for one needle; a hostile file may hold millions."""


def _matches(needles: tuple[bytes, ...], expression: re.Pattern[bytes], content: bytes) -> Iterator[str]:
    for needle in needles:
        at = content.find(needle)
        for _ in range(MAX_TRIES):
            if at < 0:
                break
            if match := expression.match(content, at):
                yield match[match.lastindex or 0].decode("ascii")
            at = content.find(needle, at + 1)


def _find(program: _Program, file: ImageFile) -> str:
    # python3.12 is no 3.11, whatever other versions are named inside
    series = found[1] + "." if (found := _SERIES.search(file.name)) else ""
    for version in _matches(program.needles, program.version, file.content):
        if version.startswith(series):
            return version
    if program.otherwise is None:
        return ""
    others = _matches(program.needles, program.otherwise, file.content)
    return max(others, key=lambda version: [int(part) for part in version.split(".")], default="")


def _reader(program: _Program) -> Read:
    def read(file: ImageFile) -> Iterator[Found]:
        if (file.partial or file.content[:4] == b"\x7fELF") and (version := _find(program, file)):
            yield Found("generic", program.name, version, ecosystem=program.ecosystem)

    return read


def _declare(program: _Program) -> Analyzer:
    declare: Callable[[Read], Analyzer] = analyzer(
        id=f"program-{program.name}", reads=program.reads, piecewise=True, version=2
    )
    return declare(_reader(program))


PROGRAMS: tuple[Analyzer, ...] = tuple(_declare(program) for program in _PROGRAMS)
