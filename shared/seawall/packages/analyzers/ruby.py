"""Ruby: installed gems by their specification, and Gemfile.lock.

Source: RubyGems, "Specification Reference"; Bundler, "Gemfile.lock".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer

_NAME = re.compile(r"""\.name\s*=\s*(["'])([A-Za-z0-9._-]+)\1""")
_VERSION = re.compile(r"""\.version\s*=\s*(?:Gem::Version\.new\s*\(?\s*)?(["'])([0-9][0-9A-Za-z.-]*)\1""")
_LICENCES = re.compile(r"""\.licenses?\s*=\s*\[?([^\]\n]*)""")
_FILE = re.compile(r"([A-Za-z0-9._-]+?)-(\d+(?:\.[0-9A-Za-z]+)*)(?:-[a-z0-9_-]+)?\.gemspec")


@analyzer(id="gem", reads=("**/*.gemspec",))
def gem(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the gem of `specifications/**/*.gemspec` or of a source tree's own file that states both name and version."""
    text = file.text[: 256 * 1024]
    name, version = _NAME.search(text), _VERSION.search(text)
    installed = "/specifications/" in f"/{file.path}"
    by_name = _FILE.fullmatch(file.name) if installed else None
    if not (name or by_name) or not (version or by_name):
        if installed:
            yield Gap(file.path, "no name or version that is a plain string")
        return
    licences = _LICENCES.search(text)
    yield Found(
        "gem",
        name.group(2) if name else by_name.group(1) if by_name else "",
        version.group(2) if version else by_name.group(2) if by_name else "",
        licenses=tuple(re.findall(r"""["']([^"']+)["']""", licences.group(1))) if licences else (),
        declared=not installed,
    )


@analyzer(id="gemfile-lock", reads=("**/Gemfile.lock", "**/gems.locked"), project=True)
def gemfile_lock(file: ImageFile) -> Iterator[Found]:
    """Yield the gems of the `specs:` lists."""
    inside = False
    for line in file.text.splitlines():
        if line.strip() == "specs:":
            inside = True
        elif not line.startswith("    "):
            inside = False
        elif inside and (match := re.fullmatch(r" {4}([A-Za-z0-9._-]+) \(([^)\s]+)\)", line)):
            version = re.sub(r"-(?:x86|x64|arm|aarch|java|mingw|universal|darwin).*$", "", match.group(2))
            yield Found("gem", match.group(1), version, declared=True)
