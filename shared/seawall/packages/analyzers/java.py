"""Java archives: jar, war, ear and their kin, nested to any reasonable depth, shaded ones included.

A jar's identity comes from its `pom.properties`; where Maven left none, from the manifest and the file name. A shaded
jar has several `pom.properties`: each names a library whose classes are inside.

Source: Maven Archiver, "pom.properties"; JAR File Specification, "JAR Manifest"; OSGi Core, "Bundle-SymbolicName".
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import IO

from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer
from seawall.packages.archives import BAD_ZIP, open_zip, read_member
from seawall.packages.java_groups import group_of_classes, known_group

MAX_DEPTH = 6
MAX_NESTED_BYTES = 48 * 1024 * 1024
MAX_TOTAL_BYTES = 1024 * 1024 * 1024
_ARCHIVES = (".jar", ".war", ".ear", ".par", ".sar", ".hpi", ".jpi", ".lpkg", ".nar", ".kar")
_NAME = re.compile(
    r"(.+?(?:_(?:2\.1\d|3)(?=-\d))?)[-_]v?(\d[0-9A-Za-z.+_-]*?)(?:-(?:sources|javadoc|tests|all|jar-with-dependencies|shaded|shadow|uber|fat|exec|standalone))?$"
)
_COORDINATE = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_TOO_WIDE = frozenset(
    (
        "org",
        "com",
        "io",
        "net",
        "de",
        "javax",
        "org.apache",
        "org.codehaus",
        "org.eclipse",
        "org.jboss",
        "com.google",
        "com.github",
    )
)
"""What many projects' groups begin with: as a whole group it is most likely cut too short."""
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,127}")


@analyzer(id="java", reads=tuple(f"**/*{suffix}" for suffix in _ARCHIVES), version=3)
def java(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield what is in the archive and in those inside it; `path` names the way in with `!/` between archives."""
    budget = _Budget(MAX_TOTAL_BYTES)
    yield from _archive(io.BytesIO(file.content), file.path, file.name, 0, budget)


class _Budget:
    """Bytes that nested archives of one file may unpack to, all together."""

    def __init__(self, left: int) -> None:
        self.left = left


def _archive(source: IO[bytes], path: str, name: str, depth: int, budget: _Budget) -> Iterator[Found | Gap]:
    try:
        with open_zip(source) as archive:
            yield from _members(archive, path, name, depth, budget)
    except BAD_ZIP as error:
        yield Gap(path, f"archive cannot be read: {str(error)[:200] or type(error).__name__}")


def _members(archive: zipfile.ZipFile, path: str, name: str, depth: int, budget: _Budget) -> Iterator[Found | Gap]:
    manifest: zipfile.ZipInfo | None = None
    coordinates: list[tuple[str, str, str]] = []
    inner: list[zipfile.ZipInfo] = []
    for member in archive.infolist():
        text = member.filename
        if text.startswith("META-INF/"):
            if text.endswith("/pom.properties"):
                if found := _pom_properties(read_member(archive, member, 64 * 1024)):
                    coordinates.append(found)
                continue
            if text == "META-INF/MANIFEST.MF":
                manifest = member
                continue
        if text.endswith(_ARCHIVES) and not member.is_dir():
            inner.append(member)
    own = None
    if manifest is not None or not coordinates:
        fields = _manifest(read_member(archive, manifest, 4 * 1024 * 1024)) if manifest is not None else {}
        own = _by_manifest(fields, name, archive.namelist())
    if own is not None and not any(_same(own, item) or _named(name, item) for item in coordinates):
        yield _found(own, path)
    for item in dict.fromkeys(coordinates):
        yield _found(item, path)
    for member in inner:
        if depth >= MAX_DEPTH:
            yield Gap(f"{path}!/{member.filename}", f"archives nested over {MAX_DEPTH} deep")
            return
        if member.file_size > MAX_NESTED_BYTES or member.file_size > budget.left:
            yield Gap(f"{path}!/{member.filename}", f"nested archive of {member.file_size} bytes is over the limit")
            continue
        try:
            content = read_member(archive, member, min(MAX_NESTED_BYTES, budget.left))
        except BAD_ZIP as error:
            yield Gap(f"{path}!/{member.filename}", f"cannot be unpacked: {str(error)[:200]}")
            continue
        budget.left -= len(content)
        yield from _archive(
            io.BytesIO(content), f"{path}!/{member.filename}", member.filename.rpartition("/")[2], depth + 1, budget
        )


def _found(coordinate: tuple[str, str, str], path: str) -> Found:
    group, artifact, version = coordinate
    return Found("maven", artifact, version, group, path=path)


def _same(one: tuple[str, str, str], other: tuple[str, str, str]) -> bool:
    """Whether a guess from the manifest is what a pom.properties says for sure."""
    return one[1] == other[1] or (one[2] == other[2] and (one[1].endswith(other[1]) or other[1].endswith(one[1])))


def _named(name: str, item: tuple[str, str, str]) -> bool:
    """Whether the file is named as Maven names this artifact's, whatever marks stand for others' underscores."""
    wanted, have = (re.sub(r"[-_.]+", "-", text) for text in (f"{item[1]}-{item[2]}", name.rpartition(".")[0]))
    return have == wanted or have.startswith(f"{wanted}-")


def _pom_properties(content: bytes) -> tuple[str, str, str] | None:
    fields: dict[str, str] = {}
    for line in content.decode("utf-8", "replace").splitlines()[:200]:
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            fields[key.strip()] = value.strip()
    return _valid(fields.get("groupId", ""), fields.get("artifactId", ""), fields.get("version", ""))


def _valid(group: str, artifact: str, version: str) -> tuple[str, str, str] | None:
    if not _COORDINATE.fullmatch(artifact) or not _VERSION.fullmatch(version):
        return None
    return (group if _COORDINATE.fullmatch(group) else "", artifact, version)


def _manifest(content: bytes) -> dict[str, str]:
    """Return the main section's attributes, continuation lines joined."""
    text = content.decode("utf-8", "replace").replace("\r\n ", "").replace("\n ", "")
    fields: dict[str, str] = {}
    for line in text.splitlines()[:2000]:
        if not line.strip():
            break
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip().lower(), value.strip())
    return fields


def _by_manifest(fields: dict[str, str], name: str, members: list[str]) -> tuple[str, str, str] | None:
    """Return the archive's own coordinate, as far as manifest, file name and the folders of its classes say it."""
    stem = name.rpartition(".")[0]
    match = _NAME.fullmatch(stem)
    bundle = fields.get("bundle-symbolicname", "").partition(";")[0].strip()
    module = fields.get("automatic-module-name", "")
    version = (
        (match.group(2) if match else "")
        or fields.get("implementation-version", "")
        or fields.get("bundle-version", "")
        or fields.get("specification-version", "")
    )
    title = fields.get("implementation-title", "")
    artifact = match.group(1) if match else ""
    if not artifact:
        artifact = title if _COORDINATE.fullmatch(title) and " " not in title else stem
    group = known_group(artifact) or fields.get("implementation-vendor-id", "")
    if not _COORDINATE.fullmatch(group):
        group = _group(bundle or module or (title if "." in title else ""), artifact)
    if not group or group in _TOO_WIDE or "_" in group:
        group = group_of_classes(members, artifact) or group
    # Spring and Jenkins name the group in the file name of unpacked repositories: org.x.y.artifact-1.0.jar
    if "." in artifact and group and artifact.startswith(f"{group}."):
        artifact = artifact.removeprefix(f"{group}.")
    return _valid(group, artifact, version.partition(" ")[0])


def _group(symbolic: str, artifact: str) -> str:
    if "." not in symbolic:
        return ""
    if symbolic.endswith(f".{artifact}"):
        return symbolic.removesuffix(f".{artifact}")
    head, _, last = symbolic.rpartition(".")
    parts = artifact.split("-")
    if last in parts or last == artifact.replace("-", "") or artifact.endswith(last):
        return head
    return symbolic
