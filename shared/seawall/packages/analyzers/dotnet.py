""".NET: what an application was published with (`*.deps.json`), and NuGet's lock and package files.

Source: dotnet/cli, "Runtime Configuration Files"; NuGet, "packages.lock.json", "packages.config".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer


def _object(file: ImageFile) -> dict[str, Any] | Gap:
    try:
        document = json.loads(file.text)
    except (ValueError, RecursionError) as error:
        return Gap(file.path, f"not JSON: {error}")
    return document if isinstance(document, dict) else Gap(file.path, "not a JSON object")


@analyzer(id="dotnet-deps", reads=("**/*.deps.json",))
def dotnet_deps(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the packages whose assemblies were published; the application itself is a project, not a package."""
    document = _object(file)
    if isinstance(document, Gap):
        yield document
        return
    libraries = document.get("libraries")
    if not isinstance(libraries, dict):
        yield Gap(file.path, "no libraries")
        return
    target = document.get("runtimeTarget")
    name = target.get("name") if isinstance(target, dict) else None
    targets = document.get("targets")
    used = targets.get(name) if isinstance(targets, dict) and isinstance(name, str) else None
    for key, entry in libraries.items():
        package, _, version = key.partition("/")
        if not isinstance(entry, dict) or not package or not version:
            continue
        kind = entry.get("type")
        if kind not in ("package", "runtimepack"):
            continue
        at_run_time = used.get(key) if isinstance(used, dict) else None
        if isinstance(at_run_time, dict) and not any(
            at_run_time.get(part) for part in ("runtime", "runtimeTargets", "native", "resources")
        ):
            continue  # reference assemblies and build tools: nothing of it is on the disk
        yield Found("nuget", package.removeprefix("runtimepack."), version)


@analyzer(id="nuget-lock", reads=("**/packages.lock.json",), project=True)
def nuget_lock(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the resolved packages of every target framework once."""
    document = _object(file)
    if isinstance(document, Gap):
        yield document
        return
    seen = set()
    frameworks = document.get("dependencies")
    for packages in frameworks.values() if isinstance(frameworks, dict) else ():
        for name, entry in packages.items() if isinstance(packages, dict) else ():
            version = entry.get("resolved") if isinstance(entry, dict) else None
            if isinstance(version, str) and entry.get("type") != "Project" and (name, version) not in seen:
                seen.add((name, version))
                yield Found("nuget", name, version, declared=True)


_PACKAGE = re.compile(r"<package\s+([^>]*?)/?>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""(\w+)\s*=\s*["']([^"']*)["']""")


@analyzer(id="nuget-config", reads=("**/packages.config",), project=True)
def nuget_config(file: ImageFile) -> Iterator[Found]:
    """Yield the packages of the older form, development ones left out; read without an XML parser."""
    for element in _PACKAGE.findall(file.text):
        attributes = {key.lower(): value for key, value in _ATTRIBUTE.findall(element)}
        if attributes.get("id") and attributes.get("version") and attributes.get("developmentdependency") != "true":
            yield Found("nuget", attributes["id"], attributes["version"], declared=True)
