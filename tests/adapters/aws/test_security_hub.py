"""ASFF findings through boto3 against moto."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from seawall.adapters.aws import session
from seawall.adapters.aws.security_hub import SecurityHubPublisher, publisher
from seawall.adapters.sql.outbox import SqlOutbox
from seawall.app.publishing import PublishReport, image_entries, publish_outbox
from seawall.domain.errors import Denied
from seawall.domain.findings import Finding, ImageReport
from seawall.domain.packages import Distro
from seawall.domain.severity import Severity
from seawall.settings import Settings

from tests.support.publishing import T0, TestClock, deliver, incident

SECTION = {"region": "eu-west-1", "account_id": "123456789012"}


@pytest.fixture
def hub(aws_environment: dict[str, str]) -> Iterator[Any]:
    session.client.cache_clear()
    client = boto3.client("securityhub")
    client.enable_security_hub()
    yield client
    client.disable_security_hub()
    session.client.cache_clear()


@pytest.fixture
def target(hub: Any, outbox: SqlOutbox, clock: TestClock) -> SecurityHubPublisher:
    return publisher(Settings(security_hub=SECTION), outbox, clock)


def findings(hub: Any) -> dict[str, dict[str, Any]]:
    return {item["Id"]: item for item in hub.get_findings(MaxResults=100)["Findings"]}


def test_changes_of_an_incident_are_one_finding(
    hub: Any, target: SecurityHubPublisher, outbox: SqlOutbox, clock: TestClock
) -> None:
    changes = [incident(1, seq=1), incident(1, seq=2, severity=Severity.CRITICAL), incident(2)]
    assert deliver(target, outbox, clock, changes) == PublishReport(done=3)
    made = findings(hub)
    first = made[f"seawall/{incident(1).id}"]
    assert first["Severity"]["Label"] == "CRITICAL"
    assert first["Types"] == ["TTPs/Execution", "TTPs/Command and Control"]
    assert first["RecordState"] == "ACTIVE"
    assert first["ProductFields"]["seawall/seq"] == "2"
    deliver(target, outbox, clock, [incident(1, seq=3, status="closed")])
    assert findings(hub)[f"seawall/{incident(1).id}"]["RecordState"] == "ARCHIVED"


def test_an_image_is_one_finding_with_its_vulnerabilities(
    hub: Any, target: SecurityHubPublisher, outbox: SqlOutbox, clock: TestClock
) -> None:
    finding = Finding("CVE-2026-1", "pkg:deb/debian/z@1", "z", "1", Severity.HIGH, fixed_version="2")
    report = ImageReport("sha256:" + "1" * 64, "acme/api:1", "linux/amd64", Distro(), (), (finding,), (), T0)
    outbox.add(image_entries([target], report, T0))
    publish_outbox(outbox, [target], clock)
    made = findings(hub)[f"seawall/{report.digest}"]
    assert made["Severity"]["Label"] == "HIGH"
    assert made["Vulnerabilities"][0]["VulnerablePackages"][0]["FixedInVersion"] == "2"


def test_more_than_a_hundred_go_in_calls_of_a_hundred(
    target: SecurityHubPublisher, outbox: SqlOutbox, clock: TestClock
) -> None:
    assert deliver(target, outbox, clock, [incident(n) for n in range(130)]) == PublishReport(done=130)


def test_longest_texts_are_accepted(
    hub: Any, target: SecurityHubPublisher, outbox: SqlOutbox, clock: TestClock
) -> None:
    item = incident(
        7, title="x" * 3000, clusters=tuple(f"cluster-{n}" * 60 for n in range(40)), next_steps=("s" * 4000,)
    )
    assert deliver(target, outbox, clock, [item]) == PublishReport(done=1)
    assert len(findings(hub)[f"seawall/{item.id}"]["Title"]) == 256


class _Refusing:
    def __init__(self, code: str, status: int) -> None:
        self.code, self.status = code, status

    def batch_import_findings(self, **_: Any) -> None:
        from botocore.exceptions import ClientError

        raise ClientError(
            {
                "Error": {"Code": self.code, "Message": "no"},
                "ResponseMetadata": {"HTTPStatusCode": self.status},
            },
            "BatchImportFindings",
        )


@pytest.mark.parametrize(
    ("code", "status", "report"),
    [
        pytest.param("AccessDeniedException", 403, PublishReport(retried=1), id="denied"),
        pytest.param("LimitExceededException", 429, PublishReport(retried=1), id="throttled"),
        pytest.param("InternalException", 500, PublishReport(retried=1), id="down"),
        pytest.param("InvalidInputException", 400, PublishReport(poisoned=1), id="refused"),
    ],
)
def test_errors(outbox: SqlOutbox, clock: TestClock, code: str, status: int, report: PublishReport) -> None:
    section = Settings(security_hub=SECTION).security_hub
    assert section is not None
    target = SecurityHubPublisher(section, _Refusing(code, status))
    assert deliver(target, outbox, clock, [incident()]) == report


def test_a_denied_call_names_the_action() -> None:
    with (
        pytest.raises(Denied, match="securityhub:BatchImportFindings"),
        session.translated("securityhub:BatchImportFindings"),
    ):
        _Refusing("AccessDeniedException", 403).batch_import_findings()
