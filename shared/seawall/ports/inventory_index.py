"""Which images have which packages: asked by package, for every image ever seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from seawall.domain.packages import Package

PackageKey = tuple[str, str]
"""(ecosystem, name) as `vulnerability.ecosystems.lookups` spells them."""


@dataclass(frozen=True, slots=True)
class Component:
    """One distinct package of the whole fleet; `package` has no path or layer, which differ per image."""

    number: int
    package: Package


class InventoryIndex(Protocol):
    """The inverted index over stored packages. Every write is idempotent."""

    def put(self, digest: str, packages: Iterable[Package]) -> None:
        """Remember what an image has, in place of what it had."""

    def components(self, keys: Collection[PackageKey]) -> list[Component]:
        """The distinct packages whose advisories stand under one of the keys."""

    def images(self, components: Collection[int]) -> Iterator[tuple[int, str]]:
        """Yield (component, image digest) for every image that has one of the components."""

    def digests(self) -> Iterator[str]:
        """Every image in the index."""

    def counts(self) -> tuple[int, int]:
        """How many images and how many distinct packages there are."""
