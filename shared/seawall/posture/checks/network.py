"""Who can reach whom: policies, services, ingresses, gateways."""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final
from weakref import WeakKeyDictionary

from seawall.posture.check import Cluster, Finding, check, fail, manual, not_applicable, unknown
from seawall.posture.fields import FieldControl, Op, Rule
from seawall.posture.objects import Obj, mapping, mappings, number, quote, selects, sequence, text
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
INTERNAL: Final = {
    "service.beta.kubernetes.io/azure-load-balancer-internal": "true",
    "service.beta.kubernetes.io/aws-load-balancer-internal": "true",
    "service.beta.kubernetes.io/aws-load-balancer-scheme": "internal",
    "networking.gke.io/load-balancer-type": "internal",
    "cloud.google.com/load-balancer-type": "internal",
    "service.beta.kubernetes.io/openstack-internal-load-balancer": "true",
    "service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type": "private",
    "service.beta.kubernetes.io/oci-load-balancer-internal": "true",
}
"""Annotations by which clouds make a load balancer internal."""

METADATA: Final = ipaddress.ip_address("169.254.169.254")
_SNIPPET: Final = re.compile(r"(?:-snippet|/snippet|server-alias-snippet)$")
_INJECTION: Final = re.compile(
    r"(?i)(\blua_|_by_lua|/etc/passwd|/etc/shadow|kubernetes\.io/serviceaccount|\bload_module\b|(?<![\w-])alias\s|\broot\s+/|/var/run/secrets|\bproxy_pass\b|serviceaccount|[{};]\s*(?:location|server|root|alias)\b|^\s*(?:alias|root)\b)"
)
_VALUE_KEYS: Final = re.compile(
    r"/(auth-url|auth-signin|auth-tls-match-cn|mirror-target|mirror-host|auth-proxy-set-headers|upstream-vhost|proxy-ssl-name)$"
)
_BAD_VALUE: Final = re.compile(r"[|;#\n\r{}`\"]")
"""Characters that end a directive of nginx: values of these annotations are written into its configuration (CVE-2025-1974 and its kin)."""
_BAD_PATH: Final = re.compile(r"(?i)(/etc/|/var/run/|/proc/|/root|\.\.|\balias\b|serviceaccount|_by_lua|[\s;{}])")
DATA_PORTS: Final = {
    3306: "mysql",
    5432: "postgres",
    6379: "redis",
    27017: "mongo",
    9200: "elasticsearch",
    11211: "memcached",
    5984: "couchdb",
    9042: "cassandra",
    8086: "influxdb",
    2379: "etcd",
    5672: "rabbitmq",
    9092: "kafka",
}

TABLE: Final = (
    FieldControl("NW-007", (Rule("spec.type", Op.IS_NOT, "NodePort"),), kinds=("Service",)),
    FieldControl(
        "NW-020",
        (Rule("spec.mtls.mode", Op.NOT_IN, frozenset({"PERMISSIVE", "DISABLE"})),),
        kinds=("PeerAuthentication",),
    ),
)


def policies_for(workload: Workload, world: World) -> list[Obj]:
    """Return the network policies, of whatever kind, that select the pods of a workload."""
    labels = workload.labels
    found = [
        policy
        for policy in world.in_namespace("NetworkPolicy", workload.namespace)
        if selects(_pod_selector(policy), labels) or policy.spec.get("selector") == "all()"
    ]
    if world.of("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"):
        own = [
            *world.in_namespace("CiliumNetworkPolicy", workload.namespace),
            *world.of("CiliumClusterwideNetworkPolicy"),
        ]
        found += [
            policy for policy in own if any(selects(spec.get("endpointSelector"), labels) for spec in specs(policy))
        ]
    found += [
        policy for policy in world.of("GlobalNetworkPolicy") if text(policy.spec.get("selector")) in {"", "all()"}
    ]
    space = world.namespaces.get(workload.namespace, {})
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


def specs(policy: Obj) -> list[dict[str, Any]]:
    """Return the rules of a Cilium policy, which may stand under `spec` or in the list `specs`."""
    return [policy.spec, *mappings(policy.body.get("specs"))]


def _pod_selector(policy: Obj) -> Any:
    """An absent pod selector selects every pod; Calico's policies of the same kind use text, which is judged apart."""
    selector = policy.spec.get("podSelector")
    return {} if selector is None and "selector" not in policy.spec else selector


def directions(policy: Obj) -> set[str]:
    """Return the directions that a NetworkPolicy isolates. Source: NetworkPolicySpec.policyTypes and its default."""
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


def is_internal(service: Obj) -> bool:
    """Whether a cloud makes the service's load balancer internal."""
    notes = service.annotations
    return any(
        text(notes.get(key)).lower() == value or (value == "true" and text(notes.get(key)) == "0.0.0.0/0")
        for key, value in INTERNAL.items()
    )


_EXPOSED: WeakKeyDictionary[World, dict[int, list[Obj]]] = WeakKeyDictionary()


def exposed_by(workload: Workload, world: World) -> list[Obj]:
    """Return what publishes a workload outside the cluster: services, ingresses, routes, Istio gateways' services."""
    if world not in _EXPOSED:
        _EXPOSED[world] = _exposures(world)
    return _EXPOSED[world].get(id(workload), [])


def exposures(world: World) -> list[tuple[Workload, list[Obj]]]:
    """Return every published workload with what publishes it."""
    return [(workload, ways) for workload in world.workloads if (ways := exposed_by(workload, world))]


def _exposures(world: World) -> dict[int, list[Obj]]:
    published: dict[tuple[str, str], list[Obj]] = defaultdict(list)
    for obj in world.of("Ingress"):
        for name, _port, _at in backends(obj):
            published[obj.in_namespace, name].append(obj)
    for obj in world.of("HTTPRoute", "TCPRoute", "TLSRoute", "GRPCRoute", "UDPRoute"):
        for rule in mappings(obj.spec.get("rules")):
            for backend in mappings(rule.get("backendRefs")):
                published[text(backend.get("namespace")) or obj.in_namespace, text(backend.get("name"))].append(obj)
    gateways = bool(world.of("Gateway"))
    for obj in world.of("VirtualService"):
        if gateways and sequence(obj.spec.get("gateways")):
            for rule in [
                *mappings(obj.spec.get("http")),
                *mappings(obj.spec.get("tcp")),
                *mappings(obj.spec.get("tls")),
            ]:
                for route in mappings(rule.get("route")):
                    host = text(mapping(route.get("destination")).get("host")).split(".")
                    published[host[1] if len(host) > 1 else obj.in_namespace, host[0]].append(obj)
    found: dict[int, list[Obj]] = defaultdict(list)
    for service in world.of("Service"):
        ways = list(published.get((service.in_namespace, service.name), ()))
        kind = service.spec.get("type")
        if kind == "NodePort" or (kind == "LoadBalancer" and not is_internal(service)):
            ways.append(service)
        if ways:
            for workload in world.selected(service.in_namespace, mapping(service.spec.get("selector"))):
                found[id(workload)] += ways
    return found


@check("NW-006", on=(Workload, "Service"))
def reachable(subject: Workload | Obj, world: World) -> Iterator[Finding]:
    """Services, ingresses and routes that lead from outside to the pods. A fact for attack paths."""
    if isinstance(subject, Workload):
        seen: set[int] = set()
        for way in exposed_by(subject, world):
            if id(way) not in seen:
                seen.add(id(way))
                yield fail("", f"{way.kind}/{way.name}", "meant to be published", part=f"{way.kind}/{way.name}")
    elif text(subject.spec.get("type")) in {"NodePort", "LoadBalancer"} and not is_internal(subject):
        yield fail("spec.type", subject.spec.get("type"), "meant to be published")


@check("NW-008", on="Service")
def public_balancer(obj: Obj, _: World) -> Iterator[Finding]:
    """Load balancers without the provider's internal annotation and without `loadBalancerSourceRanges`."""
    if obj.spec.get("type") != "LoadBalancer":
        yield not_applicable("no load balancer")
        return
    ranges = [text(item) for item in sequence(obj.spec.get("loadBalancerSourceRanges"))]
    if not is_internal(obj) and (not ranges or any(item in {"0.0.0.0/0", "::/0"} for item in ranges)):
        yield fail(
            "spec.loadBalancerSourceRanges", ranges or None, "the addresses in use, or an internal load balancer"
        )


@check("NW-009", on="Service", allowed=())
def external_ips(obj: Obj, world: World) -> Iterator[Finding]:
    """`spec.externalIPs` outside the list `allowed`."""
    allowed = world.parameter("NW-009", "allowed", ())
    for index, address in enumerate(sequence(obj.spec.get("externalIPs"))):
        if address not in allowed:
            yield fail(f"spec.externalIPs[{index}]", address, "not set", part=text(address))


@check("NW-010", on="Ingress")
def ingress_tls(obj: Obj, _: World) -> Iterator[Finding]:
    """`spec.tls` covers each host, and plain HTTP is not asked for."""
    entries = mappings(obj.spec.get("tls"))
    if not entries:
        yield fail("spec.tls", obj.spec.get("tls"), "a certificate for each host")
        return
    covered = {text(host).lower() for entry in entries for host in sequence(entry.get("hosts"))}
    for index, rule in enumerate(mappings(obj.spec.get("rules"))):
        host = text(rule.get("host")).lower()
        if host and covered and host not in covered and "*." + host.partition(".")[2] not in covered:
            yield fail(f"spec.rules[{index}].host", host, "named in spec.tls", part=host)
    if text(obj.annotations.get("kubernetes.io/ingress.allow-http")).lower() == "true":
        yield fail('metadata.annotations["kubernetes.io/ingress.allow-http"]', "true", "false")


@check("NW-011", on="Ingress")
def ingress_host(obj: Obj, _: World) -> Iterator[Finding]:
    """Hosts of the rules are named in full."""
    rules = mappings(obj.spec.get("rules"))
    for index, rule in enumerate(rules):
        host = text(rule.get("host"))
        if not host or host.startswith("*"):
            yield fail(f"spec.rules[{index}].host", rule.get("host"), "a name", part=host)
    if not rules and (obj.spec.get("defaultBackend") is not None or obj.spec.get("backend") is not None):
        yield fail("spec.rules", None, "a host", "serves every host")


@check("NW-012", on="Ingress")
def unique_host(obj: Obj, world: World) -> Iterator[Finding]:
    """Host and path of another Ingress; a canary of ingress-nginx shares them on purpose."""
    if world not in _PLACES:
        index: dict[tuple[str, str], list[Obj]] = defaultdict(list)
        for other in world.of("Ingress"):
            if text(other.annotations.get("nginx.ingress.kubernetes.io/canary")) != "true":
                for place in set(_places(other)):
                    index[place].append(other)
        _PLACES[world] = index
    for host, path in set(_places(obj)):
        others = [other for other in _PLACES[world].get((host, path), ()) if other is not obj]
        if host and others and text(obj.annotations.get("nginx.ingress.kubernetes.io/canary")) != "true":
            first = f"{others[0].in_namespace}/{others[0].name}"
            yield fail(
                "spec.rules", f"{host}{path}", "a host of its own", f"also claimed by {first}", f"{first} {host}{path}"
            )


_PLACES: WeakKeyDictionary[World, dict[tuple[str, str], list[Obj]]] = WeakKeyDictionary()


def _places(obj: Obj) -> Iterator[tuple[str, str]]:
    for rule in mappings(obj.spec.get("rules")):
        for path in mappings(mapping(rule.get("http")).get("paths")) or [{}]:
            yield text(rule.get("host")).lower(), text(path.get("path")) or "/"


def backends(obj: Obj) -> Iterator[tuple[str, Any, str]]:
    """Yield service name, port and JSON path of each backend of an Ingress, old form and new."""
    places = [(obj.spec.get("defaultBackend"), "spec.defaultBackend"), (obj.spec.get("backend"), "spec.backend")]
    for index, rule in enumerate(mappings(obj.spec.get("rules"))):
        for place, path in enumerate(mappings(mapping(rule.get("http")).get("paths"))):
            places.append((path.get("backend"), f"spec.rules[{index}].http.paths[{place}].backend"))
    for backend, at in places:
        if isinstance(backend, dict):
            service = mapping(backend.get("service"))
            name = text(service.get("name")) or text(backend.get("serviceName"))
            port = mapping(service.get("port"))
            if name:
                yield name, port.get("number") or port.get("name") or backend.get("servicePort"), at


@check("NW-013", on=("Ingress", "ConfigMap"))
def snippets(obj: Obj, _: World) -> Iterator[Finding]:
    """Snippet annotations, injected directives and dangerous paths of ingress-nginx, and the switch that allows them."""
    if obj.kind == "ConfigMap":
        data = mapping(obj.body.get("data"))
        if (
            "nginx" in obj.name
            or "ingress" in obj.name
            or "nginx" in obj.namespace
            or "allow-snippet-annotations" in data
        ):
            if text(data.get("allow-snippet-annotations")).lower() == "true":
                yield fail("data.allow-snippet-annotations", "true", "false")
        else:
            yield not_applicable("not a configuration of ingress-nginx")
        return
    for key, value in obj.annotations.items():
        if "nginx" not in key:
            continue
        if (
            _SNIPPET.search(key)
            or _INJECTION.search(text(value))
            or (_VALUE_KEYS.search(key) and _BAD_VALUE.search(text(value)))
        ):
            yield fail(f"metadata.annotations{quote(key)}", text(value)[:200], "not set", part=key)
    for index, rule in enumerate(mappings(obj.spec.get("rules"))):
        for place, path in enumerate(mappings(mapping(rule.get("http")).get("paths"))):
            if _BAD_PATH.search(text(path.get("path"))):
                yield fail(
                    f"spec.rules[{index}].http.paths[{place}].path",
                    path.get("path"),
                    "a plain path",
                    part=text(path.get("path")),
                )


@check("NW-014", on=Workload)
def retired_controller(workload: Workload, _: World) -> Iterator[Finding]:
    """Images of the ingress-nginx project, which ended in March 2026."""
    for container in workload.containers:
        repository = container.image.repository
        if (
            repository.endswith(
                ("ingress-nginx/controller", "ingress-nginx/controller-chroot", "nginx-ingress-controller")
            )
            and "bitnami" not in repository
        ):
            yield fail(f"{container.path}.image", container.image.raw, "a maintained controller", part=container.name)


@check("NW-015", on="Service")
def service_backed(obj: Obj, world: World) -> Iterator[Finding]:
    """`spec.selector` selects a workload of the namespace."""
    selector = mapping(obj.spec.get("selector"))
    if not selector or obj.spec.get("type") == "ExternalName":
        yield not_applicable("no selector")
        return
    if "Pod" in world.unread_kinds or "Deployment" in world.unread_kinds:
        yield unknown("workloads could not be listed")
    elif not world.selected(obj.in_namespace, selector):
        yield fail("spec.selector", selector, "labels of a workload")


@check(
    "NW-016",
    on=(
        "Ingress",
        "HorizontalPodAutoscaler",
        "HTTPRoute",
        "TCPRoute",
        "TLSRoute",
        "GRPCRoute",
        "UDPRoute",
        "ServiceMonitor",
        "Service",
        "ReferenceGrant",
    ),
)
def references(obj: Obj, world: World) -> Iterator[Finding]:
    """Backends of ingresses and routes, targets of autoscalers, ports of services and service monitors."""
    if obj.kind == "Ingress":
        for name, port, at in backends(obj):
            yield from _backend(obj, world, obj.in_namespace, name, port, at)
    elif obj.kind == "HorizontalPodAutoscaler":
        target = mapping(obj.spec.get("scaleTargetRef"))
        kind, name = text(target.get("kind")), text(target.get("name"))
        if world.find(kind, obj.in_namespace, name) is None and kind not in world.unread_kinds:
            yield fail("spec.scaleTargetRef", f"{kind}/{name}", "an existing workload")
        elif (found := world.find(kind, obj.in_namespace, name)) is not None and target.get("apiVersion") not in (
            None,
            found.api_version,
        ):
            yield fail("spec.scaleTargetRef.apiVersion", target.get("apiVersion"), found.api_version)
    elif obj.kind == "ServiceMonitor":
        spaces = sequence(mapping(obj.spec.get("namespaceSelector")).get("matchNames"))
        anywhere = mapping(obj.spec.get("namespaceSelector")).get("any") is True
        if not any(
            selects(obj.spec.get("selector"), item.labels)
            and (anywhere or item.in_namespace in (spaces or [obj.in_namespace]))
            for item in world.of("Service")
        ):
            yield fail("spec.selector", obj.spec.get("selector"), "labels of a service")
    elif obj.kind == "Service":
        yield from _target_ports(obj, world)
    elif obj.kind != "ReferenceGrant":
        for index, rule in enumerate(mappings(obj.spec.get("rules"))):
            for place, backend in enumerate(mappings(rule.get("backendRefs"))):
                if text(backend.get("kind")) in {"", "Service"} and text(backend.get("group")) in {"", "core"}:
                    space = text(backend.get("namespace")) or obj.in_namespace
                    yield from _backend(
                        obj,
                        world,
                        space,
                        text(backend.get("name")),
                        backend.get("port"),
                        f"spec.rules[{index}].backendRefs[{place}]",
                    )


def _backend(obj: Obj, world: World, namespace: str, name: str, port: Any, at: str) -> Iterator[Finding]:
    if "Service" in world.unread_kinds:
        yield unknown("services could not be listed", at)
        return
    service = world.find("Service", namespace, name)
    if service is None:
        yield fail(at, f"{namespace}/{name}", "an existing service", part=f"{namespace}/{name}")
        return
    ports = mappings(service.spec.get("ports"))
    if (
        port is not None
        and service.spec.get("type") != "ExternalName"
        and not any(item.get("port") == number(port) or item.get("name") == port for item in ports)
    ):
        yield fail(
            at,
            port,
            [item.get("port") for item in ports],
            f"{obj.kind} names a port that service {name} lacks",
            part=f"{namespace}/{name}:{port}",
        )


def _target_ports(obj: Obj, world: World) -> Iterator[Finding]:
    """A named target port has to be named by a container of the pods."""
    selector = mapping(obj.spec.get("selector"))
    chosen = world.selected(obj.in_namespace, selector)
    for index, item in enumerate(mappings(obj.spec.get("ports"))):
        target = item.get("targetPort")
        if isinstance(target, str) and not target.isdigit():
            if len(target) > 15 or not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", target):
                yield fail(f"spec.ports[{index}].targetPort", target, "a valid port name", part=target)
            elif chosen and not any(
                port.get("name") == target
                for workload in chosen
                for container in workload.containers
                for port in mappings(container.body.get("ports"))
            ):
                yield fail(f"spec.ports[{index}].targetPort", target, "a port of the pods", part=target)


@check("NW-017", on="Service", allowed=())
def approved_ports(obj: Obj, world: World) -> Iterator[Finding]:
    """`ports[*].port` against the list `allowed` of numbers and ranges."""
    allowed = world.parameter("NW-017", "allowed", ())
    if not allowed:
        yield not_applicable("no list of ports is set (parameter allowed)")
        return
    for index, item in enumerate(mappings(obj.spec.get("ports"))):
        port = number(item.get("port"))
        if port is not None and not any(_covers(entry, port) for entry in allowed):
            yield fail(f"spec.ports[{index}].port", port, {"one of": list(allowed)}, part=str(port))


def _covers(entry: object, port: int) -> bool:
    low, _, high = str(entry).partition("-")
    return low.isdigit() and int(low) <= port <= (int(high) if high.isdigit() else int(low))


@check("NW-018", on="Service")
def unique_selector(obj: Obj, world: World) -> Iterator[Finding]:
    """The same selector in another service of the namespace."""
    selector = mapping(obj.spec.get("selector"))
    if not selector:
        yield not_applicable("no selector")
        return
    headless = obj.spec.get("clusterIP") == "None"
    others = [
        other.name
        for other in same_selector(obj, world)
        if other is not obj and (other.spec.get("clusterIP") == "None") is headless
    ]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        yield fail("spec.selector", selector, "a selector of its own", f"also of service {others[0]}{more}")


_SELECTORS: WeakKeyDictionary[World, dict[tuple[str, str], list[Obj]]] = WeakKeyDictionary()


def same_selector(obj: Obj, world: World) -> list[Obj]:
    """Return the services of the namespace with the same selector, itself included."""
    if world not in _SELECTORS:
        found: dict[tuple[str, str], list[Obj]] = defaultdict(list)
        for service in world.of("Service"):
            found[service.in_namespace, str(sorted(mapping(service.spec.get("selector")).items()))].append(service)
        _SELECTORS[world] = found
    return _SELECTORS[world][obj.in_namespace, str(sorted(mapping(obj.spec.get("selector")).items()))]


_CERTIFICATES: Final = (
    "service.beta.kubernetes.io/aws-load-balancer-ssl-cert", "cloud.google.com/app-protocols", "networking.gke.io/managed-certificates",
    "service.beta.kubernetes.io/do-loadbalancer-certificate-id", "service.beta.kubernetes.io/oci-load-balancer-tls-secret",
)  # fmt: skip


@check("NW-019", on="Service")
def balancer_certificate(obj: Obj, world: World) -> Iterator[Finding]:
    """Internet-facing load balancers on AWS, or on port 443, have the provider's certificate annotation."""
    on_aws = any("aws" in key for key in obj.annotations) or world.provider == "eks"
    https = any(number(item.get("port")) == 443 for item in mappings(obj.spec.get("ports")))
    if obj.spec.get("type") != "LoadBalancer" or is_internal(obj) or not (https or on_aws):
        yield not_applicable("no public load balancer with TLS")
    elif not any(obj.annotations.get(key) for key in _CERTIFICATES):
        yield fail(f'metadata.annotations["{_CERTIFICATES[0]}"]', None, "a certificate")


@check("NW-021", on=(Workload, "ServiceScanResult"))
def open_data_store(subject: Workload | Obj, world: World) -> Iterator[Finding]:
    """Data stores that are published, or whose arguments and variables switch authentication off."""
    if isinstance(subject, Obj):
        for index, item in enumerate(mappings(subject.spec.get("ports"))):
            if item.get("authenticated") is False:
                yield fail(
                    f"spec.ports[{index}].authenticated",
                    False,
                    True,
                    f"port {item.get('port')} answers without a password",
                    str(item.get("port")),
                )
        return
    for container in subject.containers:
        name = container.image.repository.rsplit("/", 1)[-1]
        kind = next((word for word in set(DATA_PORTS.values()) if word in name), "")
        if (
            not kind
            or container.is_init
            or any(word in name for word in ("exporter", "operator", "client", "backup", "ui", "commander"))
        ):
            continue
        for field, value, why in _switched_off(container.body):
            yield fail(f"{container.path}.{field}", value, "authentication on", why, container.name)
            break
        else:
            ways = exposed_by(subject, world)
            if (
                ways
                and kind in {"redis", "memcached", "elasticsearch", "mongo", "etcd"}
                and not _has_password(container.body)
            ):
                yield fail(
                    f"{container.path}.env",
                    None,
                    "a password",
                    f"{kind} without a password is published by {ways[0].kind} {ways[0].name}",
                    container.name,
                )


def _switched_off(body: dict[str, Any]) -> Iterator[tuple[str, Any, str]]:
    words = {
        "ALLOW_EMPTY_PASSWORD": ("yes", "true", "1"), "MYSQL_ALLOW_EMPTY_PASSWORD": ("yes", "true", "1"), "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": ("yes", "true", "1"),
        "POSTGRES_HOST_AUTH_METHOD": ("trust",), "xpack.security.enabled": ("false",), "ALLOW_ANONYMOUS_LOGIN": ("yes", "true"), "ALLOW_NONE_AUTHENTICATION": ("yes",),
        "INFLUXDB_HTTP_AUTH_ENABLED": ("false",), "DISABLE_SECURITY_PLUGIN": ("true",),
    }  # fmt: skip
    for index, item in enumerate(mappings(body.get("env"))):
        if text(item.get("value")).lower() in words.get(text(item.get("name")), ()):
            yield f"env[{index}].value", item.get("value"), f"{item.get('name')} lets everyone in"
    for name in ("command", "args"):
        joined = " ".join(str(item) for item in sequence(body.get(name)))
        if re.search(r"--noauth\b|--protected-mode\s+no|--skip-grant-tables|requirepass\s+\"\"", joined):
            yield name, joined[:200], "the arguments switch authentication off"


def _has_password(body: dict[str, Any]) -> bool:
    joined = " ".join(str(item) for name in ("command", "args") for item in sequence(body.get(name)))
    return (
        "requirepass" in joined
        or "--auth" in joined
        or "--client-cert-auth" in joined
        or any(
            re.search(r"(?i)passw|user|xpack.security", text(item.get("name"))) for item in mappings(body.get("env"))
        )
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
