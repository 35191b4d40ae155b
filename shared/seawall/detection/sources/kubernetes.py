"""Upstream audit events: `audit.k8s.io/v1` (and v1beta1), as the API server writes them; shortened forms of it."""

from __future__ import annotations

from typing import Any

import msgspec

from seawall.detection.sources.batch import Batch, fingerprint, items, mapping, reason_of, text
from seawall.domain.audit_events import AuditEvent, ObjectRef, ResponseStatus, User

_EVENT = msgspec.json.Decoder(AuditEvent)

decode_upstream = _EVENT.decode
"""Decodes strictly: a field of a wrong type raises `msgspec.ValidationError`; see `decode_event`."""

_LENIENT = (
    ("auditID", "audit_id", str), ("stage", "stage", str), ("verb", "verb", str), ("user", "user", User),
    ("impersonatedUser", "impersonated", User), ("sourceIPs", "source_ips", list[str]),
    ("userAgent", "user_agent", str), ("objectRef", "object_ref", ObjectRef),
    ("responseStatus", "response", ResponseStatus), ("requestURI", "request_uri", str), ("level", "level", str),
    ("requestReceivedTimestamp", "received", str), ("stageTimestamp", "stage_time", str),
    ("timestamp", "timestamp", str),
)  # fmt: skip
_RAW = (("annotations", "annotations"), ("requestObject", "request_raw"), ("responseObject", "response_raw"))


def decode_event(data: bytes | msgspec.Raw) -> AuditEvent:
    """Return the event of one JSON object; fields of a wrong type are left out rather than losing the event.

    Raises:
        msgspec.DecodeError: not JSON, or no JSON object.
        RecursionError: nested too deeply.
    """
    try:
        return _EVENT.decode(data)
    except msgspec.ValidationError:
        return _decode_leniently(data)


def _decode_leniently(data: bytes | msgspec.Raw) -> AuditEvent:
    fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    values: dict[str, Any] = {}
    for wire, name, kind in _LENIENT:
        raw = fields.get(wire)
        if raw is None:
            continue
        try:
            values[name] = msgspec.json.decode(raw, type=kind)
        except msgspec.ValidationError:
            values[name] = _nearest(msgspec.json.decode(raw), kind)
    event = AuditEvent(**{name: value for name, value in values.items() if value is not None})
    for wire, name in _RAW:
        if wire in fields:
            setattr(event, name, fields[wire])
    return event


def _nearest(value: Any, kind: Any) -> Any:
    """Keep what can be kept of a value of the wrong type."""
    if kind is str:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    if kind == list[str]:
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None
    if not isinstance(value, dict):
        return None
    if kind is User:
        groups = value.get("groups")
        return User(username=text(value.get("username")), groups=[g for g in items(groups) if isinstance(g, str)])
    if kind is ResponseStatus:
        code = value.get("code")
        number = code if isinstance(code, int) else int(code) if isinstance(code, str) and code.isdecimal() else 0
        return ResponseStatus(code=min(max(number, 0), 999))
    return ObjectRef(
        **{
            name: value[wire]
            for name, wire in zip(ObjectRef.__struct_fields__, ObjectRef.__struct_encode_fields__, strict=True)
            if isinstance(value.get(wire), str)
        }
    )


def add_event(data: bytes | msgspec.Raw, batch: Batch, *, platform: str = "", cluster: str = "") -> None:
    """Decode one upstream event into `batch`, or count a reject."""
    try:
        event = decode_event(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        batch.reject(reason_of(error), error)
        return
    keep_event(event, data, batch, platform=platform, cluster=cluster)


def keep_event(
    event: AuditEvent, data: bytes | msgspec.Raw, batch: Batch, *, platform: str = "", cluster: str = ""
) -> None:
    """Complete a decoded event and add it to `batch`."""
    if not event.audit_id:
        event.event_id = fingerprint(bytes(data))
    # These are ours: a log line that carries fields of the same names does not set them.
    if event.request_cache is not None or event.response_cache is not None or event.views_cache is not None:
        event.request_cache = event.response_cache = event.views_cache = None
    if event.id_cache:
        event.id_cache = ""
    event.platform = platform or batch.platform
    event.cluster = cluster or batch.cluster
    if event.object_ref is None and event.request_uri and event.request_uri.startswith("/api"):
        event.object_ref = object_of_uri(event.request_uri)
    event.file = batch.file
    event.index = batch.position
    batch.position += 1
    batch.events.append(event)


def object_of_uri(uri: str) -> ObjectRef | None:
    """Return what a request path is about, None for paths outside `/api` and `/apis`.

    Source: kubernetes.io, "API Overview", resource URIs.
    """
    parts = uri.partition("?")[0].strip("/").split("/")
    if len(parts) >= 3 and parts[0] == "api":
        group, rest = "", parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, rest = parts[1], parts[3:]
    else:
        return None
    namespace = ""
    if len(rest) >= 3 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    return ObjectRef(
        resource=rest[0],
        namespace=namespace or (rest[1] if rest[0] == "namespaces" and len(rest) > 1 else ""),
        name=rest[1] if len(rest) > 1 else "",
        subresource=rest[2] if len(rest) > 2 else "",
        api_group=group,
    )


def add_short_form(document: dict[str, Any], data: bytes, batch: Batch) -> None:
    """Add an event in the form of log products that rename `verb` to `http.method` and the code to `http.status_code`."""
    http = mapping(document.get("http"))
    try:
        event = decode_event(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        batch.reject(reason_of(error), error)
        return
    event.verb = event.verb or text(http.get("method")).lower()
    code = http.get("status_code")
    if event.response is None and isinstance(code, int):
        event.response = ResponseStatus(code=min(max(code, 0), 999))
    details = mapping(http.get("url_details"))
    event.request_uri = event.request_uri or text(details.get("path"))
    if event.object_ref is not None and not event.object_ref.namespace and event.request_uri:
        found = object_of_uri(event.request_uri)
        if found is not None and found.resource == event.object_ref.resource:
            event.object_ref.namespace = found.namespace
    if event.user is None:
        user = mapping(document.get("usr"))
        name = text(user.get("id")) or text(user.get("name"))
        event.user = User(username=name) if name else None
    keep_event(event, data, batch)
