"""Incidents, alerts and outboxes for tests of publishers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.migrate import migrate
from seawall.adapters.sql.outbox import SqlOutbox
from seawall.app.publishing import PublishReport, incident_entries, publish_outbox
from seawall.domain.alerts import Alert, Entity, EntityKind, Evidence, Incident
from seawall.domain.severity import Severity
from seawall.ports.publisher import BatchPublisher

T0 = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
CLUSTER = "/subscriptions/0000/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/prod"


class TestClock:
    """A clock that stands still until it is told to move."""

    __test__ = False

    def __init__(self, now: datetime = T0) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def advance(self, **by: float) -> None:
        self.time += timedelta(**by)


ALERT = Alert(
    id="alert-1",
    analytic="K8S.POD_EXEC",
    title="Exec into a pod",
    message="alice opened a shell in shop/api-1",
    severity=Severity.HIGH,
    attack=("T1609",),
    first_seen=T0,
    last_seen=T0 + timedelta(seconds=5),
    source="audit",
    cluster=CLUSTER,
    namespace="shop",
    actor="alice@acme.example",
    source_ip="203.0.113.9",
    entities=(Entity(EntityKind.POD, "shop/api-1", CLUSTER), Entity(EntityKind.NODE, "node-1", CLUSTER)),
    evidence=(Evidence("audit", "a1/ResponseComplete", T0, "create pods/exec", raw={"verb": "create"}),),
    response="Ask alice, then look at what ran.",
    context={"image": "acmereg.azurecr.io/shop/api@sha256:" + "1" * 64, "command_line": "sh -c id"},
)
INCIDENT = Incident(
    id="incident-0123456789abcdef0123456789",
    title="Exec into a pod by alice@acme.example",
    severity=Severity.HIGH,
    first_seen=T0,
    last_seen=T0 + timedelta(seconds=5),
    alert_ids=("alert-1",),
    clusters=(CLUSTER,),
    actors=("alice@acme.example",),
    attack=("T1609", "T1078.004"),
    entities=ALERT.entities,
    next_steps=("Ask alice.",),
    seq=1,
    tactics=("execution", "command-and-control"),
)


def incident(number: int = 1, **changes: Any) -> Incident:
    """An incident like `INCIDENT` with an id of its own."""
    return replace(INCIDENT, **{"id": f"incident-{number:026x}", "title": f"Incident {number}", **changes})


@contextmanager
def outbox_at(folder: Path) -> Iterator[SqlOutbox]:
    """An outbox in a new SQLite file."""
    database = Database(f"sqlite:///{folder / 'outbox.sqlite'}")
    migrate(database)
    yield SqlOutbox(database)
    database.close()


def deliver(
    publisher: BatchPublisher,
    outbox: SqlOutbox,
    clock: TestClock,
    incidents: Sequence[Incident] = (),
    *,
    alerts: Sequence[Alert] = (ALERT,),
) -> PublishReport:
    """Write the incidents to the outbox, then empty it once."""
    for item in incidents:
        outbox.add(incident_entries([publisher], item, alerts, clock.now()))
    return publish_outbox(outbox, [publisher], clock)
