"""Between pods, containers, nodes and the identities that they carry, and rights over pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from seawall.graph.model import Step, Vertex, VertexKind, attack_edge
from seawall.graph.scene import ALL_NODES, ALL_PODS, Scene, accounts_within, because, group, owner

K = VertexKind
CONTROLLERS: Final = ("deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs", "replicationcontrollers")  # fmt: skip
GROUPS: Final = ("", "apps", "batch")


@attack_edge(
    id="CONTAINER_ATTACH", title="Enter a container of the pod", source=K.POD, target=K.CONTAINER, technique="T1609", likelihood=1.0,
    precondition="always: whoever controls a pod controls its containers", remedy="Close the way to the pod.",
)  # fmt: skip
def container_attach(scene: Scene) -> Iterator[Step]:
    for unit in scene.units:
        for vertex, _ in unit.containers:
            yield Step(unit.pod, vertex, owner(unit))


@attack_edge(
    id="POD_ATTACH", title="Enter a pod from its node", source=K.NODE, target=K.POD, technique="T1609", likelihood=1.0,
    precondition="always: a node controls the pods that it runs", remedy="Close the way to the node.",
)  # fmt: skip
def pod_attach(scene: Scene) -> Iterator[Step]:
    for unit in scene.units:
        for node in unit.nodes:
            if node is not ALL_NODES:
                yield Step(node, unit.pod, owner(unit))


def pods_within(scope: str) -> Vertex:
    """Return the group of a namespace's pods, of all pods for the empty scope."""
    return group("pods", scope) if scope else ALL_PODS


def _over_pods(scene: Scene, verbs: tuple[str, ...], *resources: str) -> Iterator[Step]:
    for binding, vertex, names in scene.grants(verbs, GROUPS, *resources):
        if not names:
            yield Step(vertex, pods_within(binding.scope), because(binding))
            continue
        wanted = set(names)
        units = scene.units_in.get(binding.scope, ()) if binding.scope else scene.units
        for unit in units:
            if unit.workload.obj.name in wanted or any(pod.name in wanted for pod in unit.workload.pods):
                yield Step(vertex, unit.pod, because(binding))


@attack_edge(
    id="POD_EXEC", title="Run commands in pods", source=K.PERMISSIONS, target=(K.POD, K.GROUP), technique="T1609", likelihood=0.95,
    precondition="create (or get, by websocket) on pods/exec or pods/attach",
    remedy="Take pods/exec and pods/attach from the role, or name the pods.",
    controls=("RB-014",),
)  # fmt: skip
def pod_exec(scene: Scene) -> Iterator[Step]:
    return _over_pods(scene, ("create", "get"), "pods/exec", "pods/attach")


@attack_edge(
    id="POD_PATCH", title="Change what pods run", source=K.PERMISSIONS, target=(K.POD, K.GROUP), technique="T1609", likelihood=0.9,
    precondition="patch or update on pods, pods/ephemeralcontainers or any pod controller",
    remedy="Take patch and update on workloads from the role, or name the objects.",
    controls=("RB-020",),
)  # fmt: skip
def pod_patch(scene: Scene) -> Iterator[Step]:
    return _over_pods(scene, ("patch", "update"), "pods", "pods/ephemeralcontainers", *CONTROLLERS)


@attack_edge(
    id="POD_CREATE", title="Start a pod that takes over a node, or carries an account of the namespace", source=K.PERMISSIONS, target=(K.NODE, K.GROUP), technique="T1610", likelihood=0.8,
    precondition="create on pods or any pod controller; to the node where the namespace enforces neither baseline nor restricted",
    remedy="Take create from the role, and enforce the restricted Pod Security level in the namespace.",
    controls=("RB-004",),
)  # fmt: skip
def pod_create(scene: Scene) -> Iterator[Step]:
    for binding, vertex, _ in scene.grants(("create",), GROUPS, "pods", *CONTROLLERS):
        labels = scene.world.namespaces.get(binding.scope, {}) if binding.scope else {}
        if labels.get("pod-security.kubernetes.io/enforce") not in {"baseline", "restricted"}:
            yield Step(vertex, ALL_NODES, because(binding))
        # No Pod Security level limits which account of the namespace a pod names; its token is then mounted.
        yield Step(vertex, accounts_within(binding.scope), because(binding))


@attack_edge(
    id="NODE_PROXY", title="Run commands through the kubelet", source=K.PERMISSIONS, target=(K.POD, K.GROUP), technique="T1609", likelihood=0.9,
    precondition="get or create on nodes/proxy", remedy="Take nodes/proxy from the role; nodes/metrics and nodes/stats are enough for monitoring.",
    controls=("RB-008",),
)  # fmt: skip
def node_proxy(scene: Scene) -> Iterator[Step]:
    for binding, vertex, names in scene.grants(("get", "create"), ("",), "nodes/proxy"):
        if not binding.scope and not names:
            yield Step(vertex, ALL_PODS, because(binding))


@attack_edge(
    id="IDENTITY_ASSUME", title="Act as the identity that a container or node carries", source=(K.CONTAINER, K.NODE), target=K.IDENTITY, technique="T1078", likelihood=1.0,
    precondition="the pod gets a token of its service account; a node is in the group system:nodes",
    remedy="Set `automountServiceAccountToken: false`, or take rights from the account.",
    controls=("WL-031", "WL-032", "RB-024"),
)  # fmt: skip
def identity_assume(scene: Scene) -> Iterator[Step]:
    for unit in scene.units:
        if unit.token:
            for vertex, _ in unit.containers:
                yield Step(vertex, unit.account, f"{owner(unit)}: token of {unit.workload.service_account}")
    nodes = Vertex(K.IDENTITY, "", "Group:system:nodes")
    for node in scene.schedulable + [item for item in scene.nodes.values() if item not in set(scene.schedulable)]:
        yield Step(node, nodes, "the kubelet's client certificate")
