"""What a Go project asks for: go.mod, which since Go 1.17 names every module, and go.sum for older ones.

Source: Go Modules Reference, "go.mod files".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seawall.packages.analyzer import Found, ImageFile, analyzer

_REQUIRE = re.compile(r"\s*(?:require\s+)?([^\s()]+)\s+(v[0-9][^\s]*)\s*(?://.*)?$")
_REPLACE = re.compile(r"\s*(?:replace\s+)?(\S+)(?:\s+(v\S+))?\s+=>\s+(\S+)(?:\s+(v\S+))?")


@analyzer(id="go-mod", reads=("**/go.mod",), project=True)
def go_mod(file: ImageFile) -> Iterator[Found]:
    """Yield the required modules, replacements applied, and the standard library of the named toolchain."""
    required: dict[str, str] = {}
    replaced: dict[str, tuple[str, str, str]] = {}
    block = ""
    for line in file.text.splitlines():
        text = line.partition("//")[0].strip()
        if text.endswith("("):
            block = text[:-1].strip()
        elif text == ")":
            block = ""
        elif block == "replace" or text.startswith("replace "):
            if match := _REPLACE.match(text):
                replaced[match.group(1)] = (match.group(2) or "", match.group(3), match.group(4) or "")
        elif block == "require" or text.startswith("require "):
            if match := _REQUIRE.match(text):
                required[match.group(1)] = match.group(2)
        elif match := re.match(r"toolchain\s+go(\d\S*)", text):
            yield Found("golang", "stdlib", match.group(1), declared=True)
    for path, version in required.items():
        yield from _module(path, version, replaced.get(path))


def _module(path: str, version: str, replacement: tuple[str, str, str] | None) -> Iterator[Found]:
    if replacement is not None and replacement[0] in ("", version):
        _, path, version = replacement
        if path.startswith((".", "/")) or not version:
            return
    namespace, _, name = path.rpartition("/")
    yield Found("golang", name, version, namespace, declared=True)


@analyzer(id="go-sum", reads=("**/go.sum",), project=True)
def go_sum(file: ImageFile) -> Iterator[Found]:
    """Yield the modules whose content (not only whose go.mod) was needed, in their highest version listed last."""
    chosen: dict[str, str] = {}
    for line in file.text.splitlines():
        parts = line.split()
        if len(parts) == 3 and not parts[1].endswith("/go.mod") and parts[1].startswith("v"):
            chosen[parts[0]] = parts[1]
    for path, version in chosen.items():
        yield from _module(path, version, None)
