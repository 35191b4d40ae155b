"""From a spoke to the hub through an event hub: the same documents, once, whatever the connection does."""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from seawall.adapters.azure.hub import HubPublisher, publisher
from seawall.adapters.sql.outbox import SqlOutbox
from seawall.app.forwarding import forwarded_event, take_forwarded
from seawall.app.publishing import PublishReport
from seawall.domain.errors import MalformedEvent
from seawall.domain.publishing import Kind, Outcome, incident_of
from seawall.ports.outbox import OutboxEntry
from seawall.settings import Settings

from tests.support.event_hubs import Broker, Hub, sas_keys
from tests.support.publishing import TestClock, deliver, incident

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
NOW = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("azure")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)
    gc.collect()


@pytest.fixture
def hub() -> Hub:
    return Hub("forwarded", partitions=4)


@pytest.fixture
def broker(hub: Hub) -> Iterator[Broker]:
    with Broker(hub, authorize=sas_keys({"Root": "c2VjcmV0"})) as server:
        yield server


@pytest.fixture
def target(broker: Broker, outbox: SqlOutbox, clock: TestClock) -> Iterator[HubPublisher]:
    section = {
        "namespace": "hub",
        "source": "aws:1:eu-west-1",
        "connection_string": broker.connection_string("forwarded"),
    }
    made = publisher(Settings(hub=section), outbox, clock)
    yield made
    made._producer.close()


class Sentinel:
    id = "sentinel"
    kinds = frozenset({Kind.INCIDENT})

    def publish_batch(self, entries: list[OutboxEntry]) -> list[Outcome]:
        raise AssertionError("not sent in these tests")


def test_documents_arrive_in_order_and_are_taken_once(
    broker: Broker, hub: Hub, target: HubPublisher, outbox: SqlOutbox, clock: TestClock
) -> None:
    deliver(target, outbox, clock, [incident(1, seq=1), incident(2, seq=1), incident(1, seq=2)])
    broker.drop_connections()
    assert deliver(target, outbox, clock, [incident(1, seq=3)]).done == 1
    events = [json.loads(body) for body in hub.bodies()]
    incidents = [event for event in events if event["data"]["kind"] == "incident"]
    first = [event["data"]["seq"] for event in incidents if event["subject"] == incident(1).id]
    assert first == [1, 2, 3], "one subject, one partition, in order"
    added = [take_forwarded(outbox, [Sentinel(), target], event, NOW) for event in [*events, *events]]
    assert sum(added) == 4, "four changes of incidents for one destination, the repeats are known"
    received = outbox.claim("sentinel", limit=10, now=NOW.replace(year=2027), lease_s=1)
    assert incident_of(received[0].body)[0] == incident(1, seq=1)


def test_a_full_batch_goes_out_and_the_rest_follows(
    hub: Hub, target: HubPublisher, outbox: SqlOutbox, clock: TestClock
) -> None:
    body = {"padding": "x" * 400_000}
    entries = [OutboxEntry("hub", "incident", "one", seq, body, NOW) for seq in range(1, 8)]
    huge = OutboxEntry("hub", "incident", "huge", 1, {"padding": "x" * 2_000_000}, NOW)
    outbox.add([*entries, huge])
    assert deliver(target, outbox, clock) == PublishReport(done=7, poisoned=1)
    assert sorted(json.loads(raw)["data"]["seq"] for raw in hub.bodies()) == list(range(1, 8))


def test_a_busy_hub_is_tried_again_by_the_outbox(
    broker: Broker, hub: Hub, target: HubPublisher, outbox: SqlOutbox, clock: TestClock
) -> None:
    """The client gives up first: what it could not send stays in the outbox, in order, and arrives once."""
    deliver(target, outbox, clock, [incident(1, seq=1)])
    broker.fail_next(*["com.microsoft:server-busy"] * 8)
    reports = [deliver(target, outbox, clock, [incident(1, seq=2), incident(1, seq=3)])]
    assert reports[0].retried >= 2, "busy answers reach our own retry"
    assert reports[0].done == 0
    while outbox.pending():
        clock.advance(seconds=900)
        reports.append(deliver(target, outbox, clock))
        assert len(reports) < 20
    assert broker.faults == []
    assert sum(report.poisoned for report in reports) == 0
    sequence = [
        json.loads(body)["data"]["seq"] for body in hub.bodies() if json.loads(body)["data"]["kind"] == "incident"
    ]
    assert sequence == [1, 2, 3]


def test_a_refused_identity_is_named(broker: Broker, outbox: SqlOutbox, clock: TestClock) -> None:
    text = broker.connection_string("forwarded", key="d3Jvbmc=")
    target = publisher(Settings(hub={"namespace": "hub", "source": "s", "connection_string": text}), outbox, clock)
    assert deliver(target, outbox, clock, [incident()]).retried == 2
    target._producer.close()
    with outbox._db.read() as connection:
        assert "Azure Event Hubs Data Sender" in connection.exec_driver_sql("SELECT reason FROM outbox").scalar()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"type": "other"}, id="another type"),
        pytest.param({"data": []}, id="no object"),
        pytest.param({"data": {"kind": "nonsense", "subject": "s", "seq": 1, "body": {}}}, id="unknown kind"),
        pytest.param({"data": {"kind": "incident", "subject": "", "seq": 1, "body": {}}}, id="no subject"),
        pytest.param({"data": {"kind": "incident", "subject": "s", "seq": True, "body": {}}}, id="seq not a number"),
        pytest.param({"data": {"kind": "incident", "subject": "s", "seq": 1}}, id="no body"),
    ],
)
def test_what_is_not_a_document_is_refused(outbox: SqlOutbox, change: dict[str, Any]) -> None:
    good = forwarded_event(OutboxEntry("hub", "incident", "s", 1, {}, NOW), "aws")
    with pytest.raises(MalformedEvent):
        take_forwarded(outbox, [Sentinel()], good | change, NOW)
