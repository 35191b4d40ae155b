"""Indicators out of alerts, as STIX 2.1, into Sentinel's threat intelligence.

Only what an alert itself names as hostile becomes an indicator: the hash of a file that a malware rule matched, and
public addresses and domains that a workload talked to in an alert of at least high severity. Source addresses of people
and workloads never do: they are often the victim's own.
Source: Microsoft Learn, "STIX objects upload API" (preview); STIX 2.1, section 4.7.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from seawall.adapters.azure.http import azure_http
from seawall.adapters.azure.identity import azure_credential
from seawall.adapters.rest import JsonHttp
from seawall.app.publishing import outcome_of
from seawall.domain.alerts import Alert, EntityKind
from seawall.domain.errors import InputError, SeawallError
from seawall.domain.publishing import DONE, Kind, Outcome, alert_of
from seawall.domain.severity import Severity
from seawall.ports.clock import Clock
from seawall.ports.outbox import Outbox, OutboxEntry
from seawall.settings import IndicatorSettings, Settings

API_VERSION = "2024-02-01-preview"
ROLE = "the role Microsoft Sentinel Contributor on the workspace (Microsoft.SecurityInsights/threatIntelligence/write)"
OBJECTS_PER_REQUEST = 100
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://seawall.dev/indicator")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_DOMAIN = re.compile(r"^(?=.{4,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}$")
_INTERNAL = (".local", ".internal", ".svc", ".localdomain", ".arpa", ".home", ".lan", ".corp")
_HASHES = ("sha256", "file_sha256", "process_sha256")


def indicators_of(alert: Alert, valid_days: int) -> Iterator[dict[str, Any]]:
    """Yield the indicators of one alert; ids follow from the pattern, so the same thing seen twice is one indicator."""
    if alert.source != "runtime" or alert.severity < Severity.HIGH:
        return
    for name in _HASHES:
        value = str(alert.context.get(name, "")).lower()
        if _SHA256.match(value):
            yield _indicator(alert, f"[file:hashes.'SHA-256' = '{value}']", f"File {value[:12]}", valid_days)
    for entity in alert.entities:
        if entity.kind is EntityKind.DOMAIN and _DOMAIN.match(domain := entity.id.lower().rstrip(".")):
            if not domain.endswith(_INTERNAL):
                yield _indicator(alert, f"[domain-name:value = '{domain}']", domain, valid_days)
        elif entity.kind is EntityKind.IP and entity.id != alert.source_ip:
            try:
                address = ipaddress.ip_address(entity.id)
            except ValueError:
                continue
            if address.is_global:
                yield _indicator(alert, f"[ipv{address.version}-addr:value = '{address}']", str(address), valid_days)


def _indicator(alert: Alert, pattern: str, name: str, valid_days: int) -> dict[str, Any]:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid5(NAMESPACE, pattern)}",
        "created": _time(alert.first_seen),
        "modified": _time(alert.last_seen),
        "name": name,
        "description": f"{alert.title} ({alert.analytic})",
        "indicator_types": ["malicious-activity"],
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": _time(alert.first_seen),
        "valid_until": _time(alert.last_seen + timedelta(days=valid_days)),
        "confidence": {"high": 85, "medium": 60, "low": 30}.get(alert.confidence, 50),
        "labels": ["seawall", *alert.attack],
    }


class IndicatorPublisher:
    """Fulfils `ports.publisher.BatchPublisher`."""

    id = "indicators"
    kinds = frozenset({Kind.ALERT})

    def __init__(self, settings: IndicatorSettings, http: JsonHttp) -> None:
        self._http, self._valid_days = http, settings.valid_days
        self._path = f"/workspaces/{settings.workspace_id}/threat-intelligence-stix-objects:upload"

    def publish_batch(self, entries: Sequence[OutboxEntry]) -> list[Outcome]:
        """See the port. An alert without indicators is done at once."""
        outcomes: list[Outcome | None] = [None] * len(entries)
        waiting: list[tuple[int, dict[str, Any]]] = []
        for position, entry in enumerate(entries):
            try:
                found = list(indicators_of(alert_of(entry.body)[0], self._valid_days))
            except InputError as error:
                outcomes[position] = outcome_of(error)
                continue
            waiting += [(position, item) for item in found]
        for start in range(0, len(waiting), OBJECTS_PER_REQUEST):
            chunk = waiting[start : start + OBJECTS_PER_REQUEST]
            refusal = self._upload([item for _, item in chunk])
            if refusal is not None:
                for position, _ in waiting[start:]:
                    outcomes[position] = outcome_of(refusal)
                break
        return [outcome or DONE for outcome in outcomes]

    def _upload(self, objects: list[dict[str, Any]]) -> SeawallError | None:
        unique = list({item["id"]: item for item in objects}.values())
        try:
            self._http.call(
                "POST",
                self._path,
                {"sourcesystem": "Seawall", "stixobjects": unique},
                params={"api-version": API_VERSION},
            )
        except SeawallError as error:
            return error
        return None


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def publisher(settings: Settings, outbox: Outbox, clock: Clock) -> IndicatorPublisher:  # noqa: ARG001 - every factory has this form
    """Return the publisher that the settings describe."""
    section = settings.indicators
    assert section is not None
    http = azure_http(
        section.endpoint,
        section.audience,
        azure_credential(settings.azure),
        needs=ROLE,
        ca_file=str(section.ca_file or ""),
    )
    return IndicatorPublisher(section, http)
