"""How many of KubeHound's expected attack edges the graph holds. `make score-posture`.

Origin of the labels: KubeHound's own system test, one cluster of deliberately weak pods and roles. A group ("all pods of
the namespace") holds an edge for each member. Where a test lists every edge (`exact`), edges beyond the list are printed
too, with the reason. A label that the graph lacks needs a reason below, and an unexplained one is a fault.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path

from seawall.app.assess_posture import assess
from seawall.graph.build import MEMBER, AttackGraph, build
from seawall.graph.model import Vertex, VertexKind
from seawall.posture.loading import load
from seawall.posture.objects import Obj

HERE = Path(__file__).parent
PLACES = (HERE.parents[2] / "shared", HERE.parents[3] / "shared")
DATA = next((place for place in PLACES if place.is_dir()), PLACES[0]) / "data" / "posture" / "kubehound-attacks"
NODES = ("control-plane", "worker", "worker2")

REASONS: tuple[tuple[str, str], ...] = (
    (
        r"ROLE_BIND PermissionSet:rolebind-r(b-r|b-cr)-rb-r::.* -> PermissionSet:rolebind-rb-cr-.*",
        "the source holds bind on roles; the target is a ClusterRole, which only bind on clusterroles lets bind",
    ),
)
"""Patterns of kind and edge, and why our graph lacks it. Source: Kubernetes documentation, restrictions on role binding creation."""


def nodes() -> list[Obj]:
    """The three nodes of cluster.yaml, the first with kind's taint for control planes."""
    found = []
    for name in NODES:
        spec = {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]} if name == NODES[0] else {}  # fmt: skip
        meta = {"name": f"kubehound.test.local-{name}"}
        found.append(Obj({"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec}))
    return found


def expanded(graph: AttackGraph, vertex: int) -> set[int]:
    """A vertex, or the members of a group and of the groups in it."""
    members: dict[int, list[int]] = defaultdict(list)
    for link in graph.links:
        if link.edge == MEMBER:
            members[link.source].append(link.target)
    found, waiting = {vertex}, [vertex]
    while waiting:
        here = waiting.pop()
        if graph.vertices[here].kind is VertexKind.GROUP:
            new = [item for item in members[here] if item not in found]
            found.update(new)
            waiting += new
    return found


def label(vertex: Vertex) -> str:
    """A vertex as the labels name it: containers, volumes and accounts by their bare name."""
    kind, name = vertex.kind.value, vertex.name
    if vertex.kind is VertexKind.CONTAINER:
        name = name.rsplit("/", 1)[-1]
    elif vertex.kind is VertexKind.IDENTITY:
        name = name.partition(":")[2]
    elif vertex.kind is VertexKind.VOLUME:
        name = name.rsplit("/", 1)[-1]
    return f"{kind}:{name}"


def edges(graph: AttackGraph) -> dict[str, set[str]]:
    """Every edge by its kind, groups written out, in the labels' words."""
    found: dict[str, set[str]] = defaultdict(set)
    memo: dict[int, set[int]] = {}
    for link in graph.links:
        if link.edge == MEMBER:
            continue
        source = label(graph.vertices[link.source])
        for target in memo.setdefault(link.target, expanded(graph, link.target)):
            found[link.edge].add(f"{source} -> {label(graph.vertices[target])}")
            if graph.vertices[target].kind is VertexKind.NODE and "-worker" in graph.vertices[target].name:
                found[link.edge].add(f"{source} -> Node:any worker")
        if link.edge == "EXPLOIT_HOST_WRITE" and ", volume " in link.cause:
            # KubeHound draws container -> volume -> node, we one edge whose cause names the volume.
            volume = link.cause.split(", volume ", 1)[1].split(":", 1)[0]
            found[link.edge].add(f"{source} -> Volume:{volume}")
    return found


def main() -> int:
    if not DATA.is_dir():
        print("skipped: needs ../shared")
        return 0
    loaded = load(DATA / "manifests")
    world = assess([*loaded.objects, *nodes()], today=date(2026, 8, 23), controls=()).world
    found = edges(build(world))
    with (DATA / "labels.tsv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    expected: dict[tuple[str, str], set[str]] = defaultdict(set)
    exact: set[str] = set()
    counted: Counter[str] = Counter()
    unexplained = 0
    for row in rows:
        kind, name = row["check"], row["object"]
        expected[kind, name.partition(" -> ")[0]].add(name)
        counted["labelled"] += 1
        if json.loads(row["detail"])["match"] == "exact":
            exact.add(kind)
        if name in found[kind]:
            counted["found"] += 1
            continue
        reason = next((why for pattern, why in REASONS if re.fullmatch(pattern, f"{kind} {name}")), "")
        counted["explained" if reason else "missed"] += 1
        unexplained += not reason
        print(f"    {kind}: {name}: {reason or 'NO REASON WRITTEN'}")
    extra = [
        (kind, item)
        for (kind, source), names in sorted(expected.items())
        if kind in exact
        for item in sorted(found[kind])
        if item.partition(" -> ")[0] == source and item not in names
    ]
    shown = [(kind, item) for kind, item in extra if not item.partition(" -> ")[2].startswith("Group:")]
    for kind, item in shown if "-v" in sys.argv else ():
        print(f"    beyond the list, which names the test's own objects only: {kind}: {item}")
    print(
        f"{'kubehound-attacks':<24} {counted['found']:>4} of {counted['labelled']:>4} edges found ({counted['found'] / counted['labelled']:6.1%}); {counted['explained']} differ on purpose, {counted['missed']} without a reason; {len(shown)} beyond exact lists"
    )
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
