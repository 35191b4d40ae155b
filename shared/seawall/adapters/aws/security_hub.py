"""Incidents and images with vulnerabilities as AWS Security Hub findings (ASFF, schema 2018-10-08).

`BatchImportFindings` creates or updates by `Id`: the same incident is the same finding. It takes 100 findings and 240 KB
each. Source: AWS Security Hub user guide, "AWS Security Finding Format", "Using BatchImportFindings".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from seawall.adapters.aws.session import client, translated
from seawall.app.publishing import outcome_of
from seawall.domain.alerts import Alert, EntityKind, Incident
from seawall.domain.errors import InputError, SeawallError
from seawall.domain.findings import ImageReport
from seawall.domain.publishing import DONE, Kind, Outcome, State, image_of, incident_of
from seawall.domain.severity import Severity
from seawall.ports.clock import Clock
from seawall.ports.outbox import Outbox, OutboxEntry
from seawall.settings import SecurityHubSettings, Settings

PER_CALL = 100
TITLE, DESCRIPTION, FIELD = 256, 1024, 2048

_LABEL = {
    Severity.CRITICAL: "CRITICAL",
    Severity.HIGH: "HIGH",
    Severity.MEDIUM: "MEDIUM",
    Severity.LOW: "LOW",
    Severity.INFORMATIONAL: "INFORMATIONAL",
    Severity.UNKNOWN: "INFORMATIONAL",
}
_TACTIC_TYPES = {
    "initial-access": "TTPs/Initial Access",
    "execution": "TTPs/Execution",
    "persistence": "TTPs/Persistence",
    "privilege-escalation": "TTPs/Privilege Escalation",
    "defense-evasion": "TTPs/Defense Evasion",
    "credential-access": "TTPs/Credential Access",
    "discovery": "TTPs/Discovery",
    "lateral-movement": "TTPs/Lateral Movement",
    "collection": "TTPs/Collection",
    "command-and-control": "TTPs/Command and Control",
    "exfiltration": "Effects/Data Exfiltration",
    "impact": "Effects/Data Destruction",
}


class SecurityHubPublisher:
    """Fulfils `ports.publisher.BatchPublisher`."""

    id = "security_hub"

    def __init__(self, settings: SecurityHubSettings, hub: Any) -> None:
        self._settings, self._hub = settings, hub
        self.kinds = frozenset({Kind.INCIDENT, Kind.IMAGE} if settings.images else {Kind.INCIDENT})
        self._product = settings.product_arn or (
            f"arn:{_partition(settings.region)}:securityhub:{settings.region}:{settings.account_id}:product/"
            f"{settings.account_id}/default"
        )

    def publish_batch(self, entries: Sequence[OutboxEntry]) -> list[Outcome]:
        """See the port. Of several changes of one incident in a batch only the last is sent: it says it all."""
        outcomes: list[Outcome] = [DONE] * len(entries)
        findings: dict[str, tuple[list[int], dict[str, Any]]] = {}
        for position, entry in enumerate(entries):
            try:
                finding = self._finding(entry)
            except InputError as error:
                outcomes[position] = outcome_of(error)
                continue
            if finding is not None:
                earlier = findings.get(finding["Id"], ([], finding))[0]
                findings[finding["Id"]] = ([*earlier, position], finding)
        waiting = list(findings.values())
        for start in range(0, len(waiting), PER_CALL):
            for positions, outcome in self._import(waiting[start : start + PER_CALL]):
                for position in positions:
                    outcomes[position] = outcome
        return outcomes

    def _import(self, chunk: Sequence[tuple[list[int], dict[str, Any]]]) -> list[tuple[list[int], Outcome]]:
        try:
            with translated("securityhub:BatchImportFindings"):
                answer = self._hub.batch_import_findings(Findings=[finding for _, finding in chunk])
        except SeawallError as error:
            return [(positions, outcome_of(error)) for positions, _ in chunk]
        refused = {item["Id"]: item for item in answer.get("FailedFindings", [])}
        return [
            (positions, _refusal(refused[finding["Id"]]) if finding["Id"] in refused else DONE)
            for positions, finding in chunk
        ]

    def _finding(self, entry: OutboxEntry) -> dict[str, Any] | None:
        if entry.kind == Kind.INCIDENT:
            return self._incident(*incident_of(entry.body))
        if entry.kind == Kind.IMAGE:
            return self._image(image_of(entry.body)[0])
        raise InputError(f"Security Hub takes no {entry.kind}")

    def _common(self, finding_id: str, generator: str, created: datetime, updated: datetime) -> dict[str, Any]:
        return {
            "SchemaVersion": "2018-10-08",
            "Id": f"seawall/{finding_id}",
            "ProductArn": self._product,
            "ProductName": "Seawall",
            "CompanyName": "Seawall",
            "GeneratorId": generator,
            "AwsAccountId": self._settings.account_id,
            "CreatedAt": _time(created),
            "UpdatedAt": _time(updated),
        }

    def _incident(self, incident: Incident, alerts: Sequence[Alert]) -> dict[str, Any]:
        kinds = [_TACTIC_TYPES[tactic] for tactic in incident.tactics if tactic in _TACTIC_TYPES]
        closed = incident.status == "closed" or bool(incident.merged_into)
        lines = [alert.message for alert in alerts[:5]] or [incident.title]
        finding = self._common(incident.id, "seawall/incident", incident.first_seen, incident.last_seen) | {
            "FirstObservedAt": _time(incident.first_seen),
            "LastObservedAt": _time(incident.last_seen),
            "Types": kinds[:50] or ["Unusual Behaviors/Container"],
            "Severity": {"Label": _LABEL[incident.severity]},
            "Title": incident.title[:TITLE] or "Incident",
            "Description": ("\n".join(lines))[:DESCRIPTION] or "Incident",
            "Resources": [self._resource(cluster) for cluster in incident.clusters[:10]] or [self._resource("cluster")],
            "ProductFields": _fields(
                {
                    "seawall/incident": incident.id,
                    "seawall/seq": str(incident.seq),
                    "seawall/actors": ", ".join(incident.actors),
                    "seawall/techniques": ", ".join(incident.attack),
                    "seawall/pods": ", ".join(
                        entity.id for entity in incident.entities if entity.kind is EntityKind.POD
                    ),
                }
            ),
            "RecordState": "ARCHIVED" if closed else "ACTIVE",
        }
        if incident.next_steps:
            finding["Remediation"] = {"Recommendation": {"Text": " ".join(incident.next_steps)[:512]}}
        return finding

    def _image(self, report: ImageReport) -> dict[str, Any]:
        open_findings = [item for item in report.findings if item.status == "open"]
        worst = max((item.severity for item in open_findings), default=Severity.INFORMATIONAL)
        shown = sorted(open_findings, key=lambda item: (-item.severity, item.id))[:20]
        return self._common(report.digest, "seawall/image", report.scanned_at, report.scanned_at) | {
            "Types": ["Software and Configuration Checks/Vulnerabilities/CVE"],
            "Severity": {"Label": _LABEL[worst]},
            "Title": f"{len(open_findings)} vulnerabilities in {report.name}"[:TITLE],
            "Description": (", ".join(f"{item.id} in {item.package}" for item in shown) or "none open")[:DESCRIPTION],
            "Resources": [
                {
                    "Type": "Container",
                    "Id": f"{report.name}@{report.digest}"[:512],
                    "Region": self._settings.region,
                    "Details": {"Container": {"ImageId": report.digest, "ImageName": report.name[:512]}},
                }
            ],
            "Vulnerabilities": [
                {
                    "Id": item.id,
                    "VulnerablePackages": [
                        {"Name": item.package, "Version": item.installed_version}
                        | ({"FixedInVersion": item.fixed_version} if item.fixed_version else {})
                    ],
                }
                for item in shown
            ],
            "RecordState": "ACTIVE" if open_findings else "ARCHIVED",
        }

    def _resource(self, cluster: str) -> dict[str, Any]:
        kind = "AwsEksCluster" if cluster.startswith("arn:") and ":eks:" in cluster else "Other"
        return {"Type": kind, "Id": cluster[:512], "Region": self._settings.region}


def _refusal(failed: dict[str, Any]) -> Outcome:
    code = str(failed.get("ErrorCode", ""))
    busy = "Throttl" in code or "Internal" in code or "Limit" in code
    return Outcome(State.RETRY if busy else State.POISON, f"{code}: {failed.get('ErrorMessage', '')}")


def _fields(values: dict[str, str]) -> dict[str, str]:
    return {name: value[:FIELD] for name, value in values.items() if value}


def _partition(region: str) -> str:
    return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def publisher(settings: Settings, outbox: Outbox, clock: Clock) -> SecurityHubPublisher:  # noqa: ARG001 - every factory has this form
    """Return the publisher that the settings describe."""
    section = settings.security_hub
    assert section is not None
    return SecurityHubPublisher(section, client("securityhub", section.region))
