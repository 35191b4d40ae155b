"""What analysts decide in the Defender portal, back into our incidents, and with `write_back` the other way too.

Reads `GET /security/incidents?$expand=alerts` and knows our incidents by the custom detail `IncidentKey` of their alerts.
What both sides last agreed on is kept, so that a change is told from a difference: what changed in the portal is taken
over here, what changed here is written there, and where both did the portal wins. Only incidents whose every alert is
ours are ever written: the portal merges incidents of several products. Only the app that runs this carries msgraph-sdk.
Source: Microsoft Graph, "List incidents", "Update incident"; limit 150 requests a minute.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from seawall.adapters.azure.identity import azure_credential
from seawall.domain.alerts import Incident
from seawall.domain.errors import Denied, MissingExtra, MissingSetting, RemoteError, Unavailable
from seawall.ports.portal import PortalLink
from seawall.settings import DefenderSyncSettings, Settings

if TYPE_CHECKING:
    from msgraph import GraphServiceClient

    from seawall.app.application import Application

log = logging.getLogger(__name__)

PERMISSION = "the Microsoft Graph application permission SecurityIncident.Read.All"
WRITE_PERMISSION = "the Microsoft Graph application permission SecurityIncident.ReadWrite.All"
PAGE = 50
MAX_PAGES = 100
STATUS = {"active": "active", "inProgress": "active", "awaitingAction": "active", "resolved": "closed"}
"""The portal's word: ours. A merged ("redirected") incident says nothing about ours."""


WRITES = 50
"""Incidents written in one run: the limit of requests is shared with reading."""
PORTAL_STATUS = {"new": "active", "active": "inProgress", "closed": "resolved"}
CLASSIFICATIONS = ("truePositive", "falsePositive", "informationalExpectedActivity")


def sync(settings: Settings, application: Application, now: datetime | None = None) -> int:
    """Bring our incidents and the portal's up to date; return how many changed on either side. The same again changes nothing.

    Raises:
        Denied: the permission is missing. Unavailable: Graph does not answer or throttles.
    """
    section = settings.defender_sync
    if section is None:
        raise MissingSetting("SEAWALL_DEFENDER_SYNC", "sync with the Defender portal")
    since = (now or datetime.now(UTC)) - timedelta(minutes=section.overlap_minutes)
    return asyncio.run(_sync(settings, section, application, since))


async def _sync(settings: Settings, section: DefenderSyncSettings, application: Application, since: datetime) -> int:
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
                changed += sum(_take(item, application) for item in page.value or [])
                if not page.odata_next_link:
                    break
                page = await graph.security.incidents.with_url(page.odata_next_link).get()
            if section.write_back:
                changed += await _write_back(graph, application)
        except APIError as error:
            raise _translated(error, WRITE_PERMISSION if section.write_back else PERMISSION) from error
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


def _take(portal: Any, application: Application) -> int:
    """Apply one incident of the portal to ours and remember what it says; return how many of ours changed."""
    said = _said(portal)
    changed = 0
    for key in sorted({key for alert in portal.alerts or [] for key in _keys(alert)}):
        ours = application.store.incidents.get(key)
        if ours is None:
            continue
        link = application.store.portal.of(key) or PortalLink(key, str(portal.id), ours.seq)
        news = {name: value for name, value in said.items() if value and value != getattr(link, name)}
        if news.get("status") == "active" and ours.status == "new" and not link.status and len(news) == 1:
            news = {}  # "active" is how the portal opens every incident
        updated = portal.last_update_date_time
        if news.get("status") == "closed" and updated is not None and updated < ours.last_seen:
            del news["status"]  # closed before what happened since
        after = application.incidents.decide(key, **news) if news else ours
        changed += after != ours
        known = {name: said[name] or getattr(link, name) for name in said}
        seq = after.seq if after and all(_same(name, known[name], getattr(after, name)) for name in known) else link.seq
        application.store.portal.save(PortalLink(key, str(portal.id), seq, **known))
    return changed


def _said(portal: Any) -> dict[str, str]:
    """What the portal says, in our words; empty where it says nothing."""
    classification = str(getattr(portal.classification, "value", "") or "")
    return {
        "status": STATUS.get(str(getattr(portal.status, "value", portal.status or "")), ""),
        "classification": classification if classification in CLASSIFICATIONS else "",
        "owner": str(portal.assigned_to or ""),
    }


def _same(name: str, theirs: str, ours: str) -> bool:
    return theirs == ours or (name == "status" and theirs == "active" and ours == "new")


async def _write_back(graph: GraphServiceClient, application: Application) -> int:
    """Write to the portal what changed here since both sides agreed; return how many incidents were written."""
    from kiota_abstractions.api_error import APIError
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.security.incidents.item.incident_item_request_builder import IncidentItemRequestBuilder

    expand = IncidentItemRequestBuilder.IncidentItemRequestBuilderGetQueryParameters(expand=["alerts"])
    written = 0
    for link in application.store.portal.behind(WRITES):
        ours = application.store.incidents.get(link.incident)
        if ours is None:
            continue
        agreed = {name: getattr(ours, name) or getattr(link, name) for name in ("status", "classification", "owner")}
        news = {name: value for name, value in agreed.items() if not _same(name, getattr(link, name), value)}
        if news:
            builder = graph.security.incidents.by_incident_id(link.portal_id)
            try:
                present = await builder.get(RequestConfiguration(query_parameters=expand))
            except APIError as error:
                if error.response_status_code != 404:
                    raise
                present = None
            if present is not None and _only_ours(present, link.incident, application):
                await builder.patch(_change(news, agreed, ours))
                written += 1
                log.info("portal changed", extra={"incident": ours.id, "portal": link.portal_id, "what": sorted(news)})
        application.store.portal.save(PortalLink(link.incident, link.portal_id, ours.seq, **agreed))
    return written


def _only_ours(portal: Any, key: str, application: Application) -> bool:
    """Whether every alert of the portal's incident is about this incident of ours, or about one that is closed as well."""
    alerts = portal.alerts or []
    keys = [set(_keys(alert)) for alert in alerts]
    others = [application.store.incidents.get(other) for other in set().union(*keys) - {key}]
    return bool(keys) and all(keys) and all(other is not None and other.status == "closed" for other in others)


def _change(news: Mapping[str, str], agreed: Mapping[str, str], ours: Incident) -> Any:
    from msgraph.generated.models.security.alert_classification import AlertClassification
    from msgraph.generated.models.security.incident import Incident as PortalIncident
    from msgraph.generated.models.security.incident_status import IncidentStatus

    change = PortalIncident()
    if "status" in news:
        change.status = IncidentStatus(PORTAL_STATUS[agreed["status"]])
        if agreed["status"] == "closed":
            change.resolving_comment = f"Closed in Seawall ({ours.id})"
    if "classification" in news:
        change.classification = AlertClassification(agreed["classification"])
    if "owner" in news:
        change.assigned_to = agreed["owner"]
    return change


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


def _translated(error: Any, permission: str) -> RemoteError:
    status = error.response_status_code or 0
    if status in (401, 403):
        return Denied(f"Graph answered {status}", hint=f"needs {permission}")
    return Unavailable(f"Graph answered {status}", hint=str(error.message or ""))
