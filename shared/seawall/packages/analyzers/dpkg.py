"""Debian and its kin: the dpkg status file, distroless `status.d`, and the file lists beside them.

Source: Debian Policy 5.1 "Syntax of control files"; dpkg(1), "Information about packages".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, Owned, analyzer

_SOURCE = re.compile(r"([^\s(]+)(?:\s*\(([^)]*)\))?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*")
_GONE = frozenset(("config-files", "not-installed"))
"""States in which no file of the package is on the disk."""


@analyzer(
    id="dpkg",
    reads=("var/lib/dpkg/status", "var/lib/dpkg/status.d/*"),
)
def dpkg(file: ImageFile) -> Iterator[Found | Owned | Gap]:
    """Yield the packages whose files are on the disk, whatever their exact state."""
    if "/status.d/" in file.path and file.name.endswith(".md5sums"):
        yield from _md5sums(file)
        return
    line = 1
    for block in re.split(r"\n[ \t]*\n", file.text.replace("\r\n", "\n")):
        if block.strip():
            yield from _package(block, file.path, line)
        line += block.count("\n") + 2


def _package(block: str, path: str, line: int) -> Iterator[Found | Gap]:
    fields: dict[str, str] = {}
    for row in block.splitlines():
        if row[:1] in " \t":
            continue
        key, colon, value = row.partition(":")
        if colon:
            fields[key.strip().lower()] = value.strip()
    name, version = fields.get("package", ""), fields.get("version", "")
    status = fields.get("status", "")
    if status and status.split()[-1] in _GONE:
        return
    if not name or not _NAME.fullmatch(name):
        yield Gap(path, "no Package field" if not name else f"{name[:80]!r} is not a package name", line=line)
        return
    if not version or len(version) > 256 or any(sign.isspace() for sign in version):
        yield Gap(path, f"{name}: no usable Version field", line=line)
        return
    source, source_version = name, version
    if match := _SOURCE.match(fields.get("source", "")):
        source, source_version = match.group(1), (match.group(2) or version).strip()
    yield Found("deb", name, version, source=source, source_version=source_version, arch=fields.get("architecture", ""))


def _md5sums(file: ImageFile) -> Iterator[Owned]:
    files = (row.partition("  ")[2].strip().lstrip("./") for row in file.text.splitlines())
    yield Owned(file.name.removesuffix(".md5sums"), tuple(path for path in files if path and file.may_matter(path)))


@analyzer(id="dpkg-files", reads=("var/lib/dpkg/info/*.list",))
def dpkg_files(file: ImageFile) -> Iterator[Owned]:
    """Yield what each package owns, from `/var/lib/dpkg/info/<package>[:<arch>].list`."""
    package = file.name.removesuffix(".list").partition(":")[0]
    paths = (row[1:] for row in file.text.splitlines() if row.startswith("/"))
    yield Owned(package, tuple(path for path in paths if file.may_matter(path)))
