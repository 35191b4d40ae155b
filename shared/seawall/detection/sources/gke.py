"""Google Cloud Audit Logs: Kubernetes calls of GKE (`k8s.io`) mapped to audit events, and admin activity.

Source: cloud.google.com/logging LogEntry and AuditLog; the mapping is in docs/detection.md.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from seawall.detection.sources.batch import Batch, fingerprint, mapping, reason_of, text
from seawall.domain.audit_events import (
    AuditEvent,
    CloudActivity,
    ObjectRef,
    ResponseStatus,
    User,
    decode_raw,
    parse_time,
)

_VERSION = re.compile(r"v\d+((alpha|beta)\d+)?")
_HTTP_OF_GRPC = {
    0: 200, 1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501,
    13: 500, 14: 503, 15: 500, 16: 401,
}  # fmt: skip
"""google.rpc.Code to HTTP, as googleapis/code.proto says."""


class _Authentication(msgspec.Struct, gc=False, rename="camel"):
    principal_email: str | None = ""
    principal_subject: str | None = ""
    authority_selector: str | None = ""


class _Authorization(msgspec.Struct, gc=False):
    permission: str | None = ""
    resource: str | None = ""
    granted: bool | None = None


class _RequestMetadata(msgspec.Struct, gc=False):
    callerIp: str | None = ""  # noqa: N815 - the wire's names
    callerIP: str | None = ""  # noqa: N815
    callerSuppliedUserAgent: str | None = ""  # noqa: N815


class _Status(msgspec.Struct, gc=False):
    code: int | None = 0
    message: str | None = ""


class _Payload(msgspec.Struct, gc=False, rename="camel"):
    service_name: str | None = ""
    method_name: str | None = ""
    resource_name: str | None = ""
    authentication_info: _Authentication | None = None
    authorization_info: list[_Authorization] | None = None
    request_metadata: _RequestMetadata | None = None
    status: _Status | None = None
    request: msgspec.Raw = msgspec.Raw(b"")
    response: msgspec.Raw = msgspec.Raw(b"")


class _Resource(msgspec.Struct, gc=False):
    type: str | None = ""
    labels: dict[str, str] | None = None


class _Operation(msgspec.Struct, gc=False):
    id: str | None = ""
    producer: str | None = ""


class _LogEntry(msgspec.Struct, gc=False, rename="camel"):
    proto_payload: _Payload | None = None
    insert_id: str | None = ""
    timestamp: str | None = ""
    receive_timestamp: str | None = ""
    resource: _Resource | None = None
    operation: _Operation | None = None
    labels: msgspec.Raw = msgspec.Raw(b"")
    authorization_info: list[_Authorization] | None = None
    enrichment: msgspec.Raw = msgspec.field(name="p_enrichment", default=msgspec.Raw(b""))


_ENTRY = msgspec.json.Decoder(_LogEntry)


def add_log_entry(data: bytes | msgspec.Raw, batch: Batch) -> None:
    """Decode one LogEntry into `batch`: an `AuditEvent` for Kubernetes calls, else a `CloudActivity`."""
    try:
        entry = _ENTRY.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        batch.reject(reason_of(error), error)
        return
    payload = entry.proto_payload or _Payload()
    method = payload.method_name or ""
    granted = payload.authorization_info or entry.authorization_info or []
    permission = next((item for item in granted if (item.permission or "").startswith("io.k8s.")), None)
    producer = (entry.operation and entry.operation.producer) or ""
    if payload.service_name in ("k8s.io", None, "") and (method.startswith("io.") or producer == "k8s.io"):
        batch.add(_kubernetes(entry, payload, method, permission, data))
    elif permission is not None:
        # A deployment service that calls the cluster on behalf of somebody: the permission says what was done there.
        method = permission.permission or ""
        batch.add(_kubernetes(entry, payload, method, permission, data))
    elif method:
        batch.add(_activity(entry, payload, method, data))
    else:
        batch.skip()


def _kubernetes(
    entry: _LogEntry,
    payload: _Payload,
    method: str,
    permission: _Authorization | None,
    data: bytes | msgspec.Raw,
) -> AuditEvent:
    verb, ref = _object(method, payload.resource_name or (permission and permission.resource) or "")
    uri = "" if ref is not None else _path(method, payload.resource_name or "")
    who = payload.authentication_info or _Authentication()
    caller = payload.request_metadata or _RequestMetadata()
    address = caller.callerIp or caller.callerIP or ""
    labels = (entry.resource and entry.resource.labels) or {}
    event = AuditEvent(
        audit_id=entry.insert_id or (entry.operation and entry.operation.id) or "",
        verb=verb,
        user=User(username=who.principal_email or who.principal_subject or who.authority_selector or ""),
        source_ips=[address] if address else None,
        user_agent=caller.callerSuppliedUserAgent or "",
        object_ref=ref,
        response=ResponseStatus(code=_code(payload, permission, entry.labels, ref)),
        request_uri=uri,
        annotations=entry.labels,
        request_raw=payload.request,
        response_raw=payload.response,
        received=entry.timestamp or "",
        stage_time=entry.receive_timestamp or "",
        enrichment=entry.enrichment,
        platform="gke",
        cluster=labels.get("cluster_name", ""),
    )
    if not event.audit_id:
        event.event_id = fingerprint(bytes(data))
    return event


def _object(method: str, resource_name: str) -> tuple[str, ObjectRef | None]:
    """Return verb and object of `io.k8s.<group>.<version>.<resource>[.<sub>].<verb>`; no version = not a resource."""
    parts = method.split(".")
    at = next((i for i, part in enumerate(parts) if i >= 2 and _VERSION.fullmatch(part)), -1)
    if at < 0 or len(parts) - at < 3:
        return "get", None
    rest = parts[at + 1 :]
    if len(rest) == 1:
        return rest[0], ObjectRef()
    verb, resource = rest[-1], rest[0]
    subresource = ".".join(rest[1:-1])
    place = resource_name.split("/")
    namespace = name = ""
    if "namespaces" in place[2:3] and len(place) > 3 and (resource != "namespaces" or len(place) > 4):
        namespace = place[3]
        name = place[5] if len(place) > 5 else ""
        subresource = subresource or (place[6] if len(place) > 6 else "")
    elif len(place) >= 4:
        name = place[3]
        subresource = subresource or (place[4] if len(place) > 4 else "")
        if resource == "namespaces":
            namespace = name
    group = place[0] if len(place) >= 3 and place[0] != "core" else ""
    return verb, ObjectRef(
        resource=resource, namespace=namespace, name=name, subresource=subresource, api_group=group,
        api_version=parts[at],
    )  # fmt: skip


def _path(method: str, resource_name: str) -> str:
    if resource_name.startswith("/"):
        return resource_name
    last = method.rpartition(".")[2]
    return (
        f"/{last}" if last in ("readyz", "livez", "healthz", "version", "metrics", "openapi") else f"/{resource_name}"
    )


def _code(payload: _Payload, permission: _Authorization | None, labels: msgspec.Raw, ref: ObjectRef | None) -> int:
    code = (payload.status and payload.status.code) or 0
    if code:
        return _HTTP_OF_GRPC.get(code, 500)
    if permission is not None and permission.granted is False:
        return 403
    if labels:
        decision = mapping(decode_raw(labels)).get("authorization.k8s.io/decision")
        if decision in ("forbid", "deny"):
            return 403
    return 101 if ref is not None and ref.subresource in ("exec", "attach", "portforward") else 200


def _activity(entry: _LogEntry, payload: _Payload, method: str, data: bytes | msgspec.Raw) -> CloudActivity:
    who = payload.authentication_info or _Authentication()
    caller = payload.request_metadata or _RequestMetadata()
    labels = (entry.resource and entry.resource.labels) or {}
    code = (payload.status and payload.status.code) or 0
    refused = any(item.granted is False for item in payload.authorization_info or ())
    return CloudActivity(
        event_id=entry.insert_id or fingerprint(bytes(data)),
        provider="gcp",
        operation=method.lower(),
        time=parse_time(entry.timestamp or "") or parse_time(entry.receive_timestamp or ""),
        actor=who.principal_email or who.principal_subject or "",
        actor_type="service" if (who.principal_email or "").endswith("gserviceaccount.com") else "user",
        source_ip=caller.callerIp or caller.callerIP or "",
        user_agent=caller.callerSuppliedUserAgent or "",
        account=labels.get("project_id", ""),
        resource=payload.resource_name or "",
        cluster=labels.get("cluster_name", ""),
        outcome="denied" if refused or code in (7, 16) else "failed" if code else "allowed",
        request=_object_of(payload.request),
        response=_object_of(payload.response),
    )


def _object_of(raw: msgspec.Raw) -> dict[str, Any]:
    value = decode_raw(raw)
    return value if isinstance(value, dict) else {}


def is_log_entry(document: dict[str, Any]) -> bool:
    """True for an entry of Google Cloud Logging with an audit payload."""
    return "protoPayload" in document or text(mapping(document.get("operation")).get("producer")) == "k8s.io"
