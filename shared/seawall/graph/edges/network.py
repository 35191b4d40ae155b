"""From the internet to endpoints, and from container to container over the network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seawall.graph.model import Step, Vertex, VertexKind, attack_edge
from seawall.graph.scene import INTERNET, Scene, Unit, group, owner
from seawall.posture.checks.exposure import exposed_by
from seawall.posture.checks.network_policies import directions, policies_for
from seawall.posture.objects import Obj, mapping, mappings, selects, texts

K = VertexKind
OPEN_NETWORK = group("the open pod network")


def endpoint(unit: Unit) -> Vertex:
    """Return where a workload's pods listen."""
    return Vertex(K.ENDPOINT, unit.namespace, unit.pod.name)


def listens(unit: Unit, scene: Scene) -> bool:
    """Whether a workload declares a port or a service selects it."""
    return any(item.body.get("ports") for _, item in unit.containers) or bool(scene.world.services_of(unit.workload))


@attack_edge(
    id="INTERNET_EXPOSE", title="Reach a published service", source=K.INTERNET, target=K.ENDPOINT, technique="T1190", likelihood=1.0,
    precondition="a public load balancer, node port, host port, ingress or route leads to the pods, without a limit of source addresses",
    remedy="Make the load balancer internal or limit its sources.", controls=("NW-006",),
)  # fmt: skip
def internet_expose(scene: Scene) -> Iterator[Step]:
    for unit in scene.units:
        for way in exposed_by(unit.workload, scene.world):
            if not limited(way):
                yield Step(INTERNET, endpoint(unit), f"{way.kind} {way.in_namespace}/{way.name}")


def limited(way: Obj) -> bool:
    """Whether what publishes a workload admits some source addresses only."""
    ranges = texts(way.spec.get("loadBalancerSourceRanges"))
    notes = way.annotations
    for key in (
        "nginx.ingress.kubernetes.io/whitelist-source-range",
        "nginx.ingress.kubernetes.io/allowlist-source-range",
        "alb.ingress.kubernetes.io/inbound-cidrs",
        "service.beta.kubernetes.io/load-balancer-source-ranges",
    ):
        ranges = ranges + [part.strip() for part in str(notes.get(key) or "").split(",") if part.strip()]
    internal = notes.get("alb.ingress.kubernetes.io/scheme") == "internal"
    return internal or bool(ranges and not {"0.0.0.0/0", "::/0"} & set(ranges))


@attack_edge(
    id="ENDPOINT_EXPLOIT", title="Break into a listening container", source=K.ENDPOINT, target=K.CONTAINER, technique="T1210", likelihood=0.15,
    precondition="the container listens; a weakness is assumed, none is known", remedy="Close the port or limit who reaches it.",
)  # fmt: skip
def endpoint_exploit(scene: Scene) -> Iterator[Step]:
    for unit in scene.units:
        if not listens(unit, scene):
            continue
        declared = [vertex for vertex, item in unit.containers if item.body.get("ports")]
        for vertex in declared or [vertex for vertex, _ in unit.containers]:
            yield Step(endpoint(unit), vertex, f"{owner(unit)}: open port")


@attack_edge(
    id="VULN_EXPLOIT", title="Exploit a known vulnerability of a listening image", source=K.ENDPOINT, target=K.CONTAINER, technique="T1190", likelihood=0.8,
    precondition="the container listens and its image has a finding that can be exploited over the network",
    remedy="Update the image.",
    controls=("WL-048",),
)  # fmt: skip
def vuln_exploit(scene: Scene) -> Iterator[Step]:
    if not scene.exploitable:
        return
    for unit in scene.units:
        if listens(unit, scene):
            for vertex, item in unit.containers:
                found = scene.exploitable.get(item.image.raw) or scene.exploitable.get(item.image.digest)
                if found:
                    yield Step(endpoint(unit), vertex, f"{found} in {item.image.raw}")


@attack_edge(
    id="NET_REACH", title="Connect to another workload", source=K.CONTAINER, target=(K.ENDPOINT, K.GROUP), technique="T1210", likelihood=0.9,
    precondition="no network policy isolates either side, or the policies allow the connection",
    remedy="Add a default-deny NetworkPolicy and allow the connections that are needed.",
    controls=("NW-001", "NW-002"),
)  # fmt: skip
def net_reach(scene: Scene) -> Iterator[Step]:
    """Workloads without egress policy meet those without ingress policy in one group; policies add the rest.

    Ports are not compared. A destination with an ingress policy is reached only from the peers it names.
    """
    for unit in scene.units:
        policies = policies_for(unit.workload, scene.world)
        outward = [item for item in policies if "Egress" in directions(item)]
        inward = [item for item in policies if "Ingress" in directions(item)]
        if not outward or any(_opens(item, "egress", "to") for item in outward):
            for vertex, _ in unit.containers:
                yield Step(vertex, OPEN_NETWORK, f"{owner(unit)}: no policy limits outgoing connections")
        else:
            for policy in outward:
                for peer in _peers(policy, "egress", "to"):
                    hub = _hub(policy, peer)
                    for vertex, _ in unit.containers:
                        yield Step(vertex, hub, f"{policy.kind} {policy.namespace}/{policy.name}")
                    for other in _members(scene, policy, peer):
                        if not _isolated(scene, other) and listens(other, scene):
                            yield Step(hub, endpoint(other), f"{policy.kind} {policy.namespace}/{policy.name}")
        if not listens(unit, scene):
            continue
        if not inward or any(_opens(item, "ingress", "from") for item in inward):
            yield Step(OPEN_NETWORK, endpoint(unit), f"{owner(unit)}: no policy limits incoming connections")
            continue
        for policy in inward:
            for peer in _peers(policy, "ingress", "from"):
                hub = group(f"peers of {policy.name} {peer}", policy.in_namespace)
                yield Step(hub, endpoint(unit), f"{policy.kind} {policy.namespace}/{policy.name}")
                for other in _members(scene, policy, peer):
                    for vertex, _ in other.containers:
                        yield Step(vertex, hub, f"{policy.kind} {policy.namespace}/{policy.name}")


def _isolated(scene: Scene, unit: Unit) -> bool:
    policies = [item for item in policies_for(unit.workload, scene.world) if "Ingress" in directions(item)]
    return bool(policies) and not any(_opens(item, "ingress", "from") for item in policies)


def _hub(policy: Obj, peer: dict[str, Any]) -> Vertex:
    return group(f"destinations of {policy.name} {peer}", policy.in_namespace)


def _opens(policy: Obj, direction: str, side: str) -> bool:
    """Whether a rule of a NetworkPolicy names no peer, and so allows all."""
    return policy.kind == "NetworkPolicy" and any(
        not rule.get(side) or any(peer in ({"namespaceSelector": {}}, {"ipBlock": {"cidr": "0.0.0.0/0"}}) for peer in mappings(rule.get(side)))
        for rule in mappings(policy.spec.get(direction))
    )  # fmt: skip


def _peers(policy: Obj, direction: str, side: str) -> Iterator[dict[str, Any]]:
    for rule in mappings(policy.spec.get(direction)):
        yield from mappings(rule.get(side))


def _members(scene: Scene, policy: Obj, peer: dict[str, Any]) -> Iterator[Unit]:
    spaces, pods = peer.get("namespaceSelector"), peer.get("podSelector")
    if spaces is None and pods is None:
        return
    for namespace, labels in scene.world.namespaces.items():
        if namespace != policy.in_namespace if spaces is None else not selects(mapping(spaces), labels):
            continue
        for unit in scene.units_in.get(namespace, ()):
            if pods is None or selects(mapping(pods), unit.workload.labels):
                yield unit
