"""Fill the outbox and empty it: one document per state change and destination, delivered until its receiver has it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from seawall.domain.alerts import Alert, Incident
from seawall.domain.assets import Asset
from seawall.domain.errors import ConfigError, Denied, InputError, NotFound, SeawallError, Unavailable
from seawall.domain.findings import ImageReport
from seawall.domain.ids import content_id
from seawall.domain.posture import Assessment
from seawall.domain.publishing import (
    DONE,
    Kind,
    Outcome,
    State,
    alert_document,
    assessment_document,
    asset_document,
    image_document,
    incident_document,
    incident_of,
)
from seawall.ports.clock import Clock
from seawall.ports.outbox import Outbox, OutboxEntry
from seawall.ports.publisher import BatchPublisher, Publisher

log = logging.getLogger(__name__)

CLAIM = 500
"""Entries per round: with 900 KB batches a few calls."""
LEASE_S = 300.0
ROUND = timedelta(minutes=1)
KEEP = timedelta(hours=48)
"""Longest that an entry is retried: near-real-time rules need the rows within 12 hours, operators a weekend."""
ROLE_PROPAGATION = timedelta(minutes=30)
BACKOFF_S, BACKOFF_MAX_S = 5.0, 900.0
AWAY = 3
"""Failures in a row after which a receiver is taken to be away."""


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What one round did, over all destinations."""

    done: int = 0
    retried: int = 0
    poisoned: int = 0


def incident_entries(
    destinations: Iterable[BatchPublisher], incident: Incident, alerts: Sequence[Alert], now: datetime
) -> list[OutboxEntry]:
    """Return what to add to the outbox for a state change of an incident and for the alerts behind it."""
    wanted = list(destinations)
    entries = [
        OutboxEntry(to.id, Kind.INCIDENT, incident.id, incident.seq, document, now)
        for document in [incident_document(incident, alerts)]
        for to in wanted
        if Kind.INCIDENT in to.kinds
    ]
    for to in wanted:
        if Kind.ALERT in to.kinds:
            entries += [
                OutboxEntry(to.id, Kind.ALERT, alert.id, alert.count, alert_document(alert, incident.id), now)
                for alert in alerts
            ]
    return entries


def image_entries(destinations: Iterable[BatchPublisher], report: ImageReport, now: datetime) -> list[OutboxEntry]:
    """Return what to add for a scanned image; the same image against the same advisories is one document."""
    subject = content_id("report", report.digest, report.database)
    document = image_document(report)
    return [OutboxEntry(to.id, Kind.IMAGE, subject, 0, document, now) for to in destinations if Kind.IMAGE in to.kinds]


def assessment_entries(
    destinations: Iterable[BatchPublisher], assessments: Sequence[Assessment], now: datetime
) -> list[OutboxEntry]:
    """Return what to add for judged objects: one row per control, object and day."""
    day = now.date().toordinal()
    return [
        OutboxEntry(to.id, Kind.ASSESSMENT, f"{item.id}/{item.status}", day, assessment_document(item), now)
        for to in destinations
        if Kind.ASSESSMENT in to.kinds
        for item in assessments
    ]


def asset_entries(destinations: Iterable[BatchPublisher], assets: Sequence[Asset], now: datetime) -> list[OutboxEntry]:
    """Return what to add for discovered assets: one row per asset and day."""
    day = now.date().toordinal()
    return [
        OutboxEntry(to.id, Kind.ASSET, item.id, day, asset_document(item, now), now)
        for to in destinations
        if Kind.ASSET in to.kinds
        for item in assets
    ]


def publish_outbox(
    outbox: Outbox, publishers: Iterable[BatchPublisher], clock: Clock, *, jitter: random.Random | None = None
) -> PublishReport:
    """Offer every due entry to its destination once, for at most about `ROUND` each; return what became of them.

    A destination that fails does not hold up the others.
    """
    counts = dict.fromkeys(State, 0)
    for publisher in publishers:
        until = clock.now() + ROUND
        limit = publisher.limit if isinstance(publisher, PerIncident) else CLAIM
        while entries := outbox.claim(publisher.id, limit=limit, now=clock.now(), lease_s=LEASE_S):
            try:
                outcomes = _offer(publisher, entries)
                now = clock.now()
                for entry, outcome in zip(entries, outcomes, strict=True):
                    state = _settle(outbox, publisher, entry, outcome, now, jitter or random.Random())  # noqa: S311
                    counts[state] += 1
            finally:
                outbox.release(publisher.id)
            if len(entries) < limit or now >= until or all(found.state is State.RETRY for found in outcomes):
                break
    return PublishReport(counts[State.DONE], counts[State.RETRY], counts[State.POISON])


def one_by_one(entries: Sequence[OutboxEntry], offer: Callable[[OutboxEntry], Outcome]) -> list[Outcome]:
    """Return what became of entries that are offered singly, in order.

    Where one waits, later changes of its subject wait too: the receiver must not see an older state last. A receiver that
    failed `AWAY` times in a row is not asked again in this round.
    """
    outcomes: list[Outcome] = []
    waiting: dict[tuple[str, str], Outcome] = {}
    failed = 0
    for entry in entries:
        subject = (str(entry.kind), entry.subject)
        outcome = waiting.get(subject) or (outcomes[-1] if failed >= AWAY else None)
        if outcome is None:
            outcome = offer(entry)
            failed = failed + 1 if outcome.state is State.RETRY else 0
        if outcome.state is State.RETRY:
            waiting[subject] = outcome
        outcomes.append(outcome)
    return outcomes


class PerIncident:
    """A `Publisher` of single incidents, as one for batches."""

    kinds = frozenset({Kind.INCIDENT})
    limit = 20
    """Entries of one claim: a receiver that takes ten seconds for each is done with them before the lease ends."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.id = publisher.id

    def publish_batch(self, entries: Sequence[OutboxEntry]) -> list[Outcome]:
        """See the port: one after the other, each with its own outcome."""
        return one_by_one(entries, self._one)

    def _one(self, entry: OutboxEntry) -> Outcome:
        try:
            self._publisher.publish(*incident_of(entry.body))
        except SeawallError as error:
            return outcome_of(error)
        return DONE


def outcome_of(error: SeawallError) -> Outcome:
    """Return what an error of a destination means for an entry."""
    if isinstance(error, InputError):
        return Outcome(State.POISON, str(error))
    if isinstance(error, Unavailable):
        return Outcome(State.RETRY, str(error), retry_after_s=error.retry_after_s)
    return Outcome(State.RETRY, str(error), denied=isinstance(error, Denied | NotFound | ConfigError))


def _offer(publisher: BatchPublisher, entries: Sequence[OutboxEntry]) -> Sequence[Outcome]:
    try:
        outcomes = publisher.publish_batch(entries)
    except SeawallError as error:
        return [outcome_of(error)] * len(entries)
    if len(outcomes) != len(entries):
        raise ValueError(f"{publisher.id} gave {len(outcomes)} outcomes for {len(entries)} entries")
    return outcomes


def _settle(
    outbox: Outbox,
    publisher: BatchPublisher,
    entry: OutboxEntry,
    outcome: Outcome,
    now: datetime,
    jitter: random.Random,
) -> State:
    if outcome.state is State.DONE:
        outbox.done([entry], now=now, units=outcome.units)
        return State.DONE
    fields: Mapping[str, Any] = {
        "destination": publisher.id,
        "kind": entry.kind,
        "subject": entry.subject,
        "reason": outcome.reason,
    }
    if outcome.state is State.POISON or now - entry.created_at > KEEP:
        log.error("could not be delivered", extra=dict(fields))
        outbox.poison([entry], reason=outcome.reason or "not delivered within 48 hours", now=now)
        return State.POISON
    log.warning("delivery will be tried again", extra=dict(fields))
    outbox.retry([entry], not_before=now + _wait(entry, outcome, now, jitter), reason=outcome.reason)
    return State.RETRY


def _wait(entry: OutboxEntry, outcome: Outcome, now: datetime, jitter: random.Random) -> timedelta:
    """The service's own time, or exponential backoff with jitter, so that many instances do not come back at once."""
    if outcome.denied:
        fresh = now - entry.created_at < ROLE_PROPAGATION
        return timedelta(seconds=jitter.uniform(30, 90) if fresh else BACKOFF_MAX_S)
    backoff = min(BACKOFF_MAX_S, BACKOFF_S * 2 ** min(entry.attempts, 16))
    if outcome.retry_after_s is not None:
        return timedelta(seconds=outcome.retry_after_s + jitter.uniform(0, 1))
    return timedelta(seconds=jitter.uniform(backoff / 2, backoff))
