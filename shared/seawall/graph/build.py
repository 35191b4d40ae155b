"""The attack graph of a scene: every step of every declared edge, and the groups' members."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NamedTuple

from seawall.catalog import collect
from seawall.graph.edges.pods import pods_within
from seawall.graph.edges.rbac import MASTERS, named_users, roles_within
from seawall.graph.edges.volumes import secrets_within
from seawall.graph.model import AttackEdge, Step, Vertex, VertexKind
from seawall.graph.scene import (
    ALL_ACCOUNTS,
    ALL_NODES,
    ALL_PODS,
    ALL_SECRETS,
    CLUSTER_ADMIN,
    Scene,
    account,
    accounts_within,
    group,
)
from seawall.posture.objects import Note
from seawall.posture.rbac import is_everything
from seawall.posture.world import World

MAX_EDGES: Final = 3_000_000
MEMBER: Final = ""
"""The id of steps that are no attack: from a group to its members, and from every right to cluster admin."""


@cache
def catalogue() -> dict[str, AttackEdge]:
    """Return the attack edges by id."""
    return {edge.id: edge for edge in collect("seawall.graph.edges", AttackEdge)}


class Link(NamedTuple):
    """One step in the graph; `edge` is the id of its declaration, empty for group membership."""

    source: int
    target: int
    edge: str
    cause: str


@dataclass(slots=True)
class AttackGraph:
    """Vertices and links by index. `partial` says what was cut off or failed; the rest is complete."""

    scene: Scene
    vertices: list[Vertex] = field(default_factory=list)
    index: dict[Vertex, int] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    partial: list[Note] = field(default_factory=list)

    def add(self, vertex: Vertex) -> int:
        """Return the index of a vertex, adding it when it is new."""
        found = self.index.get(vertex)
        if found is None:
            found = self.index[vertex] = len(self.vertices)
            self.vertices.append(vertex)
        return found

    def link(self, step: Step, edge: str) -> None:
        source, target = self.add(step.source), self.add(step.target)
        if source != target:
            self.links.append(Link(source, target, edge, step.cause))

    def of(self, edge: str) -> Iterator[Step]:
        """Yield the steps of one kind of edge."""
        for link in self.links:
            if link.edge == edge:
                yield Step(self.vertices[link.source], self.vertices[link.target], link.cause)


def build(
    world: World,
    *,
    exploitable: Mapping[str, str] | None = None,
    edges: Iterable[str] | None = None,
    limit: int = MAX_EDGES,
) -> AttackGraph:
    """Return the attack graph of a world.

    A kind of edge that fails on odd input becomes a note in `partial`, as does the limit on steps.
    """
    collecting = gc.isenabled()
    gc.disable()  # steps are only added, so that scanning a growing heap finds nothing to free
    try:
        return _build(Scene(world, exploitable=exploitable), edges, limit)
    finally:
        if collecting:
            gc.enable()


def _build(scene: Scene, edges: Iterable[str] | None, limit: int) -> AttackGraph:
    graph = AttackGraph(scene)
    graph.partial += scene.world.notes
    chosen: Sequence[AttackEdge] = [edge for name, edge in catalogue().items() if edges is None or name in set(edges)]
    for edge in chosen:
        seen: set[tuple[Vertex, Vertex, str]] = set()
        try:
            for step in edge.find(scene):
                if step in seen:
                    continue
                seen.add(step)
                if len(graph.links) >= limit:
                    graph.partial.append(Note(edge.id, f"more than {limit:,} steps; the rest was left out"))
                    break
                graph.link(step, edge.id)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            graph.partial.append(Note(edge.id, f"left out in part: {error}"))
    for step in _members(scene):
        graph.link(step, MEMBER)
    return graph


def _members(scene: Scene) -> Iterator[Step]:
    for node in scene.schedulable:
        yield Step(ALL_NODES, node, "")
    for namespace, units in scene.units_in.items():
        hub = pods_within(namespace)
        yield Step(ALL_PODS, hub, "")
        for unit in units:
            yield Step(hub, unit.pod, "")
    for namespace, names in scene.accounts.items():
        hub = accounts_within(namespace)
        yield Step(ALL_ACCOUNTS, hub, "")
        common = Vertex(VertexKind.IDENTITY, "", f"Group:system:serviceaccounts:{namespace}")
        for name in names:
            yield Step(hub, account(namespace, name), "")
            yield Step(account(namespace, name), common, "")
        yield Step(common, Vertex(VertexKind.IDENTITY, "", "Group:system:serviceaccounts"), "")
    yield Step(
        Vertex(VertexKind.IDENTITY, "", "Group:system:serviceaccounts"),
        Vertex(VertexKind.IDENTITY, "", "Group:system:authenticated"),
        "",
    )
    for namespace, held in scene.secrets.items():
        hub = secrets_within(namespace)
        yield Step(ALL_SECRETS, hub, "")
        for name in held:
            yield Step(hub, Vertex(VertexKind.SECRET, namespace, name), "")
    for user in named_users(scene):
        yield Step(group("all users"), user, "")
    for binding, vertex in scene.bindings:
        yield Step(roles_within(binding.role_kind, binding.scope), vertex, "")
        if not binding.scope and any(is_everything(rule) for rule in binding.rules):
            yield Step(vertex, CLUSTER_ADMIN, "")
    yield Step(MASTERS, CLUSTER_ADMIN, "")
