"""Which alerts belong together. A function of the set of alerts: order, batches and repeats change nothing.

Two alerts join when they share an entity and lie within the window of each other. What an entity is worth depends on
its kind:

| entity | joins |
|--|--|
| user, service account, cloud identity, credential, workload, pod, container, process | always; platform identities and the anonymous caller never |
| address, domain, object (a secret, a binding) | as long as at most `shared_after` different owners (actors, else workloads) use it within one window; after that it is a shared gateway and joins nothing |
| node | what follows an escape to it, or an alert about the node itself, at medium or above |
| image | what follows an alert about the image (registry event, implanted or malicious image) |
| namespace | what follows a weakening of the namespace's own protection, at medium or above |
| cluster, registry, file | never |

What somebody did that is worth less than medium (a shell in a pod, a denied call) joins over who did it; over what it
touched it joins only alerts that are worth more, since colleagues touch the same pods every day.

So a namespace or a node that unrelated actors share does not glue their alerts.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum
from functools import lru_cache

from seawall.domain.alerts import Alert, Entity, EntityKind
from seawall.domain.identities import actor_entity, canonical, is_shared
from seawall.domain.severity import Severity


@dataclass(frozen=True, slots=True)
class Joining:
    """The figures of the joining rules."""

    window: timedelta = timedelta(hours=24)
    """Two alerts further apart than this do not join directly."""
    max_span: timedelta = timedelta(days=7)
    """A chain of alerts longer than this is cut, so that nothing grows for ever."""
    shared_after: int = 5
    """An address, domain or object with more owners than this within one window joins nothing."""


class Role(IntEnum):
    """How an alert stands to an entity that it touches."""

    OWN = 0
    """Always joins."""
    RARE = 1
    """Joins while few share it."""
    OPENS = 2
    """Makes the whole entity suspect from now on."""
    FOLLOWS = 3
    """Joins an alert that opened the entity before."""
    WEAK = 4
    """Joins alerts that own the entity, before or after; two weak ones do not join each other."""


Link = tuple[Entity, Role]

_OWN = frozenset(
    {
        EntityKind.USER,
        EntityKind.SERVICE_ACCOUNT,
        EntityKind.CLOUD_IDENTITY,
        EntityKind.CREDENTIAL,
        EntityKind.WORKLOAD,
        EntityKind.POD,
        EntityKind.CONTAINER,
    }
)
_RARE = frozenset({EntityKind.IP, EntityKind.DOMAIN, EntityKind.RESOURCE})
_RUNS = (EntityKind.WORKLOAD, EntityKind.POD, EntityKind.CONTAINER)
_PER_CLUSTER = frozenset(
    {*_RUNS, EntityKind.NAMESPACE, EntityKind.NODE, EntityKind.SERVICE_ACCOUNT, EntityKind.RESOURCE, EntityKind.PROCESS}
)
_LOCAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip
"""Addresses that mean another machine in every network (RFC 1918, 3927, 4193, 4291, 6598)."""
_IMAGE_TECHNIQUES = frozenset({"T1525", "T1195", "T1195.001", "T1195.002", "T1204.003", "T1612"})


def entities_of(alert: Alert) -> tuple[Entity, ...]:
    """Return what the alert is about, actor and source address included, each named the one way; sorted, no repeats."""
    found = {_scoped(canonical(entity), alert.cluster) for entity in alert.entities if entity.id}
    if alert.actor:
        found.add(actor_entity(alert.actor, alert.cluster))
    if alert.source_ip:
        found.add(_scoped(Entity(EntityKind.IP, alert.source_ip), alert.cluster))
    if alert.namespace:
        found.add(Entity(EntityKind.NAMESPACE, alert.namespace, alert.cluster))
    return tuple(sorted(found, key=lambda entity: (entity.kind, entity.scope, entity.id)))


def owner_of(alert: Alert) -> Entity:
    """Return who stands behind the alert: its actor, or what ran when the actor is a platform identity or unknown."""
    if alert.actor and not is_shared(owner := actor_entity(alert.actor, alert.cluster)):
        return owner
    by_kind = {entity.kind: entity for entity in reversed(entities_of(alert))}
    for kind in _RUNS:
        if kind in by_kind:
            return by_kind[kind]
    return actor_entity(alert.actor or alert.id, alert.cluster)


def links_of(alert: Alert) -> tuple[Link, ...]:
    """Return the entities that the alert can join over and how; the order is fixed."""
    entities = entities_of(alert)
    kinds = {entity.kind for entity in entities}
    actor = actor_entity(alert.actor, alert.cluster) if alert.actor else None
    weak = alert.severity < Severity.MEDIUM and actor is not None and not is_shared(actor)
    found = []
    for entity in entities:
        role = _role(alert, entity, kinds)
        if weak and role in (Role.OWN, Role.RARE) and entity != actor and entity.kind is not EntityKind.CREDENTIAL:
            role = Role.WEAK
        if role is not None:
            found.append((entity, role))
    return tuple(found)


def _role(alert: Alert, entity: Entity, kinds: set[EntityKind]) -> Role | None:
    kind = entity.kind
    if kind in _OWN:
        return None if is_shared(entity) else Role.OWN
    if kind is EntityKind.PROCESS:
        return Role.OWN if entity.scope else None
    if kind in _RARE:
        return None if kind is EntityKind.IP and _says_nothing(entity.id) else Role.RARE
    runs = not kinds.isdisjoint(_RUNS)
    grave = alert.severity >= Severity.MEDIUM
    if kind is EntityKind.IMAGE:
        about_image = alert.source == "registry" or not _IMAGE_TECHNIQUES.isdisjoint(alert.attack)
        return Role.OPENS if about_image else Role.FOLLOWS
    if kind is EntityKind.NODE and grave:
        return Role.OPENS if "T1611" in alert.attack or not runs else Role.FOLLOWS
    if kind is EntityKind.NAMESPACE and grave:
        weakened = not runs and any(technique.startswith("T1562") for technique in alert.attack)
        return Role.OPENS if weakened else Role.FOLLOWS
    return None


def groups(
    alerts: Collection[Alert], joining: Joining, *, shared: Collection[tuple[Entity, int]] = ()
) -> list[list[Alert]]:
    """Return the alerts in groups that belong together, each oldest first; groups ordered by their first alert.

    `shared` names (entity, window number) pairs that are known to have too many owners, for callers that did not load
    every alert of a busy address.
    """
    ordered = sorted(alerts, key=_age)
    links = [links_of(alert) for alert in ordered]
    busy = _busy(ordered, links, joining) | set(shared)
    whole = _connected(range(len(ordered)), ordered, links, busy, joining)
    parts = [part for group in whole for part in _cut(group, ordered, links, busy, joining)]
    parts.sort(key=lambda part: part[0])
    return [[ordered[index] for index in part] for part in parts]


def window_number(ts: datetime, joining: Joining) -> int:
    """Return the number of the fixed window that `ts` lies in: windows of `joining.window` counted from 1970 in UTC."""
    return int(ts.timestamp() // joining.window.total_seconds())


def _age(alert: Alert) -> tuple[datetime, str]:
    return alert.first_seen, alert.id


def _busy(ordered: Sequence[Alert], links: Sequence[tuple[Link, ...]], joining: Joining) -> set[tuple[Entity, int]]:
    owners: dict[tuple[Entity, int], set[Entity]] = defaultdict(set)
    for alert, own_links in zip(ordered, links, strict=True):
        rare = [
            entity for entity, role in own_links if role is Role.RARE or (role is Role.WEAK and entity.kind in _RARE)
        ]
        if rare:
            number, owner = window_number(alert.first_seen, joining), owner_of(alert)
            for entity in rare:
                owners[entity, number].add(owner)
    return {key for key, found in owners.items() if len(found) > joining.shared_after}


def _connected(
    indexes: Iterable[int],
    ordered: Sequence[Alert],
    links: Sequence[tuple[Link, ...]],
    busy: set[tuple[Entity, int]],
    joining: Joining,
) -> list[list[int]]:
    parent: dict[int, int] = {}

    def find(index: int) -> int:
        root = index
        while parent[root] != root:
            root = parent[root]
        while parent[index] != root:
            parent[index], index = root, parent[index]
        return root

    # Per entity: when the alerts that can still be joined ended, and one of them. Alerts come oldest first.
    last: dict[Entity, tuple[datetime, int]] = {}
    waiting: dict[Entity, list[int]] = defaultdict(list)
    for index in indexes:
        alert = ordered[index]
        parent[index] = index
        for entity, role in links[index]:
            if (role is Role.RARE or (role is Role.WEAK and entity.kind in _RARE)) and (
                entity,
                window_number(alert.first_seen, joining),
            ) in busy:
                continue
            before = last.get(entity)
            if role is Role.WEAK:
                if before is not None and alert.first_seen - before[0] <= joining.window:
                    parent[find(index)] = find(before[1])
                else:
                    waiting[entity].append(index)
                continue
            if role is not Role.FOLLOWS:
                for weak in waiting.pop(entity, ()):
                    if alert.first_seen - ordered[weak].last_seen <= joining.window:
                        parent[find(weak)] = find(index)
            if before is not None and alert.first_seen - before[0] <= joining.window:
                parent[find(index)] = find(before[1])
                if role is not Role.FOLLOWS:
                    last[entity] = max(before[0], alert.last_seen), index
            elif role is not Role.FOLLOWS:
                last[entity] = alert.last_seen, index
    found: dict[int, list[int]] = defaultdict(list)
    for index in parent:
        found[find(index)].append(index)
    return list(found.values())


def _cut(
    group: list[int],
    ordered: Sequence[Alert],
    links: Sequence[tuple[Link, ...]],
    busy: set[tuple[Entity, int]],
    joining: Joining,
) -> Iterator[list[int]]:
    if ordered[group[-1]].first_seen - ordered[group[0]].first_seen < joining.max_span:
        yield group
        return
    rest = group
    while rest:
        end = ordered[rest[0]].first_seen + joining.max_span
        cut = next((at for at, index in enumerate(rest) if ordered[index].first_seen >= end), len(rest))
        yield from _connected(rest[:cut], ordered, links, busy, joining)
        rest = rest[cut:]


def _scoped(entity: Entity, cluster: str) -> Entity:
    if entity.kind is EntityKind.IP:
        return _address(entity, cluster)
    if entity.kind in _PER_CLUSTER and not entity.scope:
        return replace(entity, scope=cluster)
    return entity


def _address(entity: Entity, cluster: str) -> Entity:
    """A public address is the same one everywhere, a private one belongs to its cluster."""
    address = _parsed(entity.id)
    if address is None:
        return entity
    local = any(address in network for network in _LOCAL if network.version == address.version)
    return Entity(EntityKind.IP, str(address), (entity.scope or cluster) if local else "")


def _says_nothing(text: str) -> bool:
    address = _parsed(text)
    return address is None or address.is_loopback or address.is_unspecified or address.is_link_local


@lru_cache(maxsize=65536)
def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
