"""Compatibility mode: incidents put by API, once each, with an analyst's changes kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from seawall.adapters.azure.sentinel_incidents import SentinelIncidents, incident_name, publisher
from seawall.adapters.sql.outbox import SqlOutbox
from seawall.app.publishing import PublishReport
from seawall.settings import Settings

from tests.support.azure_api import AzureApi
from tests.support.publishing import TestClock, deliver, incident


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureApi]:
    with AzureApi() as stub:
        for name, value in stub.managed_identity().items():
            monkeypatch.setenv(name, value)
        yield stub


@pytest.fixture
def target(api: AzureApi, outbox: SqlOutbox, clock: TestClock) -> SentinelIncidents:
    place = {"subscription_id": "s", "resource_group": "g", "workspace": "w"}
    section = {**place, "endpoint": api.url, "ca_file": api.ca_file}
    return publisher(Settings(sentinel_incidents=section), outbox, clock)


def properties(api: AzureApi) -> dict[str, Any]:
    (made,) = api.sentinel_incidents.values()
    return made["properties"]


def test_every_change_is_the_same_incident(
    api: AzureApi, target: SentinelIncidents, outbox: SqlOutbox, clock: TestClock
) -> None:
    assert deliver(target, outbox, clock, [incident(seq=1), incident(seq=2, title="Worse")]) == PublishReport(done=2)
    assert list(api.sentinel_incidents) == [incident_name(incident().id)]
    assert properties(api)["title"].startswith("Worse [")
    assert {label["labelName"] for label in properties(api)["labels"]} == {"seawall", incident().id}
    assert properties(api)["status"] == "New"


def test_what_an_analyst_set_stays_and_our_closing_closes(
    api: AzureApi, target: SentinelIncidents, outbox: SqlOutbox, clock: TestClock
) -> None:
    deliver(target, outbox, clock, [incident(seq=1)])
    properties(api).update(status="Active", owner={"assignedTo": "bob"}, labels=[{"labelName": "team-a"}])
    deliver(target, outbox, clock, [incident(seq=2)])
    assert (properties(api)["status"], properties(api)["owner"]) == ("Active", {"assignedTo": "bob"})
    assert {"labelName": "team-a"} in properties(api)["labels"]
    deliver(target, outbox, clock, [incident(seq=3, status="closed")])
    assert (properties(api)["status"], properties(api)["classification"]) == ("Closed", "Undetermined")


def test_a_conflict_is_read_again(
    api: AzureApi, target: SentinelIncidents, outbox: SqlOutbox, clock: TestClock
) -> None:
    deliver(target, outbox, clock, [incident(seq=1)])
    api.fail_next("arm", 409)
    assert deliver(target, outbox, clock, [incident(seq=2)]) == PublishReport(done=1)
    api.fail_next("arm", 409, times=3)
    assert deliver(target, outbox, clock, [incident(seq=3)]) == PublishReport(retried=1)


def test_a_refusal_names_the_permission(
    api: AzureApi, target: SentinelIncidents, outbox: SqlOutbox, clock: TestClock
) -> None:
    api.fail_next("arm", 403)
    outcome = target.publish_batch([])
    assert outcome == []
    deliver(target, outbox, clock, [])
    assert deliver(target, outbox, clock, [incident()]) == PublishReport(retried=1)
    with outbox._db.read() as connection:
        reason = connection.exec_driver_sql("SELECT reason FROM outbox").scalar()
    assert "Microsoft.SecurityInsights/incidents/write" in reason
