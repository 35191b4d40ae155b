"""Rows into a Logs Ingestion endpoint that keeps to the documented limits, up to incidents in the portal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from seawall.adapters.azure.sentinel import SentinelPublisher, publisher
from seawall.adapters.azure.tables import EVIDENCE, FINDING, INCIDENT, INVENTORY, POSTURE, TABLES
from seawall.adapters.sql.outbox import SqlOutbox
from seawall.app.publishing import PublishReport, assessment_entries, asset_entries, image_entries, publish_outbox
from seawall.domain.assets import Asset
from seawall.domain.errors import Denied
from seawall.domain.findings import Finding, ImageReport
from seawall.domain.packages import Distro
from seawall.domain.posture import Assessment, ObjectRef, Status
from seawall.domain.severity import Severity
from seawall.ports.outbox import OutboxEntry
from seawall.settings import Settings

from tests.support.azure_api import AzureApi, Limits
from tests.support.publishing import ALERT, T0, TestClock, deliver, incident

STREAMS = {table.stream: set(table.column_names) for table in TABLES}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureApi]:
    with AzureApi(STREAMS) as stub:
        for name, value in stub.managed_identity().items():
            monkeypatch.setenv(name, value)
        yield stub


def sentinel(api: AzureApi, outbox: SqlOutbox, clock: TestClock, **changes: Any) -> SentinelPublisher:
    section = {"endpoint": api.url, "rule_id": api.rule, "ca_file": api.ca_file, "kinds": ["incident"], **changes}
    return publisher(Settings(sentinel=section), outbox, clock)


def rows(api: AzureApi) -> list[dict[str, Any]]:
    return api.tables[INCIDENT.stream]


def alerts_raised(api: AzureApi) -> list[str]:
    return [alert["title"] for alert in api.run_rule(INCIDENT.stream, where=lambda row: row.get("EmitAlert", False))]


def test_a_state_change_becomes_an_incident_in_the_portal(api: AzureApi, outbox: SqlOutbox, clock: TestClock) -> None:
    assert deliver(sentinel(api, outbox, clock), outbox, clock, [incident()]) == PublishReport(done=1)
    (row,) = rows(api)
    assert {
        name: row[name]
        for name in ("IncidentKey", "Seq", "Severity", "Cluster", "Namespace", "Pod", "Node", "Principal", "SourceIp")
    } == {
        "IncidentKey": incident().id,
        "Seq": 1,
        "Severity": "High",
        "Cluster": "prod",
        "Namespace": "shop",
        "Pod": "api-1",
        "Node": "node-1",
        "Principal": "alice@acme.example",
        "SourceIp": "203.0.113.9",
    }
    assert (row["Tactics"], row["Techniques"], row["SubTechniques"]) == (
        "Execution,CommandAndControl",
        "T1078,T1609",
        "T1078.004",
    )
    assert row["Digest"] == "sha256:" + "1" * 64
    assert row["ClusterResourceId"].startswith("/subscriptions/")
    assert alerts_raised(api) == ["Incident 1 [00000000]"]
    assert [item["displayName"] for item in api.incidents.values()] == ["Incident 1 [00000000]"]
    assert row.keys() <= INCIDENT.column_names


def test_the_same_change_twice_is_one_row(api: AzureApi, outbox: SqlOutbox, clock: TestClock) -> None:
    target = sentinel(api, outbox, clock)
    deliver(target, outbox, clock, [incident(), incident()])
    deliver(target, outbox, clock, [incident()])
    assert len(rows(api)) == 1


@pytest.mark.parametrize(
    ("changes", "raises"),
    [
        pytest.param({"severity": Severity.CRITICAL}, True, id="worse"),
        pytest.param({"severity": Severity.MEDIUM}, False, id="milder"),
        pytest.param({"tactics": ("execution", "command-and-control", "impact")}, True, id="another tactic"),
        pytest.param({"alert_ids": ("alert-1", "alert-2")}, False, id="more evidence"),
        pytest.param({"status": "closed"}, False, id="closed"),
        pytest.param({"merged_into": "incident-2", "severity": Severity.CRITICAL}, False, id="merged"),
    ],
)
def test_which_changes_raise_an_alert(
    api: AzureApi, outbox: SqlOutbox, clock: TestClock, changes: dict[str, Any], raises: bool
) -> None:
    target = sentinel(api, outbox, clock)
    deliver(target, outbox, clock, [incident()])
    deliver(target, outbox, clock, [incident(seq=2, **changes)])
    assert [row["EmitAlert"] for row in rows(api)] == [True, raises]


def test_an_incident_that_comes_back_raises_again(api: AzureApi, outbox: SqlOutbox, clock: TestClock) -> None:
    target = sentinel(api, outbox, clock)
    for seq, status in enumerate(("new", "closed", "active"), 1):
        deliver(target, outbox, clock, [incident(seq=seq, status=status)])
    assert [row["EmitAlert"] for row in rows(api)] == [True, False, True]


def test_a_flood_is_capped_with_a_roll_up_and_nothing_is_lost(
    api: AzureApi, outbox: SqlOutbox, clock: TestClock
) -> None:
    target = sentinel(api, outbox, clock)
    worst = incident(99, severity=Severity.CRITICAL)
    deliver(target, outbox, clock, [*(incident(n) for n in range(1, 60)), worst])
    raised = alerts_raised(api)
    assert len(raised) == 25, "24 of their own and the roll-up"
    assert raised.count("36 further incidents") == 1
    assert "Incident 99 [00000000]" in raised, "the most severe is never rolled up"
    assert len({row["IncidentKey"] for row in rows(api)}) == 61, "every incident has its row, and the roll-up"
    (roll_up,) = [row for row in rows(api) if "RolledUp" in row]
    silent = {row["IncidentKey"] for row in rows(api) if not row["EmitAlert"]}
    assert set(roll_up["RolledUp"]) == silent

    report = deliver(target, outbox, clock, [incident(200)])
    assert report == PublishReport(retried=1), "the minute's alerts are spent"
    clock.advance(seconds=62)
    assert deliver(target, outbox, clock) == PublishReport(done=1)
    assert alerts_raised(api) == ["Incident 200 [00000000]"]


def test_throttling_waits_as_long_as_it_is_told(api: AzureApi, outbox: SqlOutbox, clock: TestClock) -> None:
    target = sentinel(api, outbox, clock)
    api.fail_next("ingest", 429, retry_after=7)
    assert deliver(target, outbox, clock, [incident()]) == PublishReport(retried=1)
    clock.advance(seconds=6.9)
    assert deliver(target, outbox, clock) == PublishReport()
    clock.advance(seconds=1.2)
    assert deliver(target, outbox, clock) == PublishReport(done=1)
    assert len(rows(api)) == 1


def test_a_new_role_is_waited_for_and_the_error_names_it(api: AzureApi, outbox: SqlOutbox, clock: TestClock) -> None:
    target = sentinel(api, outbox, clock)
    api.fail_next("ingest", 403, times=3)
    for _ in range(3):
        assert deliver(target, outbox, clock, [incident()]).retried == 1
        clock.advance(seconds=91)
    assert deliver(target, outbox, clock) == PublishReport(done=1)
    api.fail_next("ingest", 403)
    error = target._ingestion.send(INCIDENT.stream, [{"Title": "x"}])[0]
    assert isinstance(error, Denied)
    assert "Monitoring Metrics Publisher" in str(error)


def test_an_outage_is_given_up_after_two_days(api: AzureApi, outbox: SqlOutbox, clock: TestClock) -> None:
    target = sentinel(api, outbox, clock)
    deliver(target, outbox, clock, [])
    api.fail_next("ingest", 503, times=2)
    assert deliver(target, outbox, clock, [incident()]).retried == 1
    clock.advance(hours=49)
    assert deliver(target, outbox, clock) == PublishReport(poisoned=1)


def test_large_batches_are_cut_below_the_limit(api: AzureApi, outbox: SqlOutbox, clock: TestClock) -> None:
    target = sentinel(api, outbox, clock, kinds=["alert"])
    alerts = [
        replace(ALERT, id=f"alert-{n}", context={"note": "x" * 12_000, "n": n}, message="m" * 4000) for n in range(150)
    ]
    report = deliver(target, outbox, clock, [incident(alert_ids=tuple(a.id for a in alerts))], alerts=alerts)
    assert report == PublishReport(done=150)
    sizes = [len(call.body) for call in api.requests]
    assert len(sizes) > 1
    assert max(sizes) <= 900_000
    assert len(api.tables[EVIDENCE.stream]) == 150


def test_a_smaller_limit_halves_the_batch(monkeypatch: pytest.MonkeyPatch, outbox: SqlOutbox, clock: TestClock) -> None:
    with AzureApi(STREAMS, limits=Limits(ingest_body_bytes=20_000)) as api:
        for name, value in api.managed_identity().items():
            monkeypatch.setenv(name, value)
        target = sentinel(api, outbox, clock)
        assert deliver(target, outbox, clock, [incident(n) for n in range(1, 25)]) == PublishReport(done=24)
        assert len({row["IncidentKey"] for row in rows(api)}) == 24
        assert len(rows(api)) == 24, "no row twice"


def test_a_poison_entry_does_not_hold_up_the_others(api: AzureApi, outbox: SqlOutbox, clock: TestClock) -> None:
    target = sentinel(api, outbox, clock)
    outbox.add([OutboxEntry("sentinel", "incident", "broken", 1, {"incident": {"id": 7}}, T0)])
    assert deliver(target, outbox, clock, [incident(1), incident(2)]) == PublishReport(done=2, poisoned=1)
    assert deliver(target, outbox, clock) == PublishReport()


def test_an_unknown_rule_names_the_setting_to_check(api: AzureApi, outbox: SqlOutbox, clock: TestClock) -> None:
    target = sentinel(api, outbox, clock, rule_id="dcr-" + "f" * 32)
    assert deliver(target, outbox, clock, [incident()]).retried == 1


def test_every_kind_of_document_has_its_table(api: AzureApi, outbox: SqlOutbox, clock: TestClock) -> None:
    target = sentinel(api, outbox, clock, kinds=["image", "assessment", "asset", "alert", "incident"])
    finding = Finding("CVE-2026-0001", "pkg:deb/debian/zlib1g@1.2.13", "zlib1g", "1.2.13", Severity.CRITICAL, epss=0.5)
    report = ImageReport(
        "sha256:" + "1" * 64, "acme/api:1", "linux/amd64", Distro("debian", "12"), (), (finding,), (), T0
    )
    assessment = Assessment(
        "assessment-1", "K8S-0016", Status.FAIL, Severity.HIGH, ObjectRef("Pod", "api", "shop", cluster="prod")
    )
    outbox.add(image_entries([target], report, T0))
    outbox.add(assessment_entries([target], [assessment], T0))
    outbox.add(asset_entries([target], [Asset("cluster/prod", "cluster", "prod")], T0))
    assert outbox.add(assessment_entries([target], [assessment], T0)) == 0
    assert publish_outbox(outbox, [target], clock) == PublishReport(done=3)
    assert [(row["Vulnerability"], row["Severity"], row["Epss"]) for row in api.tables[FINDING.stream]] == [
        ("CVE-2026-0001", "Critical", 0.5)
    ]
    assert [row["Kind"] for row in api.tables[INVENTORY.stream]] == ["image", "cluster"] or [
        row["Kind"] for row in api.tables[INVENTORY.stream]
    ] == ["cluster", "image"]
    assert [row["Control"] for row in api.tables[POSTURE.stream]] == ["K8S-0016"]
    for table in TABLES:
        for row in api.tables[table.stream]:
            assert row.keys() <= table.column_names
