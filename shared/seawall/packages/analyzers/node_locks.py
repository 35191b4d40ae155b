"""Node lock files: npm, yarn (classic and berry), pnpm, bun, Deno. Development dependencies are left out where the file says so.

Source: npm "package-lock.json"; yarn "yarn.lock"; pnpm lockfile specification; bun "Lockfile"; Deno, "deno.lock".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer
from seawall.packages.analyzers.node import npm_package

MAX_DEPTH = 64
_VERSION = re.compile(r"\d+\.\d+[0-9A-Za-z.+-]*")


def _locked(name: Any, version: Any, dev: Any = False) -> Iterator[Found]:
    if isinstance(name, str) and isinstance(version, str) and name and dev is not True and _VERSION.fullmatch(version):
        yield npm_package(name, version, declared=True)


def _json(file: ImageFile) -> dict[str, Any] | Gap:
    try:
        document = json.loads(file.text)
    except (ValueError, RecursionError) as error:
        return Gap(file.path, f"not JSON: {error}")
    return document if isinstance(document, dict) else Gap(file.path, "not a JSON object")


@analyzer(id="npm-lock", reads=("**/package-lock.json", "**/npm-shrinkwrap.json"))
def npm_lock(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the packages of lock-file versions 1 to 3; not of lock files that packages ship for themselves."""
    if "/node_modules/" in f"/{file.path}":
        return
    document = _json(file)
    if isinstance(document, Gap):
        yield document
        return
    packages = document.get("packages")
    if isinstance(packages, dict):
        for place, entry in packages.items():
            if isinstance(entry, dict) and "node_modules/" in place and not entry.get("link"):
                name = entry.get("name") or place.rpartition("node_modules/")[2]
                yield from _locked(name, entry.get("version"), entry.get("dev"))
    else:
        yield from _version_1(document.get("dependencies"), 0)


def _version_1(dependencies: Any, depth: int) -> Iterator[Found]:
    if not isinstance(dependencies, dict) or depth > MAX_DEPTH:
        return
    for name, entry in dependencies.items():
        if isinstance(entry, dict):
            version = entry.get("version")
            if isinstance(version, str) and version.startswith("npm:"):
                name, _, version = version.removeprefix("npm:").rpartition("@")
            yield from _locked(name, version, entry.get("dev"))
            yield from _version_1(entry.get("dependencies"), depth + 1)


_YARN_KEY = re.compile(r'"?((?:@[^/@\s"]+/)?[^@\s",]+)@(?:npm:((?:@[^/@\s"]+/)?[^@\s",:]+)(?:@|"|$))?')


@analyzer(id="yarn-lock", reads=("**/yarn.lock",))
def yarn_lock(file: ImageFile) -> Iterator[Found]:
    """Yield the packages of both forms; aliases under their real name, workspaces left out."""
    if "/node_modules/" in f"/{file.path}":
        return
    name = version = ""
    for line in (*file.text.splitlines(), "end:"):
        if line[:1] not in (" ", "#", "") and line.rstrip().endswith(":"):
            yield from _locked(name, version)
            name = version = ""
            if (match := _YARN_KEY.match(line)) and "@workspace:" not in line and "@link:" not in line:
                alias = match.group(2)
                is_range = alias is not None and not re.match(r"[a-zA-Z@]", alias)
                name = match.group(1) if alias is None or is_range or not _alias(line) else alias
        elif line.startswith("  version") and not version:
            version = line.strip().removeprefix("version").lstrip(": ").strip().strip('"')
        elif line.startswith("  resolution:") and "@npm:" in line and name:
            name = line.partition(":")[2].strip().strip('"').partition("@npm:")[0]


def _alias(line: str) -> bool:
    """Whether a key names another package (`a@npm:b@^1`), not a range (`a@npm:^1`, `a@npm:latest`)."""
    return re.search(r"@npm:(?:@[^/@\s\"]+/[^@\s\",:]+|[a-zA-Z][^@\s\",:]*@)", line) is not None or (
        ", " not in line
        and re.match(r'"?[^@]+@npm:[a-zA-Z][\w.-]*"?:$', line.rstrip()) is not None
        and "@npm:latest" not in line
    )


_PNPM_KEY = re.compile(r"""^  ['"]?/?((?:@[^/@\s]+/)?[^/@\s(]+)[@/](\d[^(_'":\s]*)[^:]*['"]?:\s*(?:\{\})?$""")


@analyzer(id="pnpm-lock", reads=("**/pnpm-lock.yaml",))
def pnpm_lock(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the packages of lock-file versions 5 to 9, read by line: a YAML parser takes seconds for large ones."""
    if "/node_modules/" in f"/{file.path}":
        return
    lines = file.text.splitlines()
    if not any(line.startswith("lockfileVersion:") for line in lines[:50]):
        yield Gap(file.path, "no lockfileVersion")
        return
    inside = False
    pending: tuple[str, str] | None = None
    for line in (*lines, "end:"):
        if line[:1] not in (" ", "", "#"):
            if pending:
                yield from _locked(*pending)
            pending = None
            inside = line.startswith("packages:")
        elif inside and line.startswith("  ") and line[2:3] not in (" ", ""):
            if pending:
                yield from _locked(*pending)
            match = _PNPM_KEY.match(line)
            pending = (match.group(1), match.group(2)) if match else None
        elif inside and line.strip() == "dev: true":
            pending = None


@analyzer(id="bun-lock", reads=("**/bun.lock",))
def bun_lock(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the packages of bun's text lock file: JSON with trailing commas."""
    if "/node_modules/" in f"/{file.path}":
        return
    try:
        document = json.loads(re.sub(r",(\s*[\]}])", r"\1", file.text))
    except (ValueError, RecursionError) as error:
        yield Gap(file.path, f"not JSON: {error}")
        return
    packages = document.get("packages") if isinstance(document, dict) else None
    for entry in packages.values() if isinstance(packages, dict) else ():
        if isinstance(entry, list) and entry and isinstance(entry[0], str):
            name, _, version = entry[0].rpartition("@")
            yield from _locked(name, version)


@analyzer(id="deno-lock", reads=("**/deno.lock",))
def deno_lock(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the npm packages of lock-file versions 2 to 5; what comes from JSR or by URL is in no advisory database."""
    document = _json(file)
    if isinstance(document, Gap):
        yield document
        return
    packages = document.get("packages")
    npm = (packages if isinstance(packages, dict) else document).get("npm")  # version 3 nests them
    entries = npm.get("packages") if isinstance(npm, dict) and isinstance(npm.get("specifiers"), dict) else npm
    for key in entries if isinstance(entries, dict) else ():
        if match := _DENO_KEY.match(key):
            yield from _locked(match.group(1), match.group(2))


_DENO_KEY = re.compile(r"((?:@[^/@\s]+/)?[^/@\s]+)@(\d[^_\s]*)")
"""`react-dom@18.2.0_react@18.2.0`: the peers behind the underscore say how it was resolved, not what it is."""
