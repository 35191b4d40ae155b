"""What is installed in an image: packages by purl, and what could not be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Distro:
    """The distribution of an image by its os-release: `id` "debian", `version` "12"; empty `id` = none found."""

    id: str = ""
    version: str = ""
    codename: str = ""
    pretty_name: str = ""
    id_like: tuple[str, ...] = ()
    end_of_life: str = ""
    """ISO date at which the release's support ended or will end; empty = not known."""


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package.

    `purl` is canonical (package-url spec) and carries distro/arch qualifiers; `ecosystem` is OSV's word ("Debian:12",
    "PyPI"), empty where OSV has none; `source` and `source_version` name the upstream (source) package that
    distributions publish advisories for, empty = same as the package.
    """

    purl: str
    name: str
    version: str
    ecosystem: str = ""
    source: str = ""
    source_version: str = ""
    arch: str = ""
    licenses: tuple[str, ...] = ()
    path: str = ""
    """Where it was found, relative to the image's root, no leading slash."""
    layer: str = ""
    """Digest of the layer that brought it (diff id where the image has no compressed layers)."""
    created_by: str = ""
    """The image-history command of that layer."""
    analyzer: str = ""
    files: tuple[str, ...] = ()
    """Paths that the package owns, where its database lists them; used to fold language packages into OS packages."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that could not be read or was refused; the rest still counts. `where` is a path or a layer digest."""

    where: str
    reason: str
    layer: str = ""
    line: int = 0
