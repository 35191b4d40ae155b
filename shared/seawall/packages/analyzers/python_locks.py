"""What a Python project asks for: requirements.txt, poetry, uv, PDM, Pipenv, pylock. Only exact versions count.

Source: pip "Requirements File Format"; PEP 751 (pylock.toml); each tool's lock file.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

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
    id="python-lock", reads=("**/poetry.lock", "**/uv.lock", "**/pdm.lock", "**/pylock*.toml"), version=3, project=True
)
def python_lock(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the packages of a TOML lock file; the project itself (a uv package without registry) is left out.

    So is what only development asks for: by its category (Poetry 1), or as nothing else leads there (uv). Groups (Poetry 2, PDM) are
    no sign of it: which of them are installed is decided elsewhere.
    """
    try:
        document = tomllib.loads(file.text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        yield Gap(file.path, f"not TOML: {error}")
        return
    entries = document.get("package") or document.get("packages")
    packages = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    development = _only_for_development(packages)
    for entry in packages:
        if entry.get("category") == "dev" or _is_project(entry) or _named(entry) in development:
            continue
        name, version = entry.get("name"), entry.get("version")
        if isinstance(name, str) and isinstance(version, str) and name and version:
            yield Found("pypi", name, version, declared=True)


def _is_project(entry: dict[str, Any]) -> bool:
    source = entry.get("source")
    return isinstance(source, dict) and bool({"virtual", "editable", "directory"} & source.keys())


def _named(entry: object) -> tuple[object, object]:
    """Return what tells a package of a lock from others: a uv lock can hold several versions of a name."""
    name, version = (entry.get("name"), entry.get("version")) if isinstance(entry, dict) else (None, None)
    return (name if isinstance(name, str) else None, version if isinstance(version, str) else None)


def _only_for_development(packages: list[dict[str, Any]]) -> set[tuple[object, object]]:
    """Return the packages of a uv lock to which only `dev-dependencies` of its projects lead; none where it has none."""
    if not any("dev-dependencies" in entry for entry in packages if _is_project(entry)):
        return set()
    by_name: dict[object, list[dict[str, Any]]] = {}
    for entry in packages:
        by_name.setdefault(_named(entry)[0], []).append(entry)
    reached: set[tuple[object, object]] = set()
    waiting = [entry for entry in packages if _is_project(entry)]
    while waiting:
        entry = waiting.pop()
        if _named(entry) in reached:
            continue
        reached.add(_named(entry))
        optional = entry.get("optional-dependencies")
        wanted = [entry.get("dependencies"), *(optional.values() if isinstance(optional, dict) else ())]
        for item in (item for items in wanted if isinstance(items, list) for item in items):
            name, version = _named(item)  # the version stands there only where the lock has several
            waiting += [other for other in by_name.get(name, ()) if version is None or other.get("version") == version]
    return {_named(entry) for entry in packages} - reached


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
