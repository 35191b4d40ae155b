"""Alpine, Wolfi and Chainguard: apk's database of installed packages.

Source: apk-tools, "apk-package(5)", fields P V A o L F R.
"""

from __future__ import annotations

from collections.abc import Iterator

from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer


@analyzer(id="apk", reads=("lib/apk/db/installed", "usr/lib/apk/db/installed"))
def apk(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield one package per record; a record without name or version is a gap."""
    record: dict[str, str] = {}
    files: list[str] = []
    folder, start = "", 1
    number = 0
    for number, line in enumerate(file.text.splitlines(), 1):
        if not line.strip():
            yield from _package(record, files, file.path, start)
            record, files, folder, start = {}, [], "", number + 1
        elif line[1:2] == ":":
            key, value = line[0], line[2:]
            if key == "F":
                folder = value
            elif key == "R":
                path = f"{folder}/{value}" if folder else value
                if file.may_matter(path):
                    files.append(path)
            elif key in "PVAoL":
                record.setdefault(key, value.strip())
    yield from _package(record, files, file.path, start)


def _package(record: dict[str, str], files: list[str], path: str, line: int) -> Iterator[Found | Gap]:
    if not record:
        return
    name, version = record.get("P", ""), record.get("V", "")
    if not name or not version:
        yield Gap(path, "no P: or V: field", line=line)
        return
    yield Found(
        "apk",
        name,
        version,
        source=record.get("o") or name,
        source_version=version,
        arch=record.get("A", ""),
        licenses=(record["L"],) if record.get("L") else (),
        files=tuple(files),
    )
