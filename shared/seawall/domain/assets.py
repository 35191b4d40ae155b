"""Things that are owned and can be attacked, as nodes of one graph."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    """`source` --kind--> `target`, ids of assets."""

    source: str
    kind: str
    target: str
