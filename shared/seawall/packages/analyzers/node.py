"""Node: installed packages by their `package.json`.

Source: npm "package.json".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer

_INSTALLED = re.compile(r"(?:^|/)node_modules/(?:@[^/]+/)?[^/]+$")
_NAME = re.compile(r"(?:@[^/@\s]+/)?[^/@\s]+")


class _PackageJson(msgspec.Struct):
    name: object = None
    version: object = None
    license: object = None
    licenses: object = None
    private: object = None
    repository: object = None


_DECODER = msgspec.json.Decoder(_PackageJson)


@analyzer(id="node-installed", reads=("**/package.json",), version=2)
def node_installed(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the package of `node_modules/[@scope/]name/package.json`, or of one that was unpacked by hand.

    The latter (`/opt/yarn-v1.22.22`, as Node's own images have it) is told by what published packages say and
    applications do not: a repository, and not `private`.
    """
    installed = _INSTALLED.search(file.folder) is not None
    try:
        record = _DECODER.decode(file.content.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if installed:
            yield Gap(file.path, f"not a package.json: {error}")
        return
    name, version = record.name, record.version
    if not isinstance(name, str) or not isinstance(version, str) or not name or not version:
        return  # packages ship package.json files for sub-folders that say only "type": "module"
    if not installed and "/node_modules/" in f"/{file.path}":
        return  # such a sub-folder, or a test fixture within a package
    if not _NAME.fullmatch(name) or len(name) > 256 or len(version) > 256 or re.search(r"\s", version):
        yield Gap(file.path, f"{name[:80]!r} {version[:80]!r} is not a package name and version")
        return
    if not installed and (record.private or not record.repository or not _licences(record)):
        return
    yield npm_package(name, version, licenses=_licences(record))


def npm_package(
    name: str, version: str, *, licenses: tuple[str, ...] = (), path: str = "", declared: bool = False
) -> Found:
    """Return the npm package `[@scope/]name`; the scope becomes the purl's namespace."""
    scope, slash, base = name.partition("/")
    namespace, base = (scope, base) if slash else ("", name)
    return Found("npm", base, version.removeprefix("v"), namespace, licenses=licenses, path=path, declared=declared)


def _licences(record: _PackageJson) -> tuple[str, ...]:
    values = record.license if isinstance(record.license, list) else [record.license]
    if isinstance(record.licenses, list):
        values += record.licenses
    names = [value.get("type") if isinstance(value, dict) else value for value in values[:20]]
    return tuple(name for name in names if isinstance(name, str) and name)
