"""Alerts in, incidents out: the same set of alerts gives the same incidents whatever the order they came in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from seawall.detection.declaration import Detection, Logic
from seawall.domain.alerts import Alert, Entity, Incident
from seawall.domain.attack import tactics_of
from seawall.domain.ids import content_id
from seawall.incidents.grading import grade, is_incident
from seawall.incidents.joining import Joining, Role, groups, links_of, owner_of, window_number
from seawall.incidents.phrases import Phrase, phrases
from seawall.incidents.story import links_between, next_steps_of, shown_entities, timeline_of, title_of

CLOSED, ACTIVE = "closed", "active"


def correlate(
    alerts: Iterable[Alert],
    existing: Iterable[Incident] = (),
    *,
    analytics: Mapping[str, Detection] | None = None,
    joining: Joining | None = None,
    shared: Collection[tuple[Entity, int]] = (),
) -> tuple[Incident, ...]:
    """Return the incidents that `alerts` make, oldest first, followed by those of `existing` that were merged away.

    Everything but `status` and `seq` is a function of the set of alerts. Those two carry over from `existing` (the
    incidents that hold any of the alerts, as stored): `seq` grows by one when an incident changes in a way a reader
    should see (alerts, severity, title, merging), so that the same call again changes nothing; a closed incident that
    gets a new alert is active again. An incident whose alerts now belong to another one says so in `merged_into`.

    Args:
        alerts: every alert of the incidents concerned; repeats of one id count once, the one with the highest count.
        analytics: the declared analytics by id, for titles and to leave test markers out. Test markers never join.
        shared: see `groups`.
    """
    known = analytics or {}
    rules = joining or Joining()
    tell = phrases(known)
    found = _latest(alert for alert in alerts if not _is_test(known.get(alert.analytic)))
    incidents = [_incident(group, rules, tell) for group in groups(found, rules, shared=shared) if is_incident(group)]
    return _carried_over(incidents, tuple(existing))


def _latest(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    found: dict[str, Alert] = {}
    for alert in alerts:
        held = found.get(alert.id)
        if held is None or _progress(alert) > _progress(held):
            found[alert.id] = alert
    return tuple(found.values())


def _progress(alert: Alert) -> tuple[int, object, int, object, str]:
    """Of two states of one folded alert, the one that has seen more; total, so that their order does not matter."""
    return alert.count, alert.last_seen, alert.severity, -alert.first_seen.timestamp(), alert.message


def _is_test(declared: Detection | None) -> bool:
    return declared is not None and declared.logic is Logic.TEST


def _incident(group: Sequence[Alert], joining: Joining, tell: Phrase) -> Incident:
    severity, reasons = grade(group)
    attack = tuple(sorted({technique for alert in group for technique in alert.attack}))
    return Incident(
        id=_id(group[0], joining),
        title=title_of(group, tell),
        severity=severity,
        first_seen=group[0].first_seen,
        last_seen=max(alert.last_seen for alert in group),
        alert_ids=tuple(alert.id for alert in group),
        clusters=tuple(sorted({alert.cluster for alert in group if alert.cluster})),
        actors=tuple(sorted({alert.actor for alert in group if alert.actor})),
        attack=attack,
        entities=shown_entities(group),
        timeline=timeline_of(group),
        next_steps=next_steps_of(group),
        tactics=tactics_of(attack),
        reasons=reasons,
        links=links_between(group, tell),
    )


def _id(first: Alert, joining: Joining) -> str:
    """The id of the incident that begins with `first`: what it always joins over and the window it began in.

    Two incidents cannot share it: alerts with that entity in one window are always in one incident. An alert of the
    same entity that arrives late but happened shortly before `first` therefore does not change the id either.
    """
    own = [entity for entity, role in links_of(first) if role is Role.OWN]
    if not own:
        return content_id("incident", first.id)
    owner = owner_of(first)
    anchor = owner if owner in own else own[0]
    number = window_number(first.first_seen, joining)
    return content_id("incident", anchor.kind, anchor.scope, anchor.id, str(number))


def with_state(incident: Incident, old: Incident | None) -> Incident:
    """Return `incident` with the status and the number of the stored state `old` of the same id.

    The number grows when something changed that a reader should see; a later `last_seen` alone does not count.
    """
    if old is None:
        return replace(incident, seq=1)
    grown = not set(incident.alert_ids) <= set(old.alert_ids)
    status = ACTIVE if old.status == CLOSED and grown and not incident.merged_into else old.status
    return replace(
        incident,
        status=status,
        seq=old.seq + (_told(incident, status) != _told(old, old.status)),
        classification=old.classification,
        owner=old.owner,
    )


def _told(incident: Incident, status: str) -> tuple[object, ...]:
    return (
        incident.alert_ids,
        incident.severity,
        incident.title,
        incident.entities,
        status,
        incident.merged_into,
    )


def _carried_over(incidents: Sequence[Incident], existing: Sequence[Incident]) -> tuple[Incident, ...]:
    before = {incident.id: incident for incident in existing}
    home = {alert_id: incident.id for incident in incidents for alert_id in incident.alert_ids}
    ids = {incident.id for incident in incidents}
    gone = []
    for old in existing:
        heirs = [home[alert_id] for alert_id in old.alert_ids if alert_id in home]
        if old.id not in ids and heirs:
            gone.append(with_state(replace(old, merged_into=heirs[0]), old))
    return (*(with_state(incident, before.get(incident.id)) for incident in incidents), *gone)
