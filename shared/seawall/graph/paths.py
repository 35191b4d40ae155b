"""Attack paths: from entries to targets, ranked by likelihood and impact, with the causes that most of them share."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

import rustworkx

from seawall.domain.errors import InputError
from seawall.graph.build import MEMBER, AttackGraph, Link, catalogue
from seawall.graph.model import Vertex, VertexKind
from seawall.graph.scene import CLUSTER_ADMIN, INTERNET
from seawall.posture.objects import Note

K = VertexKind
MAX_ENTRIES: Final = 50_000
MAX_TARGETS: Final = 100
MAX_PATHS: Final = 200_000
JEWEL: Final = "seawall.dev/crown-jewel"
"""Label or annotation that marks what matters most; any value but "false"."""
_STEP_COST: Final = 0.05
"""Added for each step, so that of two equally likely paths the shorter wins."""
IMPACT: Final = {
    K.CLUSTER_ADMIN: 1.0,
    K.NODE: 0.7,
    K.CLOUD_RESOURCE: 0.8,
    K.CLOUD_IDENTITY: 0.7,
    K.SECRET: 0.6,
    K.GROUP: 0.6,
}
_OPENNESS: Final = {K.INTERNET: 1.0, K.CLOUD_IDENTITY: 0.2, K.IDENTITY: 0.2, K.CONTAINER: 0.3}
"""How likely an attacker stands at an entry of this kind; our estimate."""


@dataclass(frozen=True, slots=True)
class Path:
    """One way from an entry to a target. `likelihood` and `impact` are 0 to 1, `score` their product."""

    vertices: tuple[Vertex, ...]
    links: tuple[Link, ...]
    likelihood: float
    impact: float

    @property
    def score(self) -> float:
        return self.likelihood * self.impact

    def sentences(self) -> list[str]:
        """Return the path in words, one step a line; joining a group is told with the step after it."""
        known = catalogue()
        return [
            f"{source} -> {target}: {known[link.edge].title.lower()} ({link.edge}, {known[link.edge].technique}; {link.cause})"
            if link.edge != MEMBER
            else f"{source} -> {target}"
            for source, target, link in zip(self.vertices, self.vertices[1:], self.links, strict=False)
        ]


@dataclass(frozen=True, slots=True)
class ChokePoint:
    """A cause that many paths share: it lies on `paths` of them, all of one `edge` kind; repairing `controls` closes it."""

    cause: str
    edge: str
    paths: int
    controls: tuple[str, ...] = ()


@dataclass(slots=True)
class Share:
    """On how many paths a cause lies, and the best of them."""

    paths: int
    best: Path


@dataclass(slots=True)
class PathReport:
    """Ranked paths, the best for each pair of entry and target. `total` counts those left out of `paths` too."""

    paths: list[Path] = field(default_factory=list)
    total: int = 0
    choke_points: list[ChokePoint] = field(default_factory=list)
    shares: dict[tuple[str, str], Share] = field(default_factory=dict)
    """By cause and kind of edge."""
    partial: list[Note] = field(default_factory=list)


def find(graph: AttackGraph, patterns: Iterable[str]) -> list[int]:
    """Return the vertices that patterns name: `kind`, `kind/name` or `kind/namespace/name`, with `*`.

    Raises:
        InputError: a pattern matches nothing.
    """
    found: dict[int, None] = {}
    for pattern in patterns:
        wanted = pattern.lower().replace("cluster-admin", "clusteradmin")
        before = len(found)
        for index, vertex in enumerate(graph.vertices):
            names = (
                vertex.kind.value.lower(),
                f"{vertex.kind.value}/{vertex.name}".lower(),
                f"{vertex.kind.value}/{vertex.namespace}/{vertex.name}".lower(),
            )
            if any(fnmatchcase(name, wanted) for name in names):
                found[index] = None
        if len(found) == before:
            kinds = ", ".join(sorted({vertex.kind.value.lower() for vertex in graph.vertices}))
            raise InputError(f"nothing in the graph matches {pattern}", hint=f"KIND, KIND/NAME or KIND/NAMESPACE/NAME; kinds here: {kinds}")  # fmt: skip
    return list(found)


def entries(graph: AttackGraph) -> list[int]:
    """Return where attackers start: the internet, every container (taken over), and people's and open identities."""
    found = [graph.index[INTERNET]] if INTERNET in graph.index else []
    for index, vertex in enumerate(graph.vertices):
        if vertex.kind is K.CONTAINER:
            found.append(index)
        elif vertex.kind is K.IDENTITY and not vertex.namespace:
            name = vertex.name.partition(":")[2]
            if not name.startswith("system:") or name in {"system:anonymous", "system:unauthenticated"}:
                found.append(index)
    return found


def targets(graph: AttackGraph) -> list[tuple[str, list[int], float]]:
    """Return what attackers want, as name, vertices and impact: cluster admin, any node, secrets, cloud, crown jewels."""
    by_kind: dict[VertexKind, list[int]] = defaultdict(list)
    for index, vertex in enumerate(graph.vertices):
        by_kind[vertex.kind].append(index)
    found: list[tuple[str, list[int], float]] = []
    if CLUSTER_ADMIN in graph.index:
        found.append(("cluster admin", [graph.index[CLUSTER_ADMIN]], 1.0))
    jewels = [
        graph.index[unit.pod]
        for unit in graph.scene.units
        if unit.pod in graph.index
        and any(
            str(tags.get(JEWEL, "false")).lower() != "false"
            for tags in (unit.workload.labels, unit.workload.annotations, unit.workload.obj.labels, unit.workload.obj.annotations)
        )
    ]  # fmt: skip
    found += [(str(graph.vertices[index]), [index], 0.9) for index in jewels]
    hubs = [index for index in by_kind[K.GROUP] if graph.vertices[index].name in {"all secrets", "secrets"}]
    for name, members, impact in (
        ("cloud resource", by_kind[K.CLOUD_RESOURCE], 0.8),
        ("node", by_kind[K.NODE], 0.7),
        ("cloud identity", by_kind[K.CLOUD_IDENTITY], 0.7),
        ("secrets of a namespace", hubs, 0.6),
    ):
        if members:
            found.append((name, members, impact))
    return found


def search(
    graph: AttackGraph, *, start: list[int] | None = None, goals: list[int] | None = None, keep: int = 1000
) -> PathReport:
    """Return the most likely path from each entry to each target, best first, and the causes that most share.

    One backward search for each target over the whole graph; entries, targets and paths are bounded and cut-offs told.
    """
    report = PathReport(partial=list(graph.partial))
    starts = start if start is not None else entries(graph)
    wanted = targets(graph) if goals is None else [(str(graph.vertices[g]), [g], IMPACT.get(graph.vertices[g].kind, 0.5)) for g in goals]  # fmt: skip
    if len(starts) > MAX_ENTRIES:
        report.partial.append(Note("entries", f"the first {MAX_ENTRIES:,} of {len(starts):,} were searched"))
        starts = starts[:MAX_ENTRIES]
    if len(wanted) > MAX_TARGETS:
        report.partial.append(Note("targets", f"the first {MAX_TARGETS} of {len(wanted)} were searched"))
        wanted = wanted[:MAX_TARGETS]
    known = catalogue()
    cost = {name: -math.log(edge.likelihood) + _STEP_COST for name, edge in known.items()} | {MEMBER: 0.001}
    backward: rustworkx.PyDiGraph[int, float] = rustworkx.PyDiGraph(multigraph=True)
    backward.add_nodes_from(range(len(graph.vertices) + 1))
    backward.add_edges_from([(link.target, link.source, cost[link.edge]) for link in graph.links])
    forward: dict[int, list[Link]] = defaultdict(list)
    for link in graph.links:
        forward[link.source].append(link)
    found: list[Path] = []
    super_goal = len(graph.vertices)
    for _, members, impact in wanted:
        backward.add_edges_from([(super_goal, member, 0.0) for member in members])
        distance = dict(rustworkx.digraph_dijkstra_shortest_path_lengths(backward, super_goal, float).items())
        backward.remove_edges_from([(super_goal, member) for member in members])
        goal_set = set(members)
        chosen: dict[int, Link | None] = {}
        for entry in starts:
            if entry in goal_set or entry not in distance:
                continue
            if report.total >= MAX_PATHS:
                report.partial.append(Note("paths", f"stopped after {MAX_PATHS:,}"))
                break
            path = _walk(graph, entry, goal_set, distance, forward, cost, impact, chosen)
            if path is None:
                continue
            report.total += 1
            found.append(path)
            _share(report.shares, path)
    found.sort(key=lambda path: (-path.score, len(path.links), path.vertices))
    report.paths = found[:keep]
    report.choke_points = _choke_points(report.shares)
    return report


def _share(shares: dict[tuple[str, str], Share], path: Path) -> None:
    for key in {(link.cause, link.edge) for link in path.links if link.cause}:
        known = shares.get(key)
        if known is None:
            shares[key] = Share(1, path)
        else:
            known.paths += 1
            if path.score > known.best.score:
                known.best = path


def _walk(
    graph: AttackGraph,
    entry: int,
    goals: set[int],
    distance: dict[int, float],
    forward: dict[int, list[Link]],
    cost: dict[str, float],
    impact: float,
    chosen: dict[int, Link | None],
) -> Path | None:
    """Follow the distances down from an entry to a goal; `chosen` remembers the next link of each vertex."""
    known = catalogue()
    links: list[Link] = []
    here, likelihood = entry, _OPENNESS.get(graph.vertices[entry].kind, 0.5)
    while here not in goals and len(links) < 200:
        if here not in chosen:
            chosen[here] = min(
                (link for link in forward[here] if link.target in distance),
                key=lambda link: (distance[link.target] + cost[link.edge], link.edge, link.cause),
                default=None,
            )
        best = chosen[here]
        if best is None:
            return None
        links.append(best)
        likelihood *= known[best.edge].likelihood if best.edge != MEMBER else 1.0
        here = best.target
    if here not in goals:
        return None
    vertices = (graph.vertices[entry], *(graph.vertices[link.target] for link in links))
    return Path(vertices, tuple(links), likelihood, impact)


def _choke_points(shares: dict[tuple[str, str], Share]) -> list[ChokePoint]:
    known = catalogue()
    best: dict[str, ChokePoint] = {}
    for (cause, edge), share in sorted(shares.items(), key=lambda item: -item[1].paths)[:500]:
        if cause not in best:
            best[cause] = ChokePoint(cause, edge, share.paths, known[edge].controls)
    return list(best.values())[:20]
