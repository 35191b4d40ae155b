"""What a Python project asks for: requirements.txt, poetry, uv, PDM, Pipenv, pylock. Only exact versions count.

Source: pip "Requirements File Format"; PEP 751 (pylock.toml); each tool's lock file.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator

from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer

_PIN = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*===?\s*([0-9A-Za-z][0-9A-Za-z.+!_-]*)\s*(?:[;#\\\s]|$)"
)


@analyzer(id="requirements", reads=("**/requirements*.txt",), version=2, project=True)
def requirements(file: ImageFile) -> Iterator[Found]:
    """Yield the requirements pinned with `==`."""
    for line in file.text.splitlines():
        if match := _PIN.match(line.strip()):
            yield Found("pypi", match.group(1), match.group(2), declared=True)


@analyzer(
    id="python-lock", reads=("**/poetry.lock", "**/uv.lock", "**/pdm.lock", "**/pylock*.toml"), version=2, project=True
)
def python_lock(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the packages of a TOML lock file; the project itself (a uv package without registry) is left out."""
    try:
        document = tomllib.loads(file.text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        yield Gap(file.path, f"not TOML: {error}")
        return
    entries = document.get("package") or document.get("packages")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or entry.get("category") == "dev":
            continue
        source = entry.get("source")
        if isinstance(source, dict) and ({"virtual", "editable", "directory"} & source.keys()):
            continue
        name, version = entry.get("name"), entry.get("version")
        if isinstance(name, str) and isinstance(version, str) and name and version:
            yield Found("pypi", name, version, declared=True)


@analyzer(id="pipfile-lock", reads=("**/Pipfile.lock",), project=True)
def pipfile_lock(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the default (not development) packages of Pipenv's lock file."""
    try:
        document = json.loads(file.text)
    except (ValueError, RecursionError) as error:
        yield Gap(file.path, f"not JSON: {error}")
        return
    entries = document.get("default") if isinstance(document, dict) else None
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        version = entry.get("version") if isinstance(entry, dict) else None
        if isinstance(version, str) and version.startswith("=="):
            yield Found("pypi", name, version.removeprefix("=="), declared=True)
