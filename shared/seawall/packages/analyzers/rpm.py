"""Red Hat, SUSE and their kin: the rpm database, and the manifest that distroless Azure Linux images carry instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from seawall.domain.errors import InputError
from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer
from seawall.packages.rpmdb import berkeley, header, ndb, sqlite

_FOLDERS = ("var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm")
_NAMES = ("rpmdb.sqlite", "Packages.db", "Packages")
_SOURCE = re.compile(r"(.+)-([^-]+)-([^-]+)\.(?:no)?src\.rpm")


@analyzer(id="rpm", reads=tuple(f"{folder}/{name}" for folder in _FOLDERS for name in _NAMES))
def rpm(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the installed packages; the form is told by the first bytes, not by the name."""
    try:
        for blob in _form(file.content)(file.content):
            try:
                found = _package(header.parse_header(blob), file.may_matter)
            except InputError as error:
                if len(blob) > 4:  # Berkeley DB keeps a counter among the packages
                    yield Gap(file.path, error.message)
                continue
            if found is None:
                yield Gap(file.path, "rpm header without name, version or release")
            elif found.name != "gpg-pubkey":  # a key that signs packages, not a package
                yield found
    except InputError as error:
        yield Gap(file.path, error.message)


def _form(content: bytes) -> Callable[[bytes], Iterator[bytes]]:
    if content.startswith(sqlite.MAGIC):
        return sqlite.blobs
    return ndb.blobs if content.startswith(ndb.MAGIC) else berkeley.blobs


def _package(tags: header.Header, may_matter: Callable[[str], bool]) -> Found | None:
    name, version, release = tags.text(header.NAME), tags.text(header.VERSION), tags.text(header.RELEASE)
    if not name or not version or (not release and name != "gpg-pubkey"):
        return None
    epoch = tags.numbers(header.EPOCH)
    full = f"{epoch[0]}:{version}-{release}" if epoch and epoch[0] else f"{version}-{release}"
    source, source_version = name, full
    if match := _SOURCE.fullmatch(tags.text(header.SOURCE_RPM)):
        source, source_version = match.group(1), f"{match.group(2)}-{match.group(3)}"
        if epoch and epoch[0]:
            source_version = f"{epoch[0]}:{source_version}"
    module = tags.text(header.MODULARITY_LABEL)
    return Found(
        "rpm",
        name,
        full,
        source=source,
        source_version=source_version,
        arch=tags.text(header.ARCH) or "noarch",
        licenses=tuple(filter(None, (tags.text(header.LICENSE),))),
        qualifiers=(("rpmmod", module),) if module else (),
        files=tuple(path for path in _files(tags) if may_matter(path)),
    )


def _files(tags: header.Header) -> Iterator[str]:
    folders = tags.texts(header.DIR_NAMES)
    for name, index in zip(tags.texts(header.BASE_NAMES), tags.numbers(header.DIR_INDEXES), strict=False):
        if index < len(folders):
            yield f"{folders[index]}{name}".lstrip("/")


@analyzer(id="rpm-wal", reads=tuple(f"{folder}/rpmdb.sqlite-wal" for folder in _FOLDERS))
def rpm_wal(file: ImageFile) -> Iterator[Gap]:
    """Say that the database was copied while open: its last changes are in a log that is not applied."""
    if len(file.content) > 32:
        yield Gap(file.path, "the rpm database has a write-ahead log that is not applied")


@analyzer(id="rpm-manifest", reads=("var/lib/rpmmanifest/container-manifest-2",))
def rpm_manifest(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the packages of a distroless Mariner or Azure Linux image: tab-separated, as `rpm -qa` was told to print."""
    for number, line in enumerate(file.text.splitlines(), 1):
        parts = line.split("\t")
        if len(parts) < 10 or not parts[0] or "-" not in parts[1]:
            if line.strip():
                yield Gap(file.path, "line has not ten fields", line=number)
            continue
        epoch = parts[8] if parts[8].isdigit() and parts[8] != "0" else ""
        version = f"{epoch}:{parts[1]}" if epoch else parts[1]
        match = _SOURCE.fullmatch(parts[9])
        source, source_version = (
            (match.group(1), f"{match.group(2)}-{match.group(3)}") if match else (parts[0], version)
        )
        yield Found("rpm", parts[0], version, source=source, source_version=source_version, arch=parts[7])
