"""Python distributions: `dist-info`, `egg-info`, wheels and eggs, conda's records.

Source: PyPA core metadata; PEP 427 (wheels); PEP 503 (names); conda "conda-meta".
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator

from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer
from seawall.packages.archives import BAD_ZIP, open_zip, read_member

_FOLDER = re.compile(r"(?:^|/)([^/]+)\.(?:dist-info|egg-info)$")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_HEADER_BYTES = 256 * 1024


def metadata(path: str, text: str) -> Iterator[Found | Gap]:
    """Yield the package that a core-metadata text (`METADATA`, `PKG-INFO`) describes."""
    fields: dict[str, list[str]] = {}
    for line in text[:_HEADER_BYTES].splitlines():
        if not line.strip():
            break
        key, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            fields.setdefault(key.strip().lower(), []).append(value.strip())
    name, version = fields.get("name", [""])[0], fields.get("version", [""])[0]
    if not name or not version:
        # setuptools wrote empty PKG-INFO files for a while; the folder's name says both
        if match := re.search(r"(?:^|/)([^/-]+)-([^/-]+)(?:-[^/]*)?\.(?:dist-info|egg-info)(?:/|$)", path):
            name, version = name or match.group(1), version or match.group(2)
        if not name or not version:
            yield Gap(path, "no Name or Version field")
            return
    if not _NAME.fullmatch(name) or len(name) > 256 or len(version) > 256 or " " in version:
        yield Gap(path, f"{name[:80]!r} {version[:80]!r} is not a package name and version")
        return
    licence = fields.get("license-expression") or [
        value.rpartition("::")[2].strip() for value in fields.get("classifier", ()) if value.startswith("License ::")
    ]
    if not licence:
        licence = [value for value in fields.get("license", ()) if 0 < len(value) <= 100 and value != "UNKNOWN"]
    yield Found("pypi", name, version, licenses=tuple(licence), path=path)


@analyzer(id="python-installed", reads=("**/METADATA", "**/PKG-INFO", "**/*.egg-info"))
def python_installed(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the package of one `*.dist-info/METADATA`, `*.egg-info/PKG-INFO`, `EGG-INFO/PKG-INFO` or `*.egg-info` file."""
    folder = file.folder
    if file.name.endswith(".egg-info") or _FOLDER.search(folder) or folder.endswith(("EGG-INFO", ".egg-info")):
        yield from metadata(file.path, file.text)


@analyzer(id="python-wheel", reads=("**/*.whl", "**/*.egg"))
def python_wheel(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the package inside a wheel or zipped egg."""
    try:
        with open_zip(io.BytesIO(file.content)) as archive:
            for member in archive.infolist():
                if member.filename.count("/") == 1 and member.filename.endswith(
                    (".dist-info/METADATA", "EGG-INFO/PKG-INFO")
                ):
                    text = read_member(archive, member, 4 * _HEADER_BYTES).decode("utf-8", "replace")
                    for item in metadata(f"{file.path}/{member.filename}", text):
                        yield Gap(file.path, item.reason) if isinstance(item, Gap) else _at(item, file.path)
                    return
    except BAD_ZIP as error:
        yield Gap(file.path, f"not a readable wheel: {error}")


def _at(found: Found, path: str) -> Found:
    return Found(found.type, found.name, found.version, licenses=found.licenses, path=path)


@analyzer(id="conda", reads=("**/conda-meta/*.json",))
def conda(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the package of one `conda-meta/<name>-<version>-<build>.json`."""
    try:
        record = json.loads(file.content)
    except (ValueError, RecursionError) as error:
        yield Gap(file.path, f"not JSON: {error}")
        return
    if not isinstance(record, dict) or not all(isinstance(record.get(key), str) for key in ("name", "version")):
        yield Gap(file.path, "no name or version")
        return
    if not record["name"] or not record["version"]:
        yield Gap(file.path, "no name or version")
        return
    licence = record.get("license")
    qualifiers = tuple(
        (key, str(record[field])) for key, field in (("build", "build"), ("subdir", "subdir")) if record.get(field)
    )
    yield Found(
        "conda",
        record["name"],
        record["version"],
        qualifiers=qualifiers,
        licenses=(licence,) if isinstance(licence, str) and licence else (),
    )
