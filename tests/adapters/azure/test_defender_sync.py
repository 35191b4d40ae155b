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
from seawall.adapters.sql.store import SqlStore
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
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = SqlStore(f"sqlite:///{tmp_path / 's.sqlite'}")
    yield opened
    opened.close()


def raised(api: AzureApi, store: SqlStore, count: int = 1) -> Settings:
    """Incidents of ours, raised in the portal by the rule."""
    items = [incident(number) for number in range(1, count + 1)]
    store.incidents.save(items, with_state)
    for item in items:
        api.tables[INCIDENT.stream].append({"IncidentKey": item.id, "Seq": 1, "Title": item.title, "Severity": "High"})
    api.run_rule(INCIDENT.stream, where=lambda row: True)
    return Settings(defender_sync={"endpoint": f"{api.url}/v1.0", "ca_file": api.ca_file})


def test_status_classification_and_owner_come_back(api: AzureApi, store: SqlStore) -> None:
    settings = raised(api, store)
    assert sync(settings, store.incidents) == 0, "nobody decided anything"
    later = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    decision: dict[str, Any] = {
        "status": "resolved",
        "classification": "truePositive",
        "assignedTo": "bob@acme.example",
    }
    api.incidents["1"].update(decision, lastUpdateDateTime=later)
    assert sync(settings, store.incidents) == 1
    ours = store.incidents.get(incident(1).id)
    assert ours is not None
    assert (ours.status, ours.classification, ours.owner, ours.seq) == ("closed", "truePositive", "bob@acme.example", 2)
    assert sync(settings, store.incidents) == 0, "the same again changes nothing"


def test_every_page_is_read(api: AzureApi, store: SqlStore) -> None:
    settings = raised(api, store, 29)
    api.run_rule(INCIDENT.stream, where=lambda row: True)
    for item in api.incidents.values():
        item["assignedTo"] = "bob"
    assert sync(settings, store.incidents) == 29


def test_a_refusal_names_the_permission(api: AzureApi, store: SqlStore) -> None:
    settings = raised(api, store)
    api.fail_next("graph", 403)
    with pytest.raises(Denied, match=r"SecurityIncident\.Read\.All"):
        sync(settings, store.incidents)
