"""Incidents and images with vulnerabilities as findings of Google Security Command Center (API v2).

`findings.patch` creates or updates by name: the same incident is the same finding.
Source: Google Cloud, "Security Command Center API: organizations.sources.locations.findings".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from seawall.adapters.rest import JsonHttp
from seawall.app.publishing import outcome_of
from seawall.domain.alerts import Alert, Incident
from seawall.domain.errors import InputError, SeawallError
from seawall.domain.findings import ImageReport
from seawall.domain.publishing import DONE, Kind, Outcome, image_of, incident_of
from seawall.domain.severity import Severity
from seawall.ports.clock import Clock
from seawall.ports.outbox import Outbox, OutboxEntry
from seawall.settings import SecurityCommandCenterSettings, Settings

PERMISSION = "securitycenter.findings.update on the source (role Security Center Findings Editor)"
PROPERTY_CHARACTERS = 8192
_SEVERITY = {
    Severity.CRITICAL: "CRITICAL",
    Severity.HIGH: "HIGH",
    Severity.MEDIUM: "MEDIUM",
    Severity.LOW: "LOW",
    Severity.INFORMATIONAL: "LOW",
    Severity.UNKNOWN: "SEVERITY_UNSPECIFIED",
}


class SecurityCommandCenterPublisher:
    """Fulfils `ports.publisher.BatchPublisher`."""

    id = "security_command_center"
    kinds = frozenset({Kind.INCIDENT, Kind.IMAGE})

    def __init__(self, settings: SecurityCommandCenterSettings, http: JsonHttp) -> None:
        self._http = http
        self._parent = f"/v2/{settings.source}/locations/{settings.location}/findings/"

    def publish_batch(self, entries: Sequence[OutboxEntry]) -> list[Outcome]:
        """See the port. A service that refuses or throttles is not asked again in this round."""
        outcomes: list[Outcome] = []
        stop: SeawallError | None = None
        for entry in entries:
            try:
                if stop is not None:
                    raise stop
                self._put(entry)
            except InputError as error:
                outcomes.append(outcome_of(error))
            except SeawallError as error:
                stop = error
                outcomes.append(outcome_of(error))
            else:
                outcomes.append(DONE)
        return outcomes

    def _put(self, entry: OutboxEntry) -> None:
        if entry.kind == Kind.INCIDENT:
            incident, alerts = incident_of(entry.body)
            finding = incident_finding(incident, alerts)
            name = incident.id
        elif entry.kind == Kind.IMAGE:
            report = image_of(entry.body)[0]
            finding, name = image_finding(report), report.digest
        else:
            raise InputError(f"Security Command Center takes no {entry.kind}")
        self._http.call("PATCH", self._parent + finding_id(name), finding)


def finding_id(name: str) -> str:
    """Return 32 letters and digits, the same for the same thing: what the API takes as a finding's id."""
    return sha256(name.encode()).hexdigest()[:32]


def incident_finding(incident: Incident, alerts: Sequence[Alert]) -> dict[str, Any]:
    """Return the finding of an incident."""
    closed = incident.status == "closed" or bool(incident.merged_into)
    return {
        "state": "INACTIVE" if closed else "ACTIVE",
        "category": "SEAWALL_INCIDENT",
        "findingClass": "THREAT",
        "severity": _SEVERITY[incident.severity],
        "eventTime": _time(incident.last_seen),
        "resourceName": _resource(incident.clusters[0] if incident.clusters else "cluster"),
        "description": "\n".join([incident.title, *(alert.message for alert in alerts[:10])])[:PROPERTY_CHARACTERS],
        "nextSteps": "\n".join(incident.next_steps)[:PROPERTY_CHARACTERS],
        "sourceProperties": _properties(
            {
                "incident": incident.id,
                "seq": str(incident.seq),
                "techniques": ", ".join(incident.attack),
                "actors": ", ".join(incident.actors),
                "clusters": ", ".join(incident.clusters),
            }
        ),
    }


def image_finding(report: ImageReport) -> dict[str, Any]:
    """Return the finding of an image with open vulnerabilities; inactive when none is open."""
    open_findings = sorted(
        (item for item in report.findings if item.status == "open"), key=lambda item: (-item.severity, item.id)
    )
    worst = open_findings[0].severity if open_findings else Severity.UNKNOWN
    return {
        "state": "ACTIVE" if open_findings else "INACTIVE",
        "category": "SEAWALL_IMAGE_VULNERABILITIES",
        "findingClass": "VULNERABILITY",
        "severity": _SEVERITY[worst],
        "eventTime": _time(report.scanned_at),
        "resourceName": f"//artifactregistry.googleapis.com/{report.name}@{report.digest}",
        "description": f"{len(open_findings)} open vulnerabilities in {report.name}",
        "sourceProperties": _properties(
            {
                "image": report.name,
                "digest": report.digest,
                "vulnerabilities": ", ".join(f"{item.id} in {item.package}" for item in open_findings[:100]),
            }
        ),
    }


def _resource(cluster: str) -> str:
    return f"//container.googleapis.com/{cluster}" if cluster.startswith("projects/") else cluster


def _properties(values: dict[str, str]) -> dict[str, str]:
    return {name: value[:PROPERTY_CHARACTERS] for name, value in values.items() if value}


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def publisher(settings: Settings, outbox: Outbox, clock: Clock) -> SecurityCommandCenterPublisher:  # noqa: ARG001 - every factory has this form
    """Return the publisher that the settings describe."""
    from seawall.adapters.gcp.identity import access_token

    section = settings.security_command_center
    assert section is not None
    http = JsonHttp(section.endpoint, access_token, needs=PERMISSION, ca_file=str(section.ca_file or ""))
    return SecurityCommandCenterPublisher(section, http)
