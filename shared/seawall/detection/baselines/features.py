"""What is learnt from an event: features of the identity, the namespace, the workload or the repository.

| family | subject | value |
|--|--|--|
| active | identity, workload, repository | (nothing: the days on which there was anything at all) |
| operation | identity | verb, resource, namespace |
| action | identity, and `*` per kind of identity (its peers) | kind of verb (read, write, delete, …), resource |
| namespace | identity | namespace |
| network | identity, and `*` | provider or address range (/16, IPv6 /32); `private` |
| agent | identity | product of the user agent, without version |
| impersonation | identity | user or group that it acted as |
| hour | identity | weekend or not, hour of the day (UTC) |
| exec | identity | namespace; first word of the command |
| registry | namespace, and `*` | registry host; registry and repository |
| image | workload | repository |
| system-image | namespace of the platform | repository |
| static-pod | `*` | name of the mirror pod without its node |
| scale | workload | power of two of the replicas |
| grant | service account, and `*` | role |
| token | identity | service account whose token was asked for |
| secret | identity | namespace and name (`*` for a list); with agent; with network |
| cloud-operation, cloud-network | principal | operation; address range |
| push, push-network | repository | who; address range |
| pull-bucket | identity | repository, in one of 64 buckets: enough to count different ones a day |
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from seawall.domain.audit_events import AuditEvent, CloudActivity, RegistryEvent
from seawall.domain.identities import SHARED_IDENTITIES

EVERYBODY = "*"
"""The subject of features that belong to the whole cluster, account or registry."""
MAX_VALUE = 300
"""Longest text (characters) of a value or subject; what is longer is cut, so hostile names cost little."""
MAX_IMAGES = 32
BUCKETS = 64
FLEET = "fleet"
"""The scope of what is compared across clusters."""
FLEET_FAMILIES = frozenset({"grant"})

WORKLOADS = frozenset(
    {"pods", "deployments", "daemonsets", "statefulsets", "replicasets", "replicationcontrollers", "jobs", "cronjobs"}
)
BINDINGS = frozenset({"rolebindings", "clusterrolebindings"})
WRITES = frozenset({"create", "update", "patch"})
_KINDS = {
    "get": "read", "list": "read", "watch": "read", "create": "write", "update": "write", "patch": "write",
    "deletecollection": "delete",
}  # fmt: skip
_DETAILED = WORKLOADS | BINDINGS | {"secrets"}
_PRODUCT = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,63}")
_VERSION = re.compile(r"[0-9].*")


class Feature(NamedTuple):
    """One thing that can be learnt."""

    family: str
    subject: str
    value: str


def scope_of(event: Any) -> str:
    """Return whose baseline the event belongs to: a cluster, an account or a registry."""
    if isinstance(event, AuditEvent):
        return f"cluster:{event.cluster}"
    if isinstance(event, CloudActivity):
        return f"account:{event.provider}:{event.account}"
    if isinstance(event, RegistryEvent):
        return f"registry:{event.registry}"
    return ""


def features_of(event: Any) -> tuple[Feature, ...]:
    """Return every feature of the event; of one that is refused, failed or of no learnable identity, none."""
    if isinstance(event, AuditEvent):
        return tuple(_audit(event)) if learnable(event) else _of_node(event)
    if isinstance(event, CloudActivity):
        return tuple(_cloud(event)) if event.actor and event.outcome == "allowed" else ()
    if isinstance(event, RegistryEvent):
        return tuple(_registry(event)) if event.repository else ()
    return ()


def learnable(event: AuditEvent) -> bool:
    """True for an answered, allowed call by a person or a service account.

    Nodes, the control plane's own users and its controllers do the same everywhere: rules judge them, not habits. What
    a controller creates was written by somebody else, whose event is the one to learn from.
    """
    actor = event.actor
    if not actor or event.stage == "RequestReceived" or event.code >= 400 or actor in SHARED_IDENTITIES:
        return False
    return not actor.startswith("system:") or actor.startswith("system:serviceaccount:")


def _of_node(event: AuditEvent) -> tuple[Feature, ...]:
    """Return what a kubelet's call teaches: the static pods that run on nodes, nothing of its own."""
    if event.verb != "create" or event.resource != "pods" or not event.actor.startswith("system:node:"):
        return ()
    static = mirror_pod(event) if event.stage != "RequestReceived" and event.code < 400 else ""
    return (Feature("static-pod", EVERYBODY, static),) if static else ()


def has_details(event: AuditEvent) -> bool:
    """True when the event's features depend on its body or the object's name, so that its shape does not tell them."""
    ref = event.object_ref
    if event.impersonated is not None:
        return True
    return ref is not None and (
        (ref.resource in _DETAILED and (event.verb in WRITES or ref.resource == "secrets"))
        or ref.subresource in ("exec", "attach", "token", "scale")
    )


def operation(event: AuditEvent) -> str:
    """Return `verb resource namespace`."""
    return cut(f"{event.verb or ''} {event.resource} {event.namespace}")


def action(event: AuditEvent) -> str:
    """Return the kind of verb and the resource: `read pods`, `write secrets`, `delete pods`."""
    verb = event.verb or ""
    return cut(f"{_KINDS.get(verb, verb)} {event.resource}")


def peers_of(actor: str) -> str:
    """Return the subject that stands for all identities of the actor's kind."""
    return f"{EVERYBODY}service accounts" if actor.startswith("system:serviceaccount:") else f"{EVERYBODY}users"


def cut(text: str) -> str:
    """Return `text`, at most `MAX_VALUE` long."""
    return text if len(text) <= MAX_VALUE else text[:MAX_VALUE]


def bucket_of(text: str) -> str:
    """Return which of `BUCKETS` buckets a text falls into, as a value."""
    return str(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=2).digest()[0] % BUCKETS)


@lru_cache(maxsize=16_384)
def network_of(address: str) -> str:
    """Return the range that an address counts as: `private`, an IPv4 /16, an IPv6 /32, or empty for no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    if not parsed.is_global:
        return "private"
    return str(ipaddress.ip_network((parsed, 16 if parsed.version == 4 else 32), strict=False))


@lru_cache(maxsize=16_384)
def agent_of(text: str) -> str:
    """Return the product of a user agent without its version: `kubectl`, `helm`, `python-requests`, or empty."""
    found = _PRODUCT.match(text.strip())
    return _VERSION.sub("", found.group().rpartition("/")[2] or found.group()).rstrip("-_.") if found else ""


@lru_cache(maxsize=16_384)
def repository_of(image: str) -> tuple[str, str]:
    """Return (registry host, registry/repository) of an image reference, Docker Hub's short forms written out."""
    name = image.partition("@")[0]
    head, slash, rest = name.partition("/")
    if not slash or not ("." in head or ":" in head or head == "localhost"):
        head, rest = "docker.io", name if slash else f"library/{name}"
    return cut(head.lower()), cut(f"{head}/{rest.partition(':')[0]}".lower())


def images_in(body: Any) -> tuple[str, ...]:
    """Return the images that the pod spec in a request body names, of all kinds of containers; at most `MAX_IMAGES`."""
    spec = pod_spec(body)
    found: dict[str, None] = {}
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        containers = spec.get(kind)
        for container in containers if isinstance(containers, list) else ():
            image = container.get("image") if isinstance(container, dict) else None
            if isinstance(image, str) and image:
                found[image[:1000]] = None
    return tuple(found)[:MAX_IMAGES]


def pod_spec(body: Any) -> dict[str, Any]:
    """Return the pod spec of a pod, of a workload's template or of a cron job, empty when there is none."""
    for path in (("spec", "jobTemplate", "spec", "template", "spec"), ("spec", "template", "spec"), ("spec",)):
        value = body
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, dict):
            return value
    return {}


def workload_of(event: AuditEvent) -> str:
    """Return `namespace/resource/name` of the object."""
    resource = event.resource.partition("/")[0]
    return cut(f"{event.namespace}/{resource}/{event.name}")


def command_of(event: AuditEvent) -> str:
    """Return the first word of the command of an exec, as the request URI says it, or empty."""
    for name, value in parse_qsl(urlsplit(event.uri[:20_000]).query, max_num_fields=200):
        if name == "command":
            return cut(value.rpartition("/")[2])
    return ""


def replicas_in(event: AuditEvent) -> int:
    """Return the replicas that the request asks for, 0 when it says none."""
    body = event.request_body
    spec = body.get("spec") if isinstance(body, dict) else None
    replicas = spec.get("replicas") if isinstance(spec, dict) else None
    return replicas if isinstance(replicas, int) and not isinstance(replicas, bool) and replicas > 0 else 0


def granted(event: AuditEvent) -> tuple[str, tuple[str, ...]]:
    """Return (role as `kind/name`, service accounts as `namespace/name`) of a binding that is written."""
    body = event.request_body
    if not isinstance(body, dict):
        return "", ()
    ref, subjects = body.get("roleRef"), body.get("subjects")
    if not isinstance(ref, dict) or not isinstance(subjects, list):
        return "", ()
    found = [
        cut(f"{subject.get('namespace') or event.namespace}/{subject.get('name')}")
        for subject in subjects[:64]
        if isinstance(subject, dict) and subject.get("kind") == "ServiceAccount"
    ]
    return cut(f"{ref.get('kind')}/{ref.get('name')}"), tuple(found)


def mirror_pod(event: AuditEvent) -> str:
    """Return the name of the static pod behind a mirror pod that is created, without its node, or empty."""
    body = event.request_body
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if event.resource != "pods" or event.verb != "create" or not isinstance(metadata, dict):
        return ""
    annotations = metadata.get("annotations")
    if not isinstance(annotations, dict) or "kubernetes.io/config.mirror" not in annotations:
        return ""
    node = pod_spec(body).get("nodeName")
    return cut(event.name.removesuffix(f"-{node}") if isinstance(node, str) else event.name)


def _audit(event: AuditEvent) -> Iterator[Feature]:
    actor, namespace = cut(event.actor), cut(event.namespace)
    does = action(event)
    yield Feature("active", actor, "")
    yield Feature("operation", actor, operation(event))
    yield Feature("action", actor, does)
    yield Feature("action", peers_of(actor), does)
    if namespace:
        yield Feature("namespace", actor, namespace)
    network, agent = network_of(event.source_ip), agent_of(event.agent)
    if network:
        yield Feature("network", actor, network)
        yield Feature("network", EVERYBODY, network)
    if agent:
        yield Feature("agent", actor, agent)
    if (ts := event.time) is not None:
        yield Feature("hour", actor, hour_of(ts))
    if event.impersonated is not None:
        yield Feature("impersonation", actor, cut(event.effective_user))
    if has_details(event):
        yield from _details(event, actor, namespace, network, agent)


def hour_of(ts: Any) -> str:
    """Return `weekday 14` or `weekend 02`."""
    return f"{'weekend' if ts.weekday() >= 5 else 'weekday'} {ts.hour:02}"


def _details(event: AuditEvent, actor: str, namespace: str, network: str, agent: str) -> Iterator[Feature]:
    ref = event.object_ref
    if ref is None:
        return
    resource, subresource = ref.resource or "", ref.subresource or ""
    if subresource in ("exec", "attach"):
        yield Feature("exec", actor, namespace)
        yield Feature("exec", actor, f"command {command_of(event)}")
    elif subresource == "token":
        yield Feature("token", actor, cut(f"{namespace}/{event.name}"))
    elif resource == "secrets" and event.verb in ("get", "list", "watch"):
        yield Feature("secret", actor, cut(f"{namespace}/{(ref.name or '') if event.verb == 'get' else EVERYBODY}"))
        yield Feature("secret", actor, f"agent {agent}")
        yield Feature("secret", actor, f"network {network}")
    elif resource in BINDINGS:
        role, accounts = granted(event)
        for account in accounts:
            yield Feature("grant", account, role)
            yield Feature("grant", account.rpartition("/")[2], role)
    elif resource in WORKLOADS:
        yield from _workload(event, namespace)


def _workload(event: AuditEvent, namespace: str) -> Iterator[Feature]:
    workload = workload_of(event)
    yield Feature("active", workload, "")
    for image in images_in(event.request_body):
        registry, repository = repository_of(image)
        yield Feature("registry", namespace, registry)
        yield Feature("registry", EVERYBODY, registry)
        yield Feature("registry", EVERYBODY, repository)
        yield Feature("image", workload, repository)
        yield Feature("system-image", namespace, repository)
    if replicas := replicas_in(event):
        yield Feature("scale", workload, str(replicas.bit_length()))
    if static := mirror_pod(event):
        yield Feature("static-pod", EVERYBODY, static)


def _cloud(event: CloudActivity) -> Iterator[Feature]:
    actor = cut(event.actor)
    yield Feature("active", actor, "")
    yield Feature("cloud-operation", actor, cut(event.operation))
    if network := network_of(event.source_ip):
        yield Feature("cloud-network", actor, network)


def _registry(event: RegistryEvent) -> Iterator[Feature]:
    repository, actor = cut(event.repository), cut(event.actor)
    network = network_of(event.source_ip)
    if actor:
        yield Feature("active", actor, "")
    if event.action in ("push", "tag"):
        yield Feature("active", repository, "")
        yield Feature("push", repository, actor)
        if network:
            yield Feature("push-network", repository, network)
    elif event.action == "pull" and actor:
        yield Feature("pull-bucket", actor, bucket_of(repository))
