"""Which policies select a pod, what they allow, and whether anything enforces them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any, Final

from seawall.posture.check import Cluster, Finding, check, fail, manual, not_applicable, unknown
from seawall.posture.label_selectors import calico_selects, cilium_selector
from seawall.posture.objects import Obj, mapping, mappings, number, selects, sequence, text
from seawall.posture.workloads import Workload
from seawall.posture.world import SYSTEM_NAMESPACES, World

POLICIES: Final = (
    "NetworkPolicy",
    "CiliumNetworkPolicy",
    "CiliumClusterwideNetworkPolicy",
    "GlobalNetworkPolicy",
    "AdminNetworkPolicy",
    "BaselineAdminNetworkPolicy",
)
METADATA: Final = ipaddress.ip_address("169.254.169.254")


def policies_for(workload: Workload, world: World) -> list[Obj]:
    """Return the network policies, of whatever kind, that select the pods of a workload."""
    labels = workload.labels
    space = world.namespaces.get(workload.namespace, {})
    found = [
        policy
        for policy in world.in_namespace("NetworkPolicy", workload.namespace)
        if (
            calico_selects(policy.spec.get("selector"), labels)
            if is_calico(policy)
            else selects(_pod_selector(policy), labels)
        )
    ]
    if world.of("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"):
        own = [
            *world.in_namespace("CiliumNetworkPolicy", workload.namespace),
            *world.of("CiliumClusterwideNetworkPolicy"),
        ]
        found += [
            policy
            for policy in own
            if any(selects(cilium_selector(spec.get("endpointSelector")), labels) for spec in specs(policy))
        ]
    found += [
        policy
        for policy in world.of("GlobalNetworkPolicy")
        if calico_selects(policy.spec.get("selector"), labels)
        and calico_selects(
            policy.spec.get("namespaceSelector"), {**space, "projectcalico.org/name": workload.namespace}
        )
    ]
    for policy in world.of("AdminNetworkPolicy", "BaselineAdminNetworkPolicy"):
        subject = mapping(policy.spec.get("subject"))
        pods = mapping(subject.get("pods"))
        if ("namespaces" in subject and selects(mapping(subject["namespaces"]), space)) or (
            pods
            and selects(mapping(pods.get("namespaceSelector")), space)
            and selects(mapping(pods.get("podSelector")), labels)
        ):
            found.append(policy)
    return found


def is_calico(policy: Obj) -> bool:
    """Whether a policy is Calico's, whose kind has the same name as Kubernetes' own."""
    return "projectcalico.org" in policy.api_version or isinstance(policy.spec.get("selector"), str)


def specs(policy: Obj) -> list[dict[str, Any]]:
    """Return the rules of a Cilium policy, which may stand under `spec` or in the list `specs`."""
    return [policy.spec, *mappings(policy.body.get("specs"))]


def _pod_selector(policy: Obj) -> Any:
    """An absent pod selector selects every pod; Calico's policies of the same kind use text, which is judged apart."""
    selector = policy.spec.get("podSelector")
    return {} if selector is None and "selector" not in policy.spec else selector


def directions(policy: Obj) -> set[str]:
    """Return the directions that a policy isolates.

    Source: NetworkPolicySpec.policyTypes and Calico's `types`, with their defaults; Cilium's default deny by section.
    """
    if policy.kind == "GlobalNetworkPolicy" or (policy.kind == "NetworkPolicy" and is_calico(policy)):
        named = {text(item) for item in sequence(policy.spec.get("types"))}
        written = {name for name in ("Ingress", "Egress") if policy.spec.get(name.lower()) is not None}
        return named or written or {"Ingress"}
    if policy.kind != "NetworkPolicy":
        return {
            name
            for name in ("Ingress", "Egress")
            if any(
                spec.get(name.lower()) is not None or spec.get(f"{name.lower()}Deny") is not None
                for spec in specs(policy)
            )
        }
    types = policy.spec.get("policyTypes")
    if isinstance(types, list) and types:
        return {text(item) for item in types}
    return {"Ingress", "Egress"} if policy.spec.get("egress") else {"Ingress"}


@check("NW-001", on="Namespace")
def namespace_policy(obj: Obj, world: World) -> Iterator[Finding]:
    """A policy of any kind in each user namespace, or one of the cluster that selects it."""
    if obj.name in SYSTEM_NAMESPACES:
        yield not_applicable("system namespace")
        return
    if any(world.in_namespace(kind, obj.name) for kind in ("NetworkPolicy", "CiliumNetworkPolicy")) or world.of(
        "CiliumClusterwideNetworkPolicy", "GlobalNetworkPolicy", "BaselineAdminNetworkPolicy"
    ):
        return
    if "NetworkPolicy" in world.unread_kinds:
        yield unknown("network policies could not be listed")
    else:
        yield fail("", None, "a NetworkPolicy", "no policy in the namespace")


@check("NW-002", on=Workload)
def pod_covered(workload: Workload, world: World) -> Iterator[Finding]:
    """Policies that select the pods, for each direction."""
    if workload.spec.get("hostNetwork") is True:
        yield not_applicable("uses the host's network, which policies do not cover")
        return
    if workload.namespace in SYSTEM_NAMESPACES and world.is_cluster:
        yield not_applicable("system namespace")
        return
    if "NetworkPolicy" in world.unread_kinds:
        yield unknown("network policies could not be listed")
        return
    covered: set[str] = set()
    for policy in policies_for(workload, world):
        covered |= directions(policy)
    for direction in ("Ingress", "Egress"):
        if direction not in covered:
            yield fail("", None, "selected by a NetworkPolicy", f"no policy restricts {direction.lower()}", direction)


@check("NW-003", on="NetworkPolicy")
def allows_all(obj: Obj, _: World) -> Iterator[Finding]:
    """Rules without peers and ports, and address blocks that mean every address."""
    if obj.spec and not {"podSelector", "policyTypes", "ingress", "egress"} & set(obj.spec):
        yield fail("spec", sorted(obj.spec), "a selector and rules", "the policy says nothing")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(sequence(obj.spec.get(direction))):
            at = f"spec.{direction}[{index}]"
            if not isinstance(rule, dict) or not rule:
                yield fail(at, rule, "peers and ports", f"allows every {direction}", direction)
                continue
            for place, peer in enumerate(mappings(rule.get(peers))):
                block = mapping(peer.get("ipBlock"))
                if text(block.get("cidr")).strip() in {"0.0.0.0/0", "::/0"} and not block.get("except"):
                    yield fail(
                        f"{at}.{peers}[{place}].ipBlock.cidr", block.get("cidr"), "the addresses in use", part=direction
                    )


@check("NW-004", on="NetworkPolicy")
def policy_selects(obj: Obj, world: World) -> Iterator[Finding]:
    """Pod selectors of the policy and of its peers match a workload."""
    selector = _pod_selector(obj)
    here = world.workloads_in.get(obj.in_namespace, [])
    if (
        mapping(selector)
        and any(mapping(selector).values())
        and not any(selects(selector, item.labels) for item in here)
    ):
        yield fail("spec.podSelector", selector, "labels of a workload")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(mappings(obj.spec.get(direction))):
            for place, peer in enumerate(mappings(rule.get(peers))):
                pods, spaces = peer.get("podSelector"), peer.get("namespaceSelector")
                if not mapping(pods) or not any(mapping(pods).values()):
                    continue
                candidates = (
                    here
                    if spaces is None
                    else [item for item in world.workloads if selects(spaces, world.namespaces.get(item.namespace, {}))]
                )
                if spaces is not None and not candidates:
                    continue
                if not any(selects(pods, item.labels) for item in candidates):
                    yield fail(
                        f"spec.{direction}[{index}].{peers}[{place}].podSelector",
                        pods,
                        "labels of a workload",
                        part=direction,
                    )


@check("NW-005", on=Cluster)
def cni_enforces(_: Cluster, world: World) -> Iterator[Finding]:
    """The network plug-in, by its daemon sets, by a collector's record, or by the cloud's cluster object."""
    records = world.of("CNIInfo")
    for obj in records:
        names = [text(item).lower() for item in sequence(mapping(obj.body.get("data")).get("CNINames"))]
        if names and all(any(weak in name for weak in ("flannel", "kindnet", "bridge")) for name in names):
            yield fail("data.CNINames", names, "a plug-in that enforces policies", target=obj)
        elif names and all(name == "aws" for name in names) and not _vpc_policy(world):
            yield fail(
                "data.CNINames", names, "a plug-in that enforces policies", "the VPC CNI alone does not", target=obj
            )
    if records:
        return
    running = {
        workload.obj.name.lower()
        for workload in world.workloads
        if workload.kind == "DaemonSet" or workload.obj.namespace == "kube-system"
    }
    if not running or not world.is_cluster:
        yield not_applicable("no cluster in the input")
        return
    strong = (
        "calico",
        "cilium",
        "antrea",
        "weave",
        "kube-router",
        "ovn",
        "azure-npm",
        "canal",
        "romana",
        "anetd",
        "tigera",
        "nsx",
        "sdn",
    )
    if any(mark in name for mark in strong for name in running) or _vpc_policy(world):
        return
    if any("kindnet" in name or "flannel" in name or name == "aws-node" for name in running):
        yield fail(
            "",
            sorted(name for name in running if "kindnet" in name or "flannel" in name or name == "aws-node"),
            "a plug-in that enforces policies",
        )
    else:
        yield manual("no known network plug-in among the daemon sets: see whether yours enforces policies")


def _vpc_policy(world: World) -> bool:
    for workload in world.workloads:
        if workload.obj.name == "aws-node" and any(
            "network-policy" in container.image.repository
            and "--enable-network-policy=true" in sequence(container.body.get("args"))
            for container in workload.containers
        ):
            return True
    return any(
        "enableNetworkPolicy" in text(obj.body.get("configurationValues"))
        and "true" in text(obj.body.get("configurationValues"))
        for obj in world.of("AWS::EKS::Addon")
    )


@check("NW-022", on="NetworkPolicy")
def metadata_excluded(obj: Obj, _: World) -> Iterator[Finding]:
    """Egress rules that allow 169.254.169.254."""
    if "Egress" not in directions(obj):
        yield not_applicable("does not restrict egress")
        return
    for index, rule in enumerate(sequence(obj.spec.get("egress"))):
        at = f"spec.egress[{index}]"
        peers = mapping(rule).get("to")
        if not _reaches_http(mapping(rule)):
            continue
        if not isinstance(rule, dict) or not peers:
            yield fail(f"{at}.to", peers, "without 169.254.169.254", part=str(index))
            continue
        for place, peer in enumerate(mappings(peers)):
            block = mapping(peer.get("ipBlock"))
            if _contains(text(block.get("cidr"))) and not any(
                _contains(text(item)) for item in sequence(block.get("except"))
            ):
                yield fail(
                    f"{at}.to[{place}].ipBlock", block, "except 169.254.169.254/32", part=text(block.get("cidr"))
                )


def _reaches_http(rule: dict[str, Any]) -> bool:
    """The metadata service answers on TCP port 80."""
    ports = mappings(rule.get("ports"))
    return not ports or any(
        text(item.get("protocol") or "TCP") == "TCP"
        and (
            item.get("port") is None
            or (number(item.get("port")) or 0) <= 80 <= (number(item.get("endPort")) or number(item.get("port")) or 0)
        )
        for item in ports
    )


def _contains(block: str) -> bool:
    try:
        network = ipaddress.ip_network(block.strip(), strict=False)
    except ValueError:
        return False
    return network.version == 4 and METADATA in network
