"""Ingresses: certificates, hosts, and annotations that nginx takes as configuration."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final
from weakref import WeakKeyDictionary

from seawall.posture.check import Finding, check, fail, not_applicable
from seawall.posture.objects import Obj, mapping, mappings, quote, sequence, text
from seawall.posture.workloads import Workload
from seawall.posture.world import World

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
