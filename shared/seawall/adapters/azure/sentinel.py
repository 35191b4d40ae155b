"""Incidents into Microsoft Sentinel and Defender XDR: rows that an analytics rule turns into alerts and incidents.

Incidents that are put through Sentinel's API never reach the Defender portal; alerts of analytics rules do. So every
state change becomes a row of `SeawallIncident_CL`, and `EmitAlert` says whether the rule raises an alert for it.
Source: Microsoft Learn, "Microsoft Sentinel in the Microsoft Defender portal", "Near-real-time analytics rules".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from seawall.adapters.azure.identity import azure_credential
from seawall.adapters.azure.logs_ingestion import LogsIngestion
from seawall.adapters.azure.rows import (
    Row,
    asset_row,
    evidence_row,
    finding_rows,
    image_row,
    incident_row,
    posture_row,
    roll_up_row,
)
from seawall.adapters.azure.tables import EVIDENCE, FINDING, INCIDENT, INVENTORY, POSTURE, Table
from seawall.app.publishing import outcome_of
from seawall.domain.alerts import Alert, Incident
from seawall.domain.errors import InputError, SeawallError
from seawall.domain.ids import content_id
from seawall.domain.publishing import (
    DONE,
    Kind,
    Outcome,
    State,
    alert_of,
    assessment_of,
    asset_of,
    image_of,
    incident_of,
)
from seawall.ports.clock import Clock
from seawall.ports.outbox import Outbox, OutboxEntry
from seawall.settings import SentinelSettings, Settings

WINDOW = timedelta(minutes=1)


@dataclass(slots=True)
class _Plan:
    """The rows of one entry, by table, and what it counts."""

    rows: list[tuple[Table, Row]] = field(default_factory=list)
    units: int = 0
    outcome: Outcome | None = None
    """Decided before sending: malformed, or waiting for the rate cap."""


class SentinelPublisher:
    """Fulfils `ports.publisher.BatchPublisher`."""

    id = "sentinel"

    def __init__(self, settings: SentinelSettings, ingestion: LogsIngestion, outbox: Outbox, clock: Clock) -> None:
        self._ingestion, self._outbox, self._clock = ingestion, outbox, clock
        self._per_minute = settings.alerts_per_minute
        self.kinds = frozenset(Kind(kind) for kind in settings.kinds)

    def publish_batch(self, entries: Sequence[OutboxEntry]) -> list[Outcome]:
        """See the port: an entry is done when all of its rows are in."""
        now = self._clock.now()
        plans = [_Plan() for _ in entries]
        incidents: list[tuple[_Plan, OutboxEntry]] = []
        for plan, entry in zip(plans, entries, strict=True):
            if entry.kind == Kind.INCIDENT:
                incidents.append((plan, entry))
            else:
                _planned(plan, entry, now)
        self._plan_incidents(incidents, now)
        errors = self._send(plans)
        return [self._outcome(plan, errors.get(position)) for position, plan in enumerate(plans)]

    def _plan_incidents(self, items: Iterable[tuple[_Plan, OutboxEntry]], now: datetime) -> None:
        """Decide which rows raise an alert: as many as the cap leaves, the rest by one roll-up row.

        A near-real-time rule raises 30 alerts a run and folds the others into the last one, so more would be lost.
        """
        silent: list[tuple[_Plan, Incident, list[Alert], int]] = []
        raising: list[tuple[_Plan, Incident, list[Alert], int]] = []
        for plan, entry in items:
            try:
                incident, alerts = incident_of(entry.body)
            except InputError as error:
                plan.outcome = outcome_of(error)
                continue
            count = len(incident.alert_ids)
            (raising if self._raises(entry, incident) else silent).append((plan, incident, alerts, count))
        for plan, incident, alerts, count in silent:
            plan.rows = [(INCIDENT, incident_row(incident, alerts, count, emit=False, now=now))]
        budget = self._per_minute - self._outbox.units_since(self.id, now - WINDOW)
        raising.sort(key=lambda item: (-item[1].severity, item[1].first_seen, item[1].id))
        fits = len(raising) if len(raising) <= budget else max(0, budget - 1)
        for position, (plan, incident, alerts, count) in enumerate(raising):
            if budget <= 0:
                plan.outcome = Outcome(State.RETRY, "alerts per minute are spent", retry_after_s=WINDOW.total_seconds())
                continue
            emit = position < fits
            plan.rows = [(INCIDENT, incident_row(incident, alerts, count, emit=emit, now=now))]
            plan.units = int(emit)
        rolled = [(plan, incident) for plan, incident, _, _ in raising[fits:] if plan.outcome is None]
        if rolled:
            keys = [f"{incident.id}/{incident.seq}" for _, incident in rolled]
            row = roll_up_row([incident for _, incident in rolled], content_id("rollup", *sorted(keys)), now)
            rolled[0][0].rows.append((INCIDENT, row))
            rolled[0][0].units = 1

    def _raises(self, entry: OutboxEntry, incident: Incident) -> bool:
        """A new incident raises an alert, and one that got worse, reached another tactic or came back."""
        if incident.merged_into or incident.status == "closed":
            return False
        before = self._outbox.latest(self.id, Kind.INCIDENT, entry.subject, below_seq=entry.seq, min_units=1)
        if before is None:
            return True
        known, _ = incident_of(before.body)
        latest = self._outbox.latest(self.id, Kind.INCIDENT, entry.subject, below_seq=entry.seq)
        was_closed = latest is not None and incident_of(latest.body)[0].status == "closed"
        return was_closed or incident.severity > known.severity or bool(set(incident.tactics) - set(known.tactics))

    def _send(self, plans: Sequence[_Plan]) -> dict[int, SeawallError]:
        by_table: dict[str, list[tuple[int, Row]]] = defaultdict(list)
        for position, plan in enumerate(plans):
            for table, row in plan.rows:
                by_table[table.stream].append((position, row))
        errors: dict[int, SeawallError] = {}
        for stream, rows in by_table.items():
            for number, error in self._ingestion.send(stream, [row for _, row in rows]).items():
                position = rows[number][0]
                # What can be tried again wins over what cannot: the good rows of the entry are still to come.
                if position not in errors or isinstance(errors[position], InputError):
                    errors[position] = error
        return errors

    def _outcome(self, plan: _Plan, error: SeawallError | None) -> Outcome:
        if plan.outcome is not None:
            return plan.outcome
        if error is not None:
            return outcome_of(error)
        return Outcome(State.DONE, units=plan.units) if plan.units else DONE


def _planned(plan: _Plan, entry: OutboxEntry, now: datetime) -> None:
    try:
        plan.rows = list(_rows(entry, now))
    except InputError as error:
        plan.outcome = outcome_of(error)


def _rows(entry: OutboxEntry, now: datetime) -> Iterable[tuple[Table, Row]]:
    if entry.kind == Kind.ALERT:
        yield EVIDENCE, evidence_row(*alert_of(entry.body))
    elif entry.kind == Kind.IMAGE:
        report, packages = image_of(entry.body)
        yield INVENTORY, image_row(report, packages)
        for row in finding_rows(report):
            yield FINDING, row
    elif entry.kind == Kind.ASSESSMENT:
        yield POSTURE, posture_row(assessment_of(entry.body), now)
    elif entry.kind == Kind.ASSET:
        yield INVENTORY, asset_row(*asset_of(entry.body))
    else:
        raise InputError(f"no table for {entry.kind!r}")


def publisher(settings: Settings, outbox: Outbox, clock: Clock) -> SentinelPublisher:
    """Return the publisher that the settings describe."""
    section = settings.sentinel
    assert section is not None
    ingestion = LogsIngestion(
        section.endpoint,
        section.rule_id,
        azure_credential(settings.azure),
        audience=section.audience,
        ca_file=str(section.ca_file or ""),
    )
    return SentinelPublisher(section, ingestion, outbox, clock)
