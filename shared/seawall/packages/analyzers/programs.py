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
    """`version` has one group. `ecosystem` is set where OSV has a database that judges the upstream's versions."""

    name: str
    reads: tuple[str, ...]
    version: re.Pattern[bytes]
    purl_type: str = "generic"
    ecosystem: str = ""


_PROGRAMS = (
    _Program("nginx", ("**/nginx",), re.compile(rb"\0nginx/(\d+\.\d+\.\d+)\0"), ecosystem="Bitnami"),
    _Program(
        "openssl",
        ("**/openssl", "**/libcrypto.so*", "**/libssl.so*"),
        re.compile(rb"\0?OpenSSL (\d+\.\d+\.\d+[a-z]{0,2}(?:-(?:alpha|beta|pre|dev)\d*)?) +(?:\d{1,2} \w{3} \d{4}|\[)"),
        ecosystem="Bitnami",
    ),
    _Program(
        "node",
        ("**/node", "**/nodejs"),
        re.compile(rb"(?:\0node|node\.js/|node )v(\d{1,2}\.\d+\.\d+)[\0 \n)]|\0v(\d{1,2}\.\d{1,2}\.\d{1,2})\0"),
        ecosystem="Bitnami",
    ),
    _Program(
        "python",
        ("**/python2*", "**/python3*", "**/python", "**/libpython2*", "**/libpython3*"),
        re.compile(rb"\0([23]\.\d{1,2}\.\d{1,2}(?:(?:a|b|rc)\d{1,2})?\+?)\0"),
        ecosystem="Bitnami",
    ),
    _Program(
        "redis",
        ("**/redis-server", "**/redis-cli"),
        re.compile(
            rb"(?:Redis (?:server )?v?(?:ersion )?=?|redis_version:|\0redis-cli )(\d+\.\d+\.\d+)|\0([2-9]\.\d{1,2}\.\d{1,2})\0"
        ),
        ecosystem="Bitnami",
    ),
    _Program("busybox", ("**/busybox",), re.compile(rb"BusyBox v(\d+\.\d+\.\d+)")),
)


def _reader(program: _Program) -> Read:
    def read(file: ImageFile) -> Iterator[Found]:
        if file.content[:4] != b"\x7fELF":
            return
        if match := program.version.search(file.content):
            version = next(group for group in match.groups() if group).decode("ascii", "replace")
            yield Found(program.purl_type, program.name, version.rstrip("+"), ecosystem=program.ecosystem)

    return read


def _declare(program: _Program) -> Analyzer:
    declare: Callable[[Read], Analyzer] = analyzer(id=f"program-{program.name}", reads=program.reads)
    return declare(_reader(program))


PROGRAMS: tuple[Analyzer, ...] = tuple(_declare(program) for program in _PROGRAMS)
