"""Which parts of which alerts become indicators, and how they are uploaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from seawall.adapters.azure.indicators import indicators_of, publisher
from seawall.adapters.sql.outbox import SqlOutbox
from seawall.app.publishing import PublishReport
from seawall.domain.alerts import Alert, Entity, EntityKind
from seawall.domain.severity import Severity
from seawall.settings import Settings

from tests.support.azure_api import AzureApi
from tests.support.publishing import ALERT, TestClock, deliver, incident

RUNTIME = replace(ALERT, source="runtime", source_ip="", entities=(), context={}, analytic="RT-1")


def talking_to(kind: EntityKind, value: str, **changes: Any) -> Alert:
    return replace(RUNTIME, entities=(Entity(kind, value),), **changes)


@pytest.mark.parametrize(
    ("alert", "patterns"),
    [
        pytest.param(
            talking_to(EntityKind.DOMAIN, "Pool.Miner.example."),
            ["[domain-name:value = 'pool.miner.example']"],
            id="domain",
        ),
        pytest.param(talking_to(EntityKind.DOMAIN, "api.shop.svc.cluster.local"), [], id="domain of the cluster"),
        pytest.param(talking_to(EntityKind.DOMAIN, "x' OR 'y"), [], id="not a domain"),
        pytest.param(talking_to(EntityKind.IP, "8.8.4.4"), ["[ipv4-addr:value = '8.8.4.4']"], id="public address"),
        pytest.param(talking_to(EntityKind.IP, "2606:4700::1"), ["[ipv6-addr:value = '2606:4700::1']"], id="IPv6"),
        pytest.param(talking_to(EntityKind.IP, "10.0.0.7"), [], id="private address"),
        pytest.param(talking_to(EntityKind.IP, "8.8.4.4", source_ip="8.8.4.4"), [], id="where the caller came from"),
        pytest.param(talking_to(EntityKind.IP, "8.8.4.4", source="audit"), [], id="not seen at run time"),
        pytest.param(talking_to(EntityKind.IP, "8.8.4.4", severity=Severity.MEDIUM), [], id="not severe"),
        pytest.param(
            replace(RUNTIME, context={"sha256": "A" * 64}), [f"[file:hashes.'SHA-256' = '{'a' * 64}']"], id="file hash"
        ),
        pytest.param(replace(RUNTIME, context={"sha256": "abc"}), [], id="not a hash"),
    ],
)
def test_indicators(alert: Alert, patterns: list[str]) -> None:
    assert [item["pattern"] for item in indicators_of(alert, 30)] == patterns


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureApi]:
    with AzureApi() as stub:
        for name, value in stub.managed_identity().items():
            monkeypatch.setenv(name, value)
        yield stub


def test_upload_in_hundreds_and_wait_when_throttled(api: AzureApi, outbox: SqlOutbox, clock: TestClock) -> None:
    section = {"workspace_id": "00000000-0000-0000-0000-000000000001", "endpoint": api.url, "ca_file": api.ca_file}
    target = publisher(Settings(indicators=section), outbox, clock)
    alerts = [replace(talking_to(EntityKind.DOMAIN, f"host{n}.miner.example"), id=f"alert-{n}") for n in range(150)] + [
        replace(RUNTIME, id="alert-none")
    ]
    api.fail_next("ti", 429, retry_after=3)
    report = deliver(target, outbox, clock, [incident()], alerts=alerts)
    assert (report.done, report.retried) == (1, 150), "the one without an indicator is done"
    clock.advance(seconds=5)
    assert deliver(target, outbox, clock) == PublishReport(done=150)
    assert len({item["id"] for item in api.stix}) == 150
    assert all(item["spec_version"] == "2.1" and item["pattern_type"] == "stix" for item in api.stix)
