"""Decisions of the portal come back through the real msgraph-sdk against a stub of Graph."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from seawall.adapters.azure.defender_sync import sync
from seawall.adapters.azure.tables import INCIDENT, TABLES
from seawall.app.application import Application
from seawall.bootstrap import bootstrap
from seawall.domain.errors import Denied
from seawall.incidents.correlate import with_state
from seawall.settings import Settings

from tests.support.azure_api import AzureApi
from tests.support.publishing import incident

# The SDK leaves its event loop's sockets to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureApi]:
    with AzureApi({table.stream: set(table.column_names) for table in TABLES}) as stub:
        for name, value in stub.managed_identity().items():
            monkeypatch.setenv(name, value)
        yield stub


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    opened = bootstrap(Settings(data_dir=tmp_path / "data", ocsf_file=tmp_path / "ocsf.jsonl"))
    yield opened
    opened.close()


def raised(api: AzureApi, application: Application, count: int = 1, **more: Any) -> Settings:
    """Incidents of ours, raised in the portal by the rule."""
    items = [incident(number) for number in range(1, count + 1)]
    application.store.incidents.save(items, with_state)
    for item in items:
        api.tables[INCIDENT.stream].append({"IncidentKey": item.id, "Seq": 1, "Title": item.title, "Severity": "High"})
    api.run_rule(INCIDENT.stream, where=lambda row: True)
    return Settings(defender_sync={"endpoint": f"{api.url}/v1.0", "ca_file": api.ca_file, **more})


def test_status_classification_and_owner_come_back(api: AzureApi, application: Application) -> None:
    settings = raised(api, application)
    assert sync(settings, application) == 0, "nobody decided anything"
    later = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    decision: dict[str, Any] = {
        "status": "resolved",
        "classification": "truePositive",
        "assignedTo": "bob@acme.example",
    }
    api.incidents["1"].update(decision, lastUpdateDateTime=later)
    assert sync(settings, application) == 1
    ours = application.store.incidents.get(incident(1).id)
    assert ours is not None
    assert (ours.status, ours.classification, ours.owner, ours.seq) == ("closed", "truePositive", "bob@acme.example", 2)
    assert sync(settings, application) == 0, "the same again changes nothing"


def test_every_page_is_read(api: AzureApi, application: Application) -> None:
    settings = raised(api, application, 29)
    api.run_rule(INCIDENT.stream, where=lambda row: True)
    for item in api.incidents.values():
        item["assignedTo"] = "bob"
    assert sync(settings, application) == 29


def test_a_refusal_names_the_permission(api: AzureApi, application: Application) -> None:
    settings = raised(api, application)
    api.fail_next("graph", 403)
    with pytest.raises(Denied, match=r"SecurityIncident\.Read\.All"):
        sync(settings, application)


def change_in_portal(api: AzureApi, number: str = "1", **change: str) -> None:
    later = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    api.incidents[number].update(change, lastUpdateDateTime=later)  # type: ignore[arg-type]


def test_decisions_here_are_written_to_the_portal_once(api: AzureApi, application: Application) -> None:
    settings = raised(api, application, write_back=True)
    assert sync(settings, application) == 0
    application.incidents.decide(
        incident(1).id, status="closed", classification="falsePositive", owner="eve@acme.example"
    )
    assert application.incidents.pending()["ocsf_file"] == 1, "a decision is a change that is published"
    assert sync(settings, application) == 1
    portal = api.incidents["1"]
    assert (portal["status"], portal["classification"], portal["assignedTo"]) == (
        "resolved",
        "falsePositive",
        "eve@acme.example",
    )
    assert incident(1).id in str(portal["resolvingComment"])
    seq = application.store.incidents.get(incident(1).id).seq  # type: ignore[union-attr]
    for _ in range(2):
        assert sync(settings, application) == 0, "what we wrote does not come back as a change"
    assert application.store.incidents.get(incident(1).id).seq == seq  # type: ignore[union-attr]


def test_without_write_back_nothing_is_written(api: AzureApi, application: Application) -> None:
    settings = raised(api, application)
    sync(settings, application)
    application.incidents.decide(incident(1).id, status="closed")
    assert sync(settings, application) == 0
    assert api.incidents["1"]["status"] == "active"
    assert application.store.incidents.get(incident(1).id).status == "closed", "and the portal does not open it again"  # type: ignore[union-attr]


def test_where_both_sides_changed_the_portal_wins(api: AzureApi, application: Application) -> None:
    settings = raised(api, application, write_back=True)
    sync(settings, application)
    application.incidents.decide(incident(1).id, classification="falsePositive", owner="eve")
    change_in_portal(api, classification="truePositive")
    assert sync(settings, application) == 2
    ours, portal = application.store.incidents.get(incident(1).id), api.incidents["1"]
    assert ours is not None
    assert (ours.classification, ours.owner) == ("truePositive", "eve")
    assert (portal["classification"], portal["assignedTo"]) == ("truePositive", "eve")


def test_an_incident_that_others_alert_in_is_not_written(api: AzureApi, application: Application) -> None:
    settings = raised(api, application, write_back=True)
    sync(settings, application)
    ours = next(iter(api.alerts.values()))
    api.alerts["stranger"] = {name: ours[name] for name in ("incidentId", "severity", "status") if name in ours} | {
        "id": "stranger"
    }
    application.incidents.decide(incident(1).id, status="closed")
    assert sync(settings, application) == 0
    assert api.incidents["1"]["status"] == "active"


def test_reopened_there_is_opened_here(api: AzureApi, application: Application) -> None:
    settings = raised(api, application, write_back=True)
    sync(settings, application)
    application.incidents.decide(incident(1).id, status="closed")
    sync(settings, application)
    change_in_portal(api, status="inProgress")
    assert sync(settings, application) == 1
    assert application.store.incidents.get(incident(1).id).status == "active"  # type: ignore[union-attr]


def test_a_refused_write_names_the_permission(api: AzureApi, application: Application) -> None:
    settings = raised(api, application, write_back=True)
    sync(settings, application)
    application.incidents.decide(incident(1).id, status="closed")
    api.fail_next("graph", 403)
    with pytest.raises(Denied, match=r"SecurityIncident\.ReadWrite\.All"):
        sync(settings, application)
    assert sync(settings, application) == 1, "tried again with the next run"
