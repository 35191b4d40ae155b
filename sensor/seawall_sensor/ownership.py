"""Which installed package a file of a container belongs to: dpkg, apk, rpm, Python distributions, npm packages, Ruby gems.

The package databases are read through the container's root when its image is met first, and kept as sorted hashes:
12 bytes a file. Everything read is bounded; what is broken owns nothing.
"""

from __future__ import annotations

import logging
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from seawall.domain.errors import InputError
from seawall.packages.purls import pypi_name
from seawall.packages.rpmdb import berkeley, header, ndb, sqlite

from seawall_sensor.inside import Root

log = logging.getLogger(__name__)

MAX_FILES = 400_000
"""Files of one image whose owner is known; more are left out."""
MAX_DATABASE_BYTES = 96 << 20
MAX_LIST_BYTES = 4 << 20
MAX_SITES = 32
_MOVED = re.compile(r"^/(?:s?bin|lib(?:32|64|x32)?)/")
_SITE = re.compile(r"^(.*/(?:site|dist)-packages)/(.+)$")
_GEM = re.compile(r"/gems/([A-Za-z0-9_.-]+?)-\d[0-9A-Za-z.]*(?:-[a-z0-9_-]+)?/")
_BYTECODE = re.compile(r"/__pycache__/([^/]+?)\.(?:cpython|pypy)[^/]*\.pyc$")
_RPM = (
    "/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite", "/usr/share/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages.db", "/usr/lib/sysimage/rpm/Packages.db", "/var/lib/rpm/Packages",
)  # fmt: skip


def normal(path: str) -> str:
    """Return a path as the index spells it: with /usr merged, as databases and kernel name the same file differently."""
    return f"/usr{path}" if _MOVED.match(path) else path


class Index:
    """Owners of many files, compact: files by the hash of their path."""

    def __init__(self, owned: Iterable[tuple[str, str]]) -> None:
        """`owned` are (path, owner)."""
        numbers: dict[str, int] = {}
        rows: list[tuple[int, int]] = []
        for path, owner in owned:
            rows.append((hash(normal(path)), numbers.setdefault(owner, len(numbers))))
            if len(rows) >= MAX_FILES:
                break
        rows.sort()
        self._hashes = array("q", (row[0] for row in rows))
        self._numbers = array("I", (row[1] for row in rows))
        self._names = tuple(numbers)

    def __len__(self) -> int:
        return len(self._hashes)

    def owners(self, path: str) -> list[str]:
        """Return whose a file is: usually one package, of shared folders several."""
        wanted = hash(normal(path))
        found, at = [], bisect_left(self._hashes, wanted)
        while at < len(self._hashes) and self._hashes[at] == wanted:
            found.append(self._names[self._numbers[at]])
            at += 1
        return found


class Owners:
    """The owners of one image's files. Package folders of Python are indexed when a file in one is met."""

    def __init__(self, root: Root) -> None:
        self._system = Index(_system(root))
        self._sites: dict[str, Index] = {}

    def __len__(self) -> int:
        return len(self._system) + sum(map(len, self._sites.values()))

    def of(self, path: str, root: Root) -> list[str]:
        """Return the packages that a file belongs to, as `<purl type>/<name>`; `root` is of a container of the image."""
        found = self._system.owners(path)
        if "/node_modules/" in path:
            found += _npm(path)
        elif match := _SITE.match(path):
            site = match[1]
            if site not in self._sites and len(self._sites) < MAX_SITES:
                self._sites[site] = Index(_python(root, site))
            if site in self._sites:
                source = _BYTECODE.sub(r"/\1.py", path)
                found += self._sites[site].owners(source) or self._sites[site].owners(f"{site}/{_top(match[2])}")
        elif match := _GEM.search(path):
            found.append(f"gem/{match[1]}")
        return found


def _system(root: Root) -> Iterator[tuple[str, str]]:
    yield from _dpkg(root)
    yield from _apk(root)
    yield from _rpm(root)


def _dpkg(root: Root) -> Iterator[tuple[str, str]]:
    folder = "/var/lib/dpkg/info"
    for name in root.names(folder):
        if not name.endswith(".list"):
            continue
        package = f"deb/{name.removesuffix('.list').partition(':')[0]}"
        lines = root.read(f"{folder}/{name}", MAX_LIST_BYTES).decode("utf-8", "replace").splitlines()
        for line, after in zip(lines, [*lines[1:], ""], strict=False):
            if line.startswith("/") and not after.startswith(line.rstrip("/") + "/"):  # not a folder of the next
                yield line, package
    folder = "/var/lib/dpkg/status.d"  # distroless images have no other database
    for name in root.names(folder):
        if name.endswith(".md5sums"):
            for line in root.read(f"{folder}/{name}", MAX_LIST_BYTES).decode("utf-8", "replace").splitlines():
                _, _, path = line.partition("  ")
                if path:
                    yield "/" + path.lstrip("./"), f"deb/{name.removesuffix('.md5sums')}"


def _apk(root: Root) -> Iterator[tuple[str, str]]:
    content = b""
    for path in ("/lib/apk/db/installed", "/usr/lib/apk/db/installed"):
        content = content or root.read(path, MAX_DATABASE_BYTES)
    package = folder = ""
    for raw in content.split(b"\n"):
        kind, value = raw[:2], raw[2:]
        if kind == b"P:":
            package = f"apk/{value.decode('utf-8', 'replace')}"
        elif kind == b"F:":
            folder = value.decode("utf-8", "replace")
        elif kind == b"R:" and package:
            name = value.decode("utf-8", "replace")
            yield f"/{folder}/{name}" if folder else f"/{name}", package


def _rpm(root: Root) -> Iterator[tuple[str, str]]:
    content = next(filter(None, (root.read(path, MAX_DATABASE_BYTES) for path in _RPM)), b"")
    if not content:
        return
    form = (
        sqlite.blobs
        if content.startswith(sqlite.MAGIC)
        else ndb.blobs
        if content.startswith(ndb.MAGIC)
        else berkeley.blobs
    )
    try:
        for blob in form(content):
            try:
                tags = header.parse_header(blob)
            except InputError:
                continue
            name, folders = tags.text(header.NAME), tags.texts(header.DIR_NAMES)
            for file, number in zip(tags.texts(header.BASE_NAMES), tags.numbers(header.DIR_INDEXES), strict=False):
                if name and number < len(folders):
                    yield folders[number] + file, f"rpm/{name}"
    except InputError as error:
        log.debug("package database is damaged", extra={"error": str(error)})


def _npm(path: str) -> list[str]:
    """The package of the innermost `node_modules`: the folder's name is the package's."""
    parts = path.rpartition("/node_modules/")[2].split("/")
    name = "/".join(parts[:2]) if parts[0].startswith("@") else parts[0]
    inside = len(parts) > (2 if parts[0].startswith("@") else 1)
    return [f"npm/{name.lower()}"] if inside and not name.startswith(".") else []


def _top(path: str) -> str:
    return path.partition("/")[0]


def _python(root: Root, site: str) -> Iterator[tuple[str, str]]:
    for name in root.names(site):
        stem, _, kind = name.rpartition(".")
        if kind not in ("dist-info", "egg-info") or not stem:
            continue
        package = f"pypi/{pypi_name(stem.partition('-')[0])}"
        record = root.read(f"{site}/{name}/RECORD", MAX_LIST_BYTES).decode("utf-8", "replace")
        for line in record.splitlines():
            path = line.rpartition(",")[0].rpartition(",")[0].strip('"')
            if path and not path.startswith(("/", "../")) and not path.endswith(".pyc"):
                yield f"{site}/{path}", package
        if not record:
            # Older installers keep the top-level names only; distributions without any are named by their folder.
            tops = root.read(f"{site}/{name}/top_level.txt", MAX_LIST_BYTES).decode("utf-8", "replace").split()
            for top in tops or [stem.partition("-")[0]]:
                yield f"{site}/{top}", package
                yield f"{site}/{top}.py", package
