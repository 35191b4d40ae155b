"""What a person reads first: title, time line, graph and next steps of a group of alerts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from seawall.domain.alerts import Alert, Entity, EntityKind, EntityLink
from seawall.domain.identities import actor_entity, is_anonymous, is_shared
from seawall.domain.severity import Severity
from seawall.incidents.joining import entities_of
from seawall.incidents.phrases import Phrase

MAX_ACTIONS = 3
MAX_TIMELINE = 200
MAX_ENTITIES = 60
MAX_LINKS = 60
MAX_STEPS = 8
MAX_NAME = 80
"""Longest name (characters) that a title repeats from the events."""

_THINGS = (EntityKind.WORKLOAD, EntityKind.POD, EntityKind.CONTAINER, EntityKind.NODE, EntityKind.IMAGE)
_WORD = {
    EntityKind.SERVICE_ACCOUNT: "Service account",
    EntityKind.CLOUD_IDENTITY: "Cloud identity",
    EntityKind.USER: "User",
    EntityKind.WORKLOAD: "Workload",
    EntityKind.POD: "Pod",
    EntityKind.CONTAINER: "Container",
    EntityKind.NODE: "Node",
    EntityKind.IMAGE: "Image",
}
_TARGETS = frozenset(
    {
        EntityKind.WORKLOAD,
        EntityKind.POD,
        EntityKind.RESOURCE,
        EntityKind.NODE,
        EntityKind.IMAGE,
        EntityKind.REGISTRY,
        EntityKind.DOMAIN,
        EntityKind.USER,
        EntityKind.SERVICE_ACCOUNT,
        EntityKind.CLOUD_IDENTITY,
        EntityKind.CREDENTIAL,
    }
)


def title_of(alerts: Sequence[Alert], phrase: Phrase) -> str:
    """Return one sentence: who did what (the gravest, in the order of time) and where.

    Alerts without an actor of their own (run time, platform controllers) are told of the workload they are about.
    """
    subjects: dict[str, list[Alert]] = {}
    for alert in alerts:
        subjects.setdefault(_subject(alert), []).append(alert)
    ranked = sorted(subjects, key=lambda name: _weight(subjects[name]))
    most = MAX_ACTIONS if len(ranked) == 1 else 2
    parts = [f"{name} {_listed(_actions(subjects[name], phrase, most))}" for name in ranked[:2]]
    parts[1:] = [part[0].lower() + part[1:] for part in parts[1:]]
    more = len(ranked) - 2
    others = f", with {more} other{'s' if more > 1 else ''}" if more > 0 else ""
    return "; ".join(parts) + others + _place(alerts)


def timeline_of(alerts: Sequence[Alert]) -> tuple[tuple[datetime, str], ...]:
    """Return (time, sentence) per alert, oldest first; of a very long incident the first and the last hundred."""
    rows = [(alert.first_seen, _told(alert)) for alert in alerts]
    if len(rows) <= MAX_TIMELINE:
        return tuple(rows)
    half = MAX_TIMELINE // 2
    left_out = len(rows) - 2 * half
    return (*rows[:half], (rows[half][0], f"… {left_out} more alerts …"), *rows[-half:])


def shown_entities(alerts: Sequence[Alert]) -> tuple[Entity, ...]:
    """Return the entities that most alerts touch, at most `MAX_ENTITIES`."""
    counts = Counter(entity for alert in alerts for entity in entities_of(alert))
    ranked = sorted(counts, key=lambda entity: (-counts[entity], entity.kind, entity.scope, entity.id))
    return tuple(ranked[:MAX_ENTITIES])


def links_between(alerts: Sequence[Alert], phrase: Phrase) -> tuple[EntityLink, ...]:
    """Return the edges of the entities' graph that most alerts draw, at most `MAX_LINKS`."""
    counts = Counter(link for alert in alerts for link in _links(alert, phrase))

    def rank(link: EntityLink) -> tuple[int, str, str, str, str, str, str]:
        source, target = link.source, link.target
        return -counts[link], link.kind, source.kind, source.id, source.scope, target.kind, target.id

    return tuple(sorted(counts, key=rank)[:MAX_LINKS])


def next_steps_of(alerts: Sequence[Alert]) -> tuple[str, ...]:
    """Return what to do: contain the identities and workloads first, then the responses of the gravest analytics."""
    steps = [_contain(actor) for actor in _ranked_actors(alerts)[:2]]
    ranked = sorted(alerts, key=lambda alert: (-alert.severity, alert.first_seen, alert.id))
    steps += [alert.response for alert in ranked if alert.response]
    return tuple(dict.fromkeys(steps))[:MAX_STEPS]


def _subject(alert: Alert) -> str:
    if is_anonymous(alert.actor):
        return "An anonymous caller" + (f" from {alert.source_ip}" if alert.source_ip else "")
    actor = actor_entity(alert.actor, alert.cluster) if alert.actor else None
    if actor is not None and not is_shared(actor):
        return _named(actor)
    for kind in _THINGS:
        for entity in entities_of(alert):
            if entity.kind is kind:
                return _named(entity)
    return _named(actor) if actor is not None else f"Cluster `{_short(alert.cluster)}`"


def _named(entity: Entity) -> str:
    name = entity.id
    if entity.kind in (EntityKind.SERVICE_ACCOUNT, EntityKind.WORKLOAD, EntityKind.POD):
        name = name.rpartition("/")[2]
    if entity.kind is EntityKind.CLOUD_IDENTITY:
        name = name.partition("/")[2] or name
    if entity.kind is EntityKind.USER and name.startswith("system:node:"):
        return f"The credential of node `{_short(name.removeprefix('system:node:'))}`"
    return f"{_WORD[entity.kind]} `{_short(name)}`"


def _short(name: str) -> str:
    """A name from an event on one line, without what would break out of its quotes, at most `MAX_NAME` long."""
    clean = "".join(char for char in name if char.isprintable() and char != "`")
    return clean if len(clean) <= MAX_NAME else clean[: MAX_NAME - 1] + "…"


def _weight(alerts: Sequence[Alert]) -> tuple[int, int, datetime, str]:
    worst = max(alert.severity for alert in alerts)
    return -worst, -len({alert.analytic for alert in alerts}), alerts[0].first_seen, alerts[0].id


def _actions(alerts: Sequence[Alert], phrase: Phrase, most: int) -> list[str]:
    """The gravest distinct phrases, told in the order in which they first happened."""
    first: dict[str, Alert] = {}
    worst: dict[str, int] = {}
    for alert in alerts:
        text = phrase(alert)
        first.setdefault(text, alert)
        worst[text] = max(worst.get(text, 0), alert.severity)
    ranked = sorted(first, key=lambda text: (-worst[text], first[text].first_seen, first[text].id))
    # What happens all day says nothing beside what should never happen.
    grave = [text for text in ranked if worst[text] >= Severity.MEDIUM]
    ranked = grave or ranked
    techniques: set[str] = set()
    leading: list[str] = []
    others: list[str] = []
    for text in ranked:
        # Two words for one technique ("read all secrets", "read many secrets") tell less than two steps of an attack.
        technique = first[text].attack[0].partition(".")[0] if first[text].attack else text
        (others if technique in techniques else leading).append(text)
        techniques.add(technique)
    chosen = [*leading, *others][:most]
    return sorted(chosen, key=lambda text: (first[text].first_seen, first[text].id))


def _listed(actions: Sequence[str]) -> str:
    return actions[0] if len(actions) == 1 else f"{', '.join(actions[:-1])} and {actions[-1]}"


def _place(alerts: Sequence[Alert]) -> str:
    namespaces = sorted({alert.namespace for alert in alerts if alert.namespace})
    clusters = sorted({alert.cluster for alert in alerts if alert.cluster})
    if len(namespaces) == 1 and len(clusters) <= 1:
        return f" in {_short(namespaces[0])}"
    if len(clusters) > 1:
        return f" in {len(clusters)} clusters"
    if len(namespaces) > 1:
        return f" across {len(namespaces)} namespaces"
    return f" in cluster {_short(clusters[0])}" if clusters else ""


def _told(alert: Alert) -> str:
    times = f" ({alert.count} times until {alert.last_seen:%Y-%m-%d %H:%M:%S})" if alert.count > 1 else ""
    return f"{alert.message or alert.title}{times}"


def _links(alert: Alert, phrase: Phrase) -> Iterator[EntityLink]:
    entities = entities_of(alert)
    by_kind: dict[EntityKind, Entity] = {}
    for entity in entities:
        by_kind.setdefault(entity.kind, entity)
    actor = actor_entity(alert.actor, alert.cluster) if alert.actor else None
    things = [entity for entity in entities if entity.kind in _TARGETS and entity != actor]
    if actor is not None:
        done = phrase(alert)
        yield from (EntityLink(actor, done, entity) for entity in things)
        if not things and EntityKind.NAMESPACE in by_kind:
            yield EntityLink(actor, done, by_kind[EntityKind.NAMESPACE])
        if alert.source_ip:
            address = next((entity for entity in entities if entity.kind is EntityKind.IP), None)
            if address is not None:
                yield EntityLink(address, "used by", actor)
    runs = by_kind.get(EntityKind.POD) or by_kind.get(EntityKind.WORKLOAD)
    if runs is not None:
        if EntityKind.NODE in by_kind:
            yield EntityLink(runs, "runs on", by_kind[EntityKind.NODE])
        if EntityKind.IMAGE in by_kind:
            yield EntityLink(runs, "runs image", by_kind[EntityKind.IMAGE])
        if EntityKind.DOMAIN in by_kind:
            yield EntityLink(runs, "contacted", by_kind[EntityKind.DOMAIN])
        if EntityKind.PROCESS in by_kind:
            yield EntityLink(runs, "ran", by_kind[EntityKind.PROCESS])


def _ranked_actors(alerts: Sequence[Alert]) -> list[Entity]:
    worst: dict[Entity, tuple[int, datetime, str]] = {}
    for alert in alerts:
        if not alert.actor:
            continue
        actor = actor_entity(alert.actor, alert.cluster)
        if not is_shared(actor):
            rank = (-alert.severity, alert.first_seen, alert.id)
            worst[actor] = min(worst.get(actor, rank), rank)
    return sorted(worst, key=lambda actor: worst[actor])


def _contain(actor: Entity) -> str:
    name = _short(actor.id)
    if actor.kind is EntityKind.SERVICE_ACCOUNT:
        return (
            f"Contain service account `{name}`: remove its bindings, delete its token secrets and restart the pods "
            "that use it so that mounted tokens are replaced."
        )
    if actor.kind is EntityKind.CLOUD_IDENTITY:
        return f"Contain cloud identity `{name}`: revoke its sessions and detach its policies, then rotate its keys."
    if actor.id.startswith("system:node:"):
        node = _short(actor.id.removeprefix("system:node:"))
        return (
            f"Treat node `{node}` as compromised: cordon and drain it, replace it, and revoke its kubelet credential."
        )
    return f"Ask user `{name}` whether this was them; if not, revoke their sessions and credentials and remove their bindings."
