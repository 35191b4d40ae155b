"""Things that are owned and can be attacked, as nodes of one graph that remembers how it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Asset:
    """`kind` is account, cluster, node, namespace, workload, pod, container, image, registry, identity, role, service, ...

    `id` is globally unique and stable; `parent` the id of what contains it.
    """

    id: str
    kind: str
    name: str
    parent: str = ""
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Relation:
    """`source` --kind--> `target`, ids of assets. A target that nobody reported is known by its id alone."""

    source: str
    kind: str
    target: str


@dataclass(frozen=True, slots=True)
class AssetState:
    """An asset as it was at one time.

    `scope` is the cluster or account that reports it. `relations` are those that start here, all of them told by the
    object itself. `body` is the object without secret values and without what changes by itself (heartbeats, versions).
    """

    scope: str
    asset: Asset
    namespace: str = ""
    relations: tuple[Relation, ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AssetSnapshot:
    """All assets of some kinds in one scope at `taken_at`: one of these kinds that is not in it does not exist."""

    scope: str
    taken_at: datetime
    kinds: frozenset[str]
    states: tuple[AssetState, ...]


@dataclass(frozen=True, slots=True)
class AssetChange:
    """What one asset became at `at`; `state` None = it was deleted."""

    id: str
    scope: str
    kind: str
    at: datetime
    state: AssetState | None


@dataclass(frozen=True, slots=True)
class AssetEvent:
    """Somebody's call that changed an asset, from an audit log. `id` is the event's, the same on every delivery."""

    id: str
    asset: str
    scope: str
    at: datetime
    verb: str
    actor: str
    source_ip: str = ""
    user_agent: str = ""
    resource: str = ""


@dataclass(frozen=True, slots=True)
class AssetVersion:
    """One version: it held from `valid_from` until `valid_to` (None = still). `state` None = the asset was not there.

    `events` are the calls that can have brought it about, newest first.
    """

    id: str
    valid_from: datetime
    valid_to: datetime | None
    state: AssetState | None
    events: tuple[AssetEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is other than it was. `path` is a JSON path; None = absent."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class AssetDifference:
    """What became of one asset between two times: `change` is added, removed or changed."""

    asset: Asset
    change: str
    fields: tuple[Difference, ...] = ()
    events: tuple[AssetEvent, ...] = ()


MAX_DIFFERENCES = 200


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return the fields that differ, at most `MAX_DIFFERENCES`; a list that changed is compared item by item."""
    found: list[Difference] = []
    _compare(before, after, "", found)
    return tuple(found)


def _compare(before: Any, after: Any, path: str, found: list[Difference]) -> None:
    if before == after or len(found) >= MAX_DIFFERENCES:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}, key=str):
            _compare(before.get(key), after.get(key), f"{path}.{key}" if path else str(key), found)
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else None
            new = after[index] if index < len(after) else None
            _compare(old, new, f"{path}[{index}]", found)
    else:
        found.append(Difference(path, before, after))
