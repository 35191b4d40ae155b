"""The alerts of a run while they grow: equal requests are judged once, repeats that add nothing build no alert."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from seawall.detection.accumulate import Accumulator, Place
from seawall.detection.declaration import Detection
from seawall.detection.describe import Description, short
from seawall.detection.folding import MAX_EVIDENCE, event_hash
from seawall.domain.alerts import Alert, Evidence, Match
from seawall.domain.audit_events import NO_OBJECT, NO_USER, AuditEvent
from seawall.domain.ids import content_id

TABLE_LIMIT = 20_000
"""Entries of a table whose keys come from outside; it is emptied when it grows over this."""
EPOCH = datetime.fromtimestamp(0, UTC)


class Verdict:
    """What one analytic says of all events with one fingerprint, and the alert that its repeats go to."""

    __slots__ = ("accumulator", "match", "rule")

    def __init__(self, rule: Detection, match: Match | None) -> None:
        self.rule = rule
        self.match = match
        self.accumulator: Accumulator | None = None


class Growing:
    """The alerts of a run while they grow, by id.

    Predicates are functions of the event alone, so equal requests (all but time and audit id) are judged once.
    """

    def __init__(self, max_evidence: int = MAX_EVIDENCE, *, remember: bool = True) -> None:
        self._max_evidence = max_evidence
        self._remember = remember
        self._by_id: dict[str, Accumulator] = {}
        self.verdicts: dict[int, list[Verdict]] = {}
        self._windowed: dict[tuple[Any, ...], Verdict] = {}
        self._told: dict[int, Accumulator] = {}
        self.event: AuditEvent | None = None
        self.time = EPOCH
        self.member = 0
        self.place: Place = (EPOCH, "", "", 0)

    def add(self, alert: Alert) -> Accumulator:
        """Take a single alert."""
        accumulator = self._by_id.get(alert.id)
        if accumulator is None:
            accumulator = self._by_id[alert.id] = Accumulator(alert, self._max_evidence)
        else:
            accumulator.add(alert)
        return accumulator

    def learn(self, fingerprint: int, verdicts: list[Verdict]) -> list[Verdict]:
        """Keep what was said of events with this fingerprint."""
        if self._remember:
            if len(self.verdicts) >= TABLE_LIMIT:
                self.verdicts.clear()
            self.verdicts[fingerprint] = verdicts
        return verdicts

    def repeat_of(self, rule: Detection, event: AuditEvent, match: Match) -> Verdict:
        """Return what a rule with a window said before of equal requests, in the same words; else a new verdict."""
        features = tuple(sorted(match.features.items()))
        key = (
            rule.id, match.message, match.key, match.severity, match.reasons, match.entities, features,
            fingerprint_of(event),
        )  # fmt: skip
        known = self._windowed.get(key)
        if known is None:
            if len(self._windowed) >= TABLE_LIMIT:
                self._windowed.clear()
            known = self._windowed[key] = Verdict(rule, match)
        return known

    def told(self, key: int) -> Accumulator | None:
        """Return the alert that something with these words, this actor and this object went into before."""
        return self._told.get(key)

    def tell(self, key: int, accumulator: Accumulator) -> None:
        """Remember where it went."""
        if len(self._told) >= TABLE_LIMIT:
            self._told.clear()
        self._told[key] = accumulator

    def look_at(self, event: AuditEvent, default_time: datetime) -> None:
        """Work out once per event what its matches share."""
        time = event.time
        identifier = event.id
        self.event = event
        self.time = time or default_time
        self.member = event_hash(identifier)
        self.place = (time or EPOCH, event.audit_id or event.event_id or identifier, event.file, event.index)

    def alerts(self) -> list[Alert]:
        """Return the folded alerts, ordered by first_seen and id."""
        return sorted((item.alert() for item in self._by_id.values()), key=lambda alert: (alert.first_seen, alert.id))


def fingerprint_of(event: AuditEvent) -> int:
    """Hash of all that predicates and alerts take from an event, beside its time of day, audit id and place.

    Texts hash by SipHash with a key of this process, so nobody outside can make two requests collide.
    """
    ref, user, other = event.object_ref or NO_OBJECT, event.user or NO_USER, event.impersonated or NO_USER
    answer = event.response
    code, message = (answer.code, answer.message) if answer is not None else (None, None)
    return hash(
        (
            event.verb, event.request_uri, event.user_agent, code, message, event.cluster, event.platform, event.stage,
            (event.received or event.timestamp or event.stage_time or "")[:10],
            ref.resource, ref.namespace, ref.name, ref.subresource, ref.api_group,
            user.username, other.username, event.impersonated is None,
            tuple(user.groups or ()), tuple(other.groups or ()), tuple(event.source_ips or ()),
            bytes(user.extra), bytes(event.annotations), bytes(event.enrichment),
            bytes(event.request_raw), bytes(event.response_raw),
        )
    )  # fmt: skip


def substance_of(rule: Detection, event: AuditEvent, match: Match) -> int:
    """Hash of all that a match adds to its alert, beside time and evidence: requests that differ in nothing else (in
    their bodies, say, or their paths) count as repeats of one another once the alert holds the evidence it may."""
    ref, user, other = event.object_ref or NO_OBJECT, event.user or NO_USER, event.impersonated or NO_USER
    return hash(
        (
            rule.id, match.message, match.key, match.severity, match.reasons, match.entities, tuple(match.features.items()),
            event.cluster, event.platform, (event.received or event.timestamp or event.stage_time or "")[:10],
            ref.resource, ref.namespace, event.name, ref.subresource, user.username, other.username, event.source_ip,
            bytes(user.extra),
        )
    )  # fmt: skip


def make_alert(rule: Detection, what: Description, match: Match, *, default_time: datetime = EPOCH) -> Alert:
    """Return the alert of one match on one event. Its id is the same for every repeat of the day."""
    time = what.time or default_time
    severity = match.severity if match.severity is not None else rule.severity
    key = match.key or what.key
    day = time.date().isoformat() if what.time is not None else ""
    message = short(match.message, 600)
    return Alert(
        id=content_id("alert", rule.id, what.cluster, severity.label, key, day),
        analytic=rule.id,
        title=rule.title,
        message=message,
        severity=severity,
        attack=rule.attack,
        first_seen=time,
        last_seen=time,
        source=what.source,
        cluster=what.cluster,
        namespace=what.namespace,
        actor=what.actor,
        source_ip=what.source_ip,
        confidence=rule.confidence,
        reasons=match.reasons,
        entities=tuple(dict.fromkeys((*what.entities, *match.entities))),
        evidence=(
            Evidence(
                source=what.source,
                event_id=what.event_id,
                ts=what.time,
                summary=message,
                file=what.file,
                index=what.index,
                raw=what.raw,
            ),
        ),
        features=match.features,
        response=rule.response,
        context=what.context,
        analytic_version=rule.version,
        members=(event_hash(what.id),),
    )
