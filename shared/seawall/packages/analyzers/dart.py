"""What a Dart or Flutter project resolved: pubspec.lock.

Source: dart.dev, "Package dependencies", lockfile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seawall.packages.analyzer import Found, ImageFile, analyzer

_FIELD = re.compile(r"""    (dependency|source|version):\s*["']?([^"'\s][^"']*?)["']?\s*""")


@analyzer(id="pub-lock", reads=("**/pubspec.lock",), project=True)
def pub_lock(file: ImageFile) -> Iterator[Found]:
    """Yield the hosted packages, read by line; those that the project asks for only to develop are left out."""
    inside, name, fields = False, "", dict[str, str]()
    for line in (*file.text.splitlines(), "end:"):
        indented = line.startswith("  ")
        if (not indented or line[2:3] not in ("", " ", "#")) and line.strip():  # the next package, or section
            wanted = fields.get("source") == "hosted" and fields.get("dependency") != "direct dev"
            if name and wanted and (version := fields.get("version")):
                yield Found("pub", name, version, declared=True)
            name, fields = "", {}
            if not indented:
                inside = line.rstrip() == "packages:"
            elif inside:
                name = line.strip().rstrip(":").strip("\"'")
        elif name and (match := _FIELD.fullmatch(line)):
            fields.setdefault(match.group(1), match.group(2))
