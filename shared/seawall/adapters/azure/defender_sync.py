"""What analysts decide in the Defender portal, back into our incidents: status, classification, owner.

Reads `GET /security/incidents?$expand=alerts`, knows our incidents by the custom detail `IncidentKey` of their alerts,
and writes nothing to the portal. Needs the application permission SecurityIncident.Read.All. Only the app that runs this
carries msgraph-sdk.
Source: Microsoft Graph, "List incidents"; limit 150 requests a minute.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from seawall.adapters.azure.identity import azure_credential
from seawall.domain.alerts import Incident
from seawall.domain.errors import Denied, MissingExtra, MissingSetting, RemoteError, Unavailable
from seawall.settings import DefenderSyncSettings, Settings

if TYPE_CHECKING:
    from msgraph import GraphServiceClient

log = logging.getLogger(__name__)

PERMISSION = "the Microsoft Graph application permission SecurityIncident.Read.All"
PAGE = 50
MAX_PAGES = 100
STATUS = {"active": "active", "inProgress": "active", "awaitingAction": "active", "resolved": "closed"}
"""The portal's word: ours. A merged ("redirected") incident says nothing about ours."""


class Incidents(Protocol):
    """What the sync needs of the store."""

    def get(self, id: str) -> Incident | None:  # noqa: A002
        """One incident."""

    def decide(self, id: str, *, status: str, classification: str, owner: str) -> Incident | None:  # noqa: A002
        """Keep an analyst's decision; empty texts change nothing."""


def sync(settings: Settings, incidents: Incidents, now: datetime | None = None) -> int:
    """Bring our incidents up to date with the portal's; return how many changed. The same again changes nothing.

    Raises:
        Denied: the permission is missing. Unavailable: Graph does not answer or throttles.
    """
    section = settings.defender_sync
    if section is None:
        raise MissingSetting("SEAWALL_DEFENDER_SYNC", "sync with the Defender portal")
    since = (now or datetime.now(UTC)) - timedelta(minutes=section.overlap_minutes)
    return asyncio.run(_sync(settings, section, incidents, since))


async def _sync(settings: Settings, section: DefenderSyncSettings, incidents: Incidents, since: datetime) -> int:
    try:
        from kiota_abstractions.api_error import APIError
        from kiota_abstractions.base_request_configuration import RequestConfiguration
        from msgraph.generated.security.incidents.incidents_request_builder import IncidentsRequestBuilder
    except ImportError as error:
        raise MissingExtra("defender-sync", "sync with the Defender portal") from error
    import httpx

    query = IncidentsRequestBuilder.IncidentsRequestBuilderGetQueryParameters(
        filter=f"lastUpdateDateTime ge {since.astimezone(UTC).isoformat(timespec='seconds').replace('+00:00', 'Z')}",
        expand=["alerts"],
        top=PAGE,
    )
    async with httpx.AsyncClient(verify=_verify(section), base_url=section.endpoint, timeout=30) as http:
        graph = _client(settings, section, http)
        changed = 0
        try:
            page = await graph.security.incidents.get(RequestConfiguration(query_parameters=query))
            for _ in range(MAX_PAGES):
                if page is None:
                    break
                changed += sum(_take(item, incidents) for item in page.value or [])
                if not page.odata_next_link:
                    break
                page = await graph.security.incidents.with_url(page.odata_next_link).get()
        except APIError as error:
            raise _translated(error) from error
        except httpx.HTTPError as error:
            raise Unavailable(f"Graph: {type(error).__name__}") from error
    return changed


def _client(settings: Settings, section: DefenderSyncSettings, http: Any) -> GraphServiceClient:
    from urllib.parse import urlsplit

    from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
    from msgraph import GraphRequestAdapter, GraphServiceClient
    from msgraph_core import GraphClientFactory

    parts = urlsplit(section.endpoint)
    provider = AzureIdentityAuthenticationProvider(
        azure_credential(settings.azure),
        scopes=["https://graph.microsoft.com/.default"],
        allowed_hosts=[parts.hostname or ""],
    )
    adapter = GraphRequestAdapter(provider, client=GraphClientFactory.create_with_default_middleware(client=http))
    adapter.base_url = section.endpoint
    return GraphServiceClient(request_adapter=adapter)


def _verify(section: DefenderSyncSettings) -> Any:
    import ssl

    return ssl.create_default_context(cafile=str(section.ca_file)) if section.ca_file else True


def _take(portal: Any, incidents: Incidents) -> int:
    """Apply one incident of the portal to ours; return how many of ours changed."""
    status = STATUS.get(str(getattr(portal.status, "value", portal.status or "")), "")
    classification = str(getattr(portal.classification, "value", "") or "")
    classification = "" if classification in ("unknown", "unknownFutureValue") else classification
    changed = 0
    for key in sorted({key for alert in portal.alerts or [] for key in _keys(alert)}):
        ours = incidents.get(key)
        if ours is None:
            continue
        updated = portal.last_update_date_time
        stale = updated is not None and updated < ours.last_seen
        if status == "active" and ours.status == "new" and not portal.assigned_to and not classification:
            continue  # "active" is how the portal opens every incident
        after = incidents.decide(
            key,
            status="" if stale and status == "closed" else status,
            classification=classification,
            owner=str(portal.assigned_to or ""),
        )
        changed += after != ours
    return changed


def _keys(alert: Any) -> Iterator[str]:
    """Yield the `IncidentKey`s that an alert carries, wherever the portal keeps its custom details."""
    for holder in (alert.custom_details, alert.additional_data_property):
        if holder is not None:
            yield from _found(holder.additional_data)


def _found(value: Any, depth: int = 0) -> Iterator[str]:
    if depth > 4:
        return
    if isinstance(value, str) and value.startswith(("{", "[")):
        try:
            value = json.loads(value)
        except ValueError:
            return
    if isinstance(value, dict):
        for name, item in value.items():
            if name == "IncidentKey":
                yield from (text for text in (item if isinstance(item, list) else [item]) if isinstance(text, str))
            else:
                yield from _found(item, depth + 1)


def _translated(error: Any) -> RemoteError:
    status = error.response_status_code or 0
    if status in (401, 403):
        return Denied(f"Graph answered {status}", hint=f"needs {PERMISSION}")
    return Unavailable(f"Graph answered {status}", hint=str(error.message or ""))
