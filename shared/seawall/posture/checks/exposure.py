"""What reaches pods from outside: service types, load balancers, published data stores."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final
from weakref import WeakKeyDictionary

from seawall.posture.check import Finding, check, fail, not_applicable
from seawall.posture.checks.ingresses import backends
from seawall.posture.fields import FieldControl, Op, Rule
from seawall.posture.objects import Obj, mapping, mappings, number, sequence, text
from seawall.posture.workloads import Workload
from seawall.posture.world import World

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
