"""What an alert says of the event behind it, by type of event: actor, place, entities, and the evidence to keep.

Never bodies: a request may hold secrets. A new type of event registers its own function with `describe.register`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import singledispatch
from typing import Any

from seawall.domain.alerts import Entity, EntityKind
from seawall.domain.audit_events import AuditEvent, CloudActivity, InventoryFact, RegistryEvent
from seawall.domain.identities import actor_entity
from seawall.domain.runtime_events import RuntimeEvent
from seawall.domain.text import printable

_MAX_TEXT = 512
_POD = "authentication.kubernetes.io/pod-name"
_NODE = "authentication.kubernetes.io/node-name"
_NODE_USER = "system:node:"
_CREDENTIAL = "authentication.kubernetes.io/credential-id"


@dataclass(frozen=True, slots=True)
class Description:
    """The common fields of an event. `key` is what repeats fold on when the rule does not say."""

    id: str
    source: str
    time: datetime | None
    cluster: str = ""
    namespace: str = ""
    actor: str = ""
    source_ip: str = ""
    key: str = ""
    event_id: str = ""
    """What evidence names: the audit id itself, where there is one."""
    entities: tuple[Entity, ...] = ()
    raw: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    file: str = ""
    index: int = 0


def short(text: str, limit: int = _MAX_TEXT) -> str:
    """Return `text` without control characters, cut to `limit`."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return printable(text)


@singledispatch
def describe(event: Any) -> Description:
    """Return what is common to alerts on `event`."""
    return Description(id=str(getattr(event, "id", "")), source="event", time=getattr(event, "time", None))


@describe.register
def _(event: AuditEvent) -> Description:
    cluster, actor, namespace, name = event.cluster, short(event.actor), short(event.namespace), short(event.name)
    resource = event.resource
    entities = [actor_entity(actor, cluster)] if actor else []
    if actor.startswith(_NODE_USER):
        entities.append(Entity(EntityKind.NODE, actor.removeprefix(_NODE_USER), cluster))
    if event.impersonated is not None and event.impersonated.username:
        entities.append(actor_entity(short(event.impersonated.username), cluster))
    ip = short(event.source_ip, 60)
    if ip:
        entities.append(Entity(EntityKind.IP, ip))
    if cluster:
        entities.append(Entity(EntityKind.CLUSTER, cluster))
    if namespace:
        entities.append(Entity(EntityKind.NAMESPACE, namespace, cluster))
    entities.extend(_object_entities(event, resource, namespace, name))
    extra = event.extra
    for key, kind in ((_CREDENTIAL, EntityKind.CREDENTIAL), (_POD, EntityKind.POD), (_NODE, EntityKind.NODE)):
        value = _first(extra.get(key))
        if value:
            home = actor.split(":")[2] if kind is EntityKind.POD and actor.count(":") == 3 else ""
            entities.append(Entity(kind, f"{home}/{value}" if home else value, cluster))
    arn = _first(extra.get("canonicalArn")) or _first(extra.get("arn"))
    if arn:
        entities.append(Entity(EntityKind.CLOUD_IDENTITY, arn))
    if access_key := _first(extra.get("accessKeyId")):
        entities.append(Entity(EntityKind.CREDENTIAL, access_key))
    return Description(
        id=event.id,
        source="audit",
        time=event.time,
        cluster=cluster,
        namespace=namespace,
        actor=actor,
        source_ip=ip,
        key=f"{actor}|{resource}|{namespace}|{name}",
        event_id=event.audit_id or event.event_id or event.id,
        entities=tuple(dict.fromkeys(entities)),
        raw={
            "verb": short(event.verb or ""), "resource": short(resource), "namespace": namespace, "name": name,
            "user": actor, "groups": [short(str(group), 128) for group in event.groups[:16]],
            "impersonated": short((event.impersonated and event.impersonated.username) or ""),
            "source_ips": [short(str(address), 60) for address in (event.source_ips or ())[:8]],
            "user_agent": short(event.agent), "uri": short(event.uri, 1024), "code": event.code,
                    },
        context={"platform": event.platform} if event.platform else {},
        file=event.file,
        index=event.index,
    )  # fmt: skip


def _object_entities(event: AuditEvent, resource: str, namespace: str, name: str) -> list[Entity]:
    if not name:
        return []
    base = resource.partition("/")[0]
    cluster = event.cluster
    if base == "pods":
        return [Entity(EntityKind.POD, f"{namespace}/{name}", cluster)]
    if base == "nodes":
        return [Entity(EntityKind.NODE, name, cluster)]
    if base == "serviceaccounts":
        return [Entity(EntityKind.SERVICE_ACCOUNT, f"{namespace}/{name}", cluster)]
    if base in ("deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs"):
        return [Entity(EntityKind.WORKLOAD, f"{namespace}/{name}", cluster)]
    if base == "namespaces":
        return []
    return [Entity(EntityKind.RESOURCE, "/".join(part for part in (base, namespace, name) if part), cluster)]


def _first(value: Any) -> str:
    if isinstance(value, list) and value:
        value = value[0]
    return short(value) if isinstance(value, str) else ""


@describe.register
def _(event: CloudActivity) -> Description:
    entities = [Entity(EntityKind.CLOUD_IDENTITY, event.actor)] if event.actor else []
    if event.source_ip:
        entities.append(Entity(EntityKind.IP, event.source_ip))
    if event.cluster:
        entities.append(Entity(EntityKind.CLUSTER, event.cluster))
    elif event.resource:
        entities.append(Entity(EntityKind.RESOURCE, event.resource, event.account))
    return Description(
        id=event.id,
        source="cloud",
        time=event.time,
        cluster=event.cluster,
        actor=event.actor,
        source_ip=event.source_ip,
        key=f"{event.actor}|{event.operation}|{event.resource}",
        event_id=event.event_id,
        entities=tuple(entities),
        raw={
            "operation": event.operation, "account": event.account, "resource": event.resource,
            "outcome": event.outcome, "user_agent": event.user_agent,
        },
        context={"provider": event.provider, "account": event.account},
        file=event.file,
        index=event.index,
    )  # fmt: skip


@describe.register
def _(event: RegistryEvent) -> Description:
    repository = f"{event.registry}/{event.repository}"
    entities = [Entity(EntityKind.REGISTRY, event.registry)]
    if event.repository:
        entities.append(Entity(EntityKind.IMAGE, event.digest or repository))
    if event.actor:
        entities.append(Entity(EntityKind.CLOUD_IDENTITY, event.actor))
    if event.source_ip:
        entities.append(Entity(EntityKind.IP, event.source_ip))
    return Description(
        id=event.id,
        source="registry",
        time=event.time,
        cluster=event.cluster,
        actor=event.actor,
        source_ip=event.source_ip,
        key=f"{event.actor}|{repository}|{event.tag}",
        event_id=event.event_id,
        entities=tuple(entities),
        raw={
            "action": event.action, "registry": event.registry, "repository": event.repository, "tag": event.tag,
            "digest": event.digest,
        },
        context={"image": f"{repository}:{event.tag}" if event.tag else repository, "digest": event.digest},
        file=event.file,
        index=event.index,
    )  # fmt: skip


@describe.register
def _(event: InventoryFact) -> Description:
    entities = [Entity(EntityKind.CLUSTER, event.cluster)] if event.cluster else []
    if event.namespace:
        entities.append(Entity(EntityKind.NAMESPACE, event.namespace, event.cluster))
    if event.name:
        entities.append(Entity(EntityKind.RESOURCE, f"{event.namespace}/{event.name}", event.cluster))
    return Description(
        id=event.id,
        source="inventory",
        time=event.time,
        cluster=event.cluster,
        namespace=event.namespace,
        actor=event.actor,
        source_ip=event.source_ip,
        key=f"{event.kind}|{event.namespace}|{event.name}",
        event_id=event.event_id,
        entities=tuple(entities),
        raw={"kind": event.kind, **event.facts},
        file=event.file,
        index=event.index,
    )


@describe.register
def _(event: RuntimeEvent) -> Description:
    container, process, cluster = event.container, event.process, event.cluster
    entities = [Entity(EntityKind.CLUSTER, cluster)] if cluster else []
    context: dict[str, Any] = {
        "process": {
            "exe": process.exe, "args": list(process.args), "pid": process.pid, "uid": process.uid,
            "ancestors": [{"exe": item.exe, "args": list(item.args), "pid": item.pid} for item in process.ancestors],
        }
    }  # fmt: skip
    namespace = ""
    if event.node:
        entities.append(Entity(EntityKind.NODE, event.node, cluster))
    if container is not None:
        namespace = container.namespace
        entities.append(Entity(EntityKind.CONTAINER, container.id, cluster))
        if container.pod:
            entities.append(Entity(EntityKind.POD, f"{namespace}/{container.pod}", cluster))
        if container.owner:
            entities.append(Entity(EntityKind.WORKLOAD, f"{namespace}/{container.owner.rpartition('/')[2]}", cluster))
        if namespace:
            entities.append(Entity(EntityKind.NAMESPACE, namespace, cluster))
        if container.image:
            entities.append(Entity(EntityKind.IMAGE, container.image))
        context |= {
            "container": {"id": container.id, "name": container.name, "image": container.image},
            "pod": container.pod,
            "image": container.image,
            "image_digest": container.image_digest,
            "owner": container.owner,
        }
    return Description(
        id=f"{event.node}:{event.id}",
        source="runtime",
        time=event.ts,
        cluster=cluster,
        namespace=namespace,
        key=f"{event.workload}|{process.exe}",
        event_id=event.id,
        entities=tuple(entities),
        raw={"exe": process.exe, "args": list(process.args)[:32], "uid": process.uid, "node": event.node},
        context=context,
    )
