"""How a package analyzer is declared, what it reads and what it gives.

An analyzer sees one file at a time, as its bytes pass by in the layer; what needs the whole image (the distribution,
which layer hides what) is added by `seawall.packages.inventory`. So its answer can be cached per layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from seawall.domain.packages import Distro, Gap


class Found(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True):
    """One package as its database names it; `type` is purl's word (deb, apk, rpm, pypi, npm, ...).

    For packages of the operating system the namespace and the distribution are added per image.
    """

    type: str
    name: str
    version: str
    namespace: str = ""
    source: str = ""
    source_version: str = ""
    arch: str = ""
    licenses: tuple[str, ...] = ()
    qualifiers: tuple[tuple[str, str], ...] = ()
    path: str = ""
    """Where it was found; empty = the file that was read."""
    ecosystem: str = ""
    """OSV's word where it does not follow from the type."""
    files: tuple[str, ...] = ()
    """Paths it owns that some analyzer or the sensor could care about (see `Router.may_matter`)."""
    declared: bool = False
    """Read from a lock file: meant to be installed, which installed metadata beside it confirms or replaces."""


class Owned(msgspec.Struct, frozen=True, array_like=True):
    """Paths that the OS package `package` owns, where the database keeps them in a file of their own."""

    package: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file of an image, as an analyzer gets it. `path` has no leading slash."""

    path: str
    content: bytes
    mode: int = 0o644
    partial: bool = False
    """`content` is not the file but a piece of it, from the analyzer's `needle` on."""
    may_matter: Callable[[str], bool] = field(default=lambda _path: True)
    """Whether a path is worth keeping among a package's `files`."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """The path without its last part, empty for a file in the root."""
        return self.path.rpartition("/")[0]

    @property
    def text(self) -> str:
        """The content as UTF-8, a byte order mark dropped, other bytes replaced."""
        return self.content.decode("utf-8-sig", "replace")


Yielded = Found | Owned | Distro | Gap
Read = Callable[[ImageFile], Iterable[Yielded]]


@dataclass(frozen=True, slots=True)
class Analyzer:
    """One package database or lock-file format.

    `reads` are patterns of paths: `etc/os-release` exactly; `**/METADATA` and `**/*.jar` anywhere;
    `var/lib/dpkg/info/*.list` directly in a folder, `**/conda-meta/*.json` in any folder of that name. `executables`
    asks for programs instead (ELF, PE, Mach-O); one that is too large to hold in memory is searched for `needle` as it passes by, and
    the analyzer gets what follows it, with `ImageFile.partial`. A `piecewise` analyzer is asked about overlapping
    pieces of a file that is too large, one after another, until it finds something.
    `version` goes up when the answer changes, which invalidates cached layers. A `project` file (requirements.txt,
    go.mod) says what a source tree asks for: it counts for a folder of sources, not for an image.
    """

    id: str
    reads: tuple[str, ...]
    read: Read
    executables: bool = False
    version: int = 1
    project: bool = False
    needle: bytes = b""
    piecewise: bool = False

    def __call__(self, file: ImageFile) -> Iterator[Yielded]:
        """Yield what `file` says; a broken record is a `Gap` and the rest still counts."""
        yield from self.read(file)


def analyzer(
    *,
    id: str,  # noqa: A002 - a published id
    reads: tuple[str, ...] = (),
    executables: bool = False,
    version: int = 1,
    project: bool = False,
    needle: bytes = b"",
    piecewise: bool = False,
) -> Callable[[Read], Analyzer]:
    """Declare the decorated function as the analyzer of the files that `reads` names."""

    def declare(read: Read) -> Analyzer:
        return Analyzer(
            id=id,
            reads=reads,
            read=read,
            executables=executables,
            version=version,
            project=project,
            needle=needle,
            piecewise=piecewise,
        )

    return declare
