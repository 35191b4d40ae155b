"""Management logs of Azure and AWS as `CloudActivity` (Google's is in `gke`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from seawall.detection.sources.batch import fingerprint, items, mapping, text
from seawall.domain.audit_events import AuditEvent, CloudActivity, parse_time

_CLUSTER_TYPES = ("managedclusters", "connectedclusters")


def stamp(event: Any, milliseconds: int) -> None:
    """Give an event without a time of its own the time its envelope carries."""
    if isinstance(event, AuditEvent) and not (event.received or event.stage_time or event.timestamp):
        try:
            event.stage_time = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()
        except (OverflowError, ValueError, OSError):
            return


def azure_activity(document: dict[str, Any]) -> CloudActivity | None:
    """Return an Azure Activity record in the form of diagnostic settings, REST API or the AzureActivity table."""
    operation = document.get("operationName") or document.get("OperationNameValue") or document.get("OperationName")
    if isinstance(operation, dict):
        operation = operation.get("value")
    resource = text(document.get("resourceId")) or text(document.get("_ResourceId")) or text(document.get("ResourceId"))
    if not isinstance(operation, str) or not operation or "/" not in operation:
        return None
    identity = mapping(document.get("identity"))
    claims = mapping(identity.get("claims")) or mapping(document.get("claims"))
    properties = mapping(document.get("properties"))
    authorization = mapping(document.get("authorization")) or mapping(identity.get("authorization"))
    http = mapping(document.get("httpRequest"))
    status = document.get("status")
    result = (
        text(document.get("resultType"))
        or text(mapping(status).get("value"))
        or text(document.get("ActivityStatusValue"))
        or text(document.get("ActivityStatus"))
    )
    actor = (
        text(document.get("caller"))
        or text(document.get("Caller"))
        or text(claims.get("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"))
        or text(claims.get("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"))
        or text(claims.get("upn"))
        or text(claims.get("appid"))
        or text(claims.get("http://schemas.microsoft.com/identity/claims/objectidentifier"))
    )
    parts = resource.strip("/").split("/")
    lowered = [part.lower() for part in parts]
    cluster = next((lowered[i + 1] for i, part in enumerate(lowered[:-1]) if part in _CLUSTER_TYPES), "")
    request = properties.get("requestbody") or properties.get("requestBody")
    body = _json_object(request) if isinstance(request, str) else mapping(request)
    scope = text(authorization.get("scope")) or resource
    event_id = (
        text(document.get("eventDataId"))
        or text(document.get("EventDataId"))
        or text(properties.get("eventDataId"))
        or fingerprint(msgspec.json.encode(document, order="deterministic"))
    )
    return CloudActivity(
        event_id=event_id,
        provider="azure",
        operation=operation.lower(),
        time=parse_time(
            text(document.get("time")) or text(document.get("eventTimestamp")) or text(document.get("TimeGenerated"))
        ),
        actor=actor,
        actor_type="user" if "@" in actor else "service" if actor else "",
        source_ip=(
            text(document.get("callerIpAddress"))
            or text(http.get("clientIpAddress"))
            or text(document.get("CallerIpAddress"))
        ),
        account=parts[1] if len(parts) > 1 and lowered[0] == "subscriptions" else "",
        resource=resource or scope,
        cluster=cluster,
        outcome=_azure_outcome(result, text(document.get("resultSignature"))),
        request=body | {"scope": scope} if scope else body,
        response=mapping(properties.get("responseBody")) or _json_object(text(properties.get("responseBody"))),
    )


def _azure_outcome(result: str, signature: str) -> str:
    word = result.lower()
    if word in ("failed", "failure"):
        return "denied" if "forbidden" in signature.lower() or "401" in signature or "403" in signature else "failed"
    # Start and Accept are the same operation before it finished: what counts is that it was asked for and not refused.
    return "allowed"


def _json_object(value: str) -> dict[str, Any]:
    if not value or len(value) > 1024 * 1024:
        return {}
    try:
        return mapping(msgspec.json.decode(value))
    except (msgspec.DecodeError, RecursionError, ValueError):
        return {}


def cloudtrail(record: dict[str, Any]) -> CloudActivity | None:
    """Return one CloudTrail record, or None when it is not one. `operation` is `<service>:<event name>`, lower case."""
    source, name = text(record.get("eventSource")), text(record.get("eventName"))
    if not source or not name:
        return None
    identity = mapping(record.get("userIdentity"))
    issuer = mapping(mapping(identity.get("sessionContext")).get("sessionIssuer"))
    parameters = mapping(record.get("requestParameters"))
    error = text(record.get("errorCode"))
    resources = [text(mapping(item).get("ARN") or mapping(item).get("arn")) for item in items(record.get("resources"))]
    cluster = ""
    if source == "eks.amazonaws.com":
        cluster = text(parameters.get("clusterName")) or text(parameters.get("name"))
    resource = next((item for item in resources if item), "") or text(parameters.get("repositoryName")) or cluster
    return CloudActivity(
        event_id=text(record.get("eventID")) or fingerprint(msgspec.json.encode(record, order="deterministic")),
        provider="aws",
        operation=f"{source.removesuffix('.amazonaws.com')}:{name}".lower(),
        time=parse_time(text(record.get("eventTime"))),
        actor=text(identity.get("arn")) or text(issuer.get("arn")) or text(identity.get("invokedBy")),
        actor_type="service"
        if text(identity.get("type")) == "AWSService"
        else "user"
        if text(identity.get("type")) in ("IAMUser", "Root")
        else "",
        source_ip=text(record.get("sourceIPAddress")),
        user_agent=text(record.get("userAgent")),
        account=text(record.get("recipientAccountId")) or text(identity.get("accountId")),
        resource=resource,
        cluster=cluster,
        outcome="allowed"
        if not error
        else "denied"
        if "denied" in error.lower() or "unauthorized" in error.lower()
        else "failed",
        request=parameters,
        response=mapping(record.get("responseElements")),
    )


def is_foreign(document: dict[str, Any]) -> bool:
    """True for a record of a known log that has nothing to do with clusters: passed over quietly."""
    return bool(
        {"category", "Category", "eventSource", "logName", "resourceId", "OperationName", "logStream", "messageType"}
        & document.keys()
    )
