"""Compatibility mode: incidents put through Sentinel's API, for workspaces that are not in the Defender portal.

Such incidents are not synchronised to the Defender portal and carry no alerts; the portal for them retires on
31 March 2027. Everywhere else use the rows and rules of `sentinel`.
Source: `Microsoft.SecurityInsights/incidents@2025-09-01`; Microsoft Learn, "Create your own incidents manually".
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from seawall.adapters.azure.http import azure_http
from seawall.adapters.azure.identity import azure_credential
from seawall.adapters.azure.rows import TITLE_BYTES, cut, incident_row
from seawall.adapters.rest import Conflict, JsonHttp
from seawall.app.publishing import one_by_one, outcome_of
from seawall.domain.errors import NotFound, SeawallError
from seawall.domain.publishing import DONE, Kind, Outcome, incident_of
from seawall.ports.clock import Clock
from seawall.ports.outbox import Outbox, OutboxEntry
from seawall.settings import SentinelWorkspace, Settings

API_VERSION = "2025-09-01"
ROLE = "the role Microsoft Sentinel Contributor (Microsoft.SecurityInsights/incidents/write)"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://seawall.dev/incident")
DESCRIPTION_CHARACTERS = 5000
CONFLICT_TRIES = 3


def incident_name(incident_id: str) -> str:
    """Return the GUID that names an incident in the API: the same incident is the same resource."""
    return str(uuid.uuid5(NAMESPACE, incident_id))


class SentinelIncidents:
    """Fulfils `ports.publisher.BatchPublisher`."""

    id = "sentinel_incidents"
    kinds = frozenset({Kind.INCIDENT})

    def __init__(self, workspace: SentinelWorkspace, http: JsonHttp, clock: Clock) -> None:
        self._http, self._clock = http, clock
        self._base = (
            f"/subscriptions/{workspace.subscription_id}/resourceGroups/{workspace.resource_group}/providers/"
            f"Microsoft.OperationalInsights/workspaces/{workspace.workspace}/providers/Microsoft.SecurityInsights/incidents/"
        )

    def publish_batch(self, entries: Sequence[OutboxEntry]) -> list[Outcome]:
        """See the port."""
        return one_by_one(entries, self._one)

    def _one(self, entry: OutboxEntry) -> Outcome:
        try:
            for _ in range(CONFLICT_TRIES - 1):
                try:
                    self._put(entry)
                except Conflict:
                    continue
                return DONE
            self._put(entry)
        except SeawallError as error:
            return outcome_of(error)
        return DONE

    def _put(self, entry: OutboxEntry) -> None:
        """Read, merge, write with the etag: an analyst's change in between is a conflict and is read again."""
        incident, alerts = incident_of(entry.body)
        path = self._base + incident_name(incident.id)
        present = self._get(path)
        row = incident_row(incident, alerts, len(incident.alert_ids), emit=False, now=self._clock.now())
        theirs: dict[str, Any] = present.get("properties", {}) if present else {}
        closed = incident.status == "closed" or bool(incident.merged_into)
        properties = {
            "title": cut(row["Title"], TITLE_BYTES),
            "description": row["Description"][:DESCRIPTION_CHARACTERS],
            "severity": row["Severity"],
            # What an analyst set stays, except that we close what is closed here.
            "status": "Closed" if closed else theirs.get("status") or row["Status"],
            "firstActivityTimeUtc": row["FirstSeen"],
            "lastActivityTimeUtc": row["LastSeen"],
            "labels": _labels(theirs, incident.id),
        }
        for name in ("owner", "classification", "classificationComment", "classificationReason"):
            if theirs.get(name):
                properties[name] = theirs[name]
        if closed and "classification" not in properties:
            properties["classification"] = "Undetermined"
        body: dict[str, Any] = {"properties": properties}
        if present and present.get("etag"):
            body["etag"] = present["etag"]
        self._http.call("PUT", path, body, params={"api-version": API_VERSION})

    def _get(self, path: str) -> dict[str, Any] | None:
        try:
            answer: dict[str, Any] = self._http.call("GET", path, params={"api-version": API_VERSION})
        except NotFound:
            return None
        return answer


def _labels(theirs: dict[str, Any], incident_id: str) -> list[dict[str, str]]:
    names = [str(label.get("labelName", "")) for label in theirs.get("labels", [])]
    return [{"labelName": name} for name in dict.fromkeys([*names, "seawall", incident_id]) if name]


def publisher(settings: Settings, outbox: Outbox, clock: Clock) -> SentinelIncidents:  # noqa: ARG001 - every factory has this form
    """Return the publisher that the settings describe."""
    section = settings.sentinel_incidents
    assert section is not None
    http = azure_http(
        section.endpoint,
        section.audience,
        azure_credential(settings.azure),
        needs=ROLE,
        ca_file=str(section.ca_file or ""),
    )
    return SentinelIncidents(section, http, clock)
