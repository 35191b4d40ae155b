"""The asset graph with its past."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from seawall.domain.assets import AssetChange, AssetEvent, AssetSnapshot, AssetState, AssetVersion, Relation


@dataclass(frozen=True, slots=True)
class ScopeState:
    """When a scope was last listed, kind by kind, and how many assets of it there are."""

    scope: str
    kind: str
    taken_at: datetime
    assets: int


@dataclass(frozen=True, slots=True)
class Applied:
    """Ids of assets that a write added, changed and removed."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        return len(self.added) + len(self.changed) + len(self.removed)


class AssetStore(Protocol):
    """Every write is idempotent. The present does not depend on the order of writes: the newest word on an asset counts.

    A word that comes late takes its place in the asset's past. A snapshot of a kind that is older than the newest one of
    its scope says nothing new and is dropped.
    """

    def apply(self, snapshot: AssetSnapshot) -> Applied:
        """Take a listing."""

    def change(self, changes: Collection[AssetChange]) -> Applied:
        """Take single changes."""

    def note(self, events: Collection[AssetEvent]) -> int:
        """Keep who changed what; return how many were new."""

    def get(self, id: str, at: datetime | None = None) -> AssetState | None:  # noqa: A002
        """One asset now, or as it was."""

    def find(
        self,
        *,
        scope: str = "",
        kind: str = "",
        namespace: str = "",
        text: str = "",
        at: datetime | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[AssetState]:
        """Assets by scope, kind, namespace and part of their name, ordered by scope, kind, namespace and name."""

    def relations(self, id: str, limit: int = 1000) -> tuple[list[Relation], list[Relation]]:  # noqa: A002
        """Present relations that start at an asset, and those that end there."""

    def objects(self, scope: str) -> Iterator[AssetState]:
        """Yield every present asset of a scope that has a body."""

    def history(self, id: str, limit: int = 100) -> list[AssetVersion]:  # noqa: A002
        """Versions of one asset with who made them, newest first."""

    def between(self, start: datetime, end: datetime, scope: str = "", limit: int = 10_000) -> list[AssetVersion]:
        """Versions that began in (start, end], oldest first."""

    def events(self, id: str, limit: int = 100) -> list[AssetEvent]:  # noqa: A002
        """Calls that changed one asset, newest first."""

    def counts(self, scope: str = "") -> dict[str, int]:
        """How many assets there are, by kind."""

    def scopes(self) -> list[ScopeState]:
        """What was listed when."""

    def prune(self, before: datetime, versions: int = 50) -> int:
        """Drop versions that ended, and calls that happened, before a time, and all but the newest `versions` of an asset."""
