"""Services and what names them: selectors, ports, backends of ingresses and routes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from seawall.posture.check import Finding, check, fail, not_applicable, unknown
from seawall.posture.checks.ingresses import backends
from seawall.posture.objects import Obj, mapping, mappings, number, selects, sequence, text
from seawall.posture.world import World


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
