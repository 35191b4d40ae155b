"""Recognises what a message or line is and decodes it: upstream events, every cloud's envelope, lists of those."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from seawall.detection.sources import cloud_logs, log_analytics, registry_logs
from seawall.detection.sources.batch import (
    BAD_COMPRESSION,
    BOMB,
    MAX_RECORD_BYTES,
    MAX_RECORDS,
    NOT_JSON,
    TOO_DEEP,
    TOO_LARGE,
    UNKNOWN_FORMAT,
    Batch,
    base64_text,
    gunzip,
    items,
    mapping,
    reason_of,
    text,
    unpack,
)
from seawall.detection.sources.gke import add_log_entry, is_log_entry
from seawall.detection.sources.kubernetes import add_event, add_short_form, decode_event, decode_upstream, keep_event
from seawall.domain.errors import InputError, TooLarge

MAX_ENVELOPES = 6
"""Envelopes inside envelopes (Pub/Sub around LogEntry, Firehose around CloudWatch, ...)."""
AUDIT_CATEGORIES = frozenset({"kube-audit", "kube-audit-admin"})

_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_RAW_MAP = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode(data: bytes, *, cluster: str = "", platform: str = "", file: str = "", batch: Batch | None = None) -> Batch:
    """Return the events and rejects of one message, line or document. Never raises for what is in `data`.

    `cluster` and `platform` are used where the records do not name their own. With `batch` the records are appended.
    """
    if batch is None:
        batch = Batch(file=file, cluster=cluster, platform=platform)
    start = data[:1]
    if start == b"{" and len(data) <= MAX_RECORD_BYTES:
        # The common case, an upstream event, in one decoding; whatever it is not goes the long way.
        try:
            event = decode_upstream(data)
        except (msgspec.DecodeError, RecursionError, ValueError):
            pass
        else:
            if event.verb:
                keep_event(event, data, batch)
                return batch
    if start != b"{" and start != b"[":
        unpacked = unpack(data.strip().removeprefix(b"\xef\xbb\xbf"), batch)
        if unpacked is None:
            return batch
        data = unpacked.strip()
    add_document(data, batch, 0)
    return batch


def add_document(data: bytes | msgspec.Raw, batch: Batch, depth: int) -> None:
    """Decode one JSON document into `batch`."""
    data = bytes(data)
    try:
        if data[:1] == b"[":
            _each(_RAW_LIST.decode(data), batch, depth)
            return
        if len(data) <= MAX_RECORD_BYTES:
            event = decode_event(data)
            if event.verb:
                keep_event(event, data, batch)
                return
        _add_envelope(_RAW_MAP.decode(data), data, batch, depth)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        if not isinstance(error, msgspec.ValidationError | RecursionError) and _is_not_utf8(data):
            add_document(data.decode("utf-8", "replace").encode(), batch, depth)
        else:
            batch.reject(reason_of(error), error)


def _is_not_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def _each(
    records: list[msgspec.Raw], batch: Batch, depth: int, add: Callable[[msgspec.Raw], None] | None = None
) -> None:
    if depth >= MAX_ENVELOPES:
        batch.reject(TOO_DEEP, f"more than {MAX_ENVELOPES} envelopes")
        return
    if len(records) > MAX_RECORDS:
        batch.reject(TOO_LARGE, f"{len(records)} records in one list, {MAX_RECORDS} are read")
    for record in records[:MAX_RECORDS]:
        if add is not None:
            add(record)
        else:
            add_document(record, batch, depth + 1)


def _value(raw: msgspec.Raw | None) -> Any:
    return msgspec.json.decode(raw) if raw is not None else None


def _list(raw: msgspec.Raw | None) -> list[msgspec.Raw] | None:
    return _RAW_LIST.decode(raw) if raw is not None and bytes(raw)[:1] == b"[" else None


def _add_envelope(fields: dict[str, msgspec.Raw], data: bytes, batch: Batch, depth: int) -> None:
    if depth >= MAX_ENVELOPES:
        batch.reject(TOO_DEEP, f"more than {MAX_ENVELOPES} envelopes")
        return
    for name in ("items", "records", "Records"):
        found = _list(fields.get(name))
        if found is not None:
            _add_list(name, found, batch, depth)
            return
    if "logEvents" in fields:
        _add_cloudwatch(fields, batch)
    elif "awslogs" in fields:
        _add_packed(mapping(_value(fields["awslogs"])).get("data"), batch, depth)
    elif "kinesis" in fields:
        _add_packed(mapping(_value(fields["kinesis"])).get("data"), batch, depth)
    elif "properties" in fields and _is_azure_log(fields):
        _add_azure_diagnostic(fields, data, batch)
    elif "protoPayload" in fields or "operation" in fields:
        _add_google(fields, data, batch)
    elif "message" in fields and bytes(fields["message"])[:1] == b"{":
        _add_pubsub(fields, batch, depth)
    elif "recordId" in fields and "data" in fields:
        _add_packed(_value(fields["data"]), batch, depth)
    elif "detail-type" in fields:
        _add_eventbridge(data, batch)
    elif "AuditId" in fields or "log_s" in fields:
        _add_row(fields, data, batch)
    elif (
        "specversion" in fields
        or "eventType" in fields
        or "events" in fields
        or "action" in fields
        or "event_data" in fields
    ):
        _add_registry(fields, data, batch)
    elif _wrapped_text(fields) is not None:
        add_document((_wrapped_text(fields) or "").strip().encode(), batch, depth + 1)
    elif "http" in fields and ("objectRef" in fields or "requestURI" in fields):
        document = msgspec.json.decode(data)
        add_short_form(document, data, batch)
    elif {"auditID", "objectRef", "sourceIPs", "requestURI"} & fields.keys():
        add_event(data, batch)
    else:
        _add_other(fields, data, batch)


def _add_list(name: str, records: list[msgspec.Raw], batch: Batch, depth: int) -> None:
    if name == "items":
        # EventList: items carry no kind of their own; an item that is cut off fails alone.
        _each(records, batch, depth, lambda record: _add_item(record, batch, depth))
    else:
        _each(records, batch, depth)


def _add_item(record: msgspec.Raw, batch: Batch, depth: int) -> None:
    if bytes(record)[:1] == b"{":
        add_document(record, batch, depth + 1)
    else:
        batch.reject(UNKNOWN_FORMAT, "an item that is not an object")


def _is_azure_log(fields: dict[str, msgspec.Raw]) -> bool:
    return "category" in fields or "operationName" in fields or "resourceId" in fields


def _add_azure_diagnostic(fields: dict[str, msgspec.Raw], data: bytes, batch: Batch) -> None:
    category = text(_value(fields.get("category")))
    held = bytes(fields["properties"])
    if held[:1] == b'"':  # Some exports keep the properties as JSON in a text.
        held = msgspec.json.decode(held, type=str).strip().encode()
    properties = _RAW_MAP.decode(held) if held[:1] == b"{" else {}
    inner = properties.get("log")
    if inner is not None and (category in AUDIT_CATEGORIES or not category):
        body = bytes(inner)
        if body[:1] == b'"':
            log = msgspec.json.decode(body, type=str).strip()
            if not log.startswith("{") and not category:
                batch.skip()
                return
            body = log.encode()
        cluster = text(_value(fields.get("resourceId"))).rpartition("/")[2].lower()
        before = len(batch.events)
        add_event(body, batch, platform="aks", cluster=cluster)
        if len(batch.events) > before:
            event = batch.events[-1]
            if "time" in fields and not (event.received or event.stage_time or event.timestamp):
                event.stage_time = text(_value(fields["time"]))
            if "p_enrichment" in fields:
                event.enrichment = fields["p_enrichment"]
        return
    if category.startswith("kube-") or category in ("guard", "cluster-autoscaler", "cloud-controller-manager"):
        batch.skip()
        return
    _add_other(fields, data, batch)


def _add_cloudwatch(fields: dict[str, msgspec.Raw], batch: Batch) -> None:
    if text(_value(fields.get("messageType"))) == "CONTROL_MESSAGE":
        batch.skip()
        return
    stream = text(_value(fields.get("logStream")))
    group = text(_value(fields.get("logGroup"))).strip("/").split("/")
    cluster = group[2] if len(group) >= 3 and group[:2] == ["aws", "eks"] else ""
    is_audit = not stream or stream.startswith("kube-apiserver-audit")
    for record in _list(fields["logEvents"]) or []:
        if not is_audit:
            batch.skip()
            continue
        _add_cloudwatch_entry(mapping(_value(record)), cluster, batch)


def _add_cloudwatch_entry(entry: dict[str, Any], cluster: str, batch: Batch) -> None:
    message = text(entry.get("message")).strip()
    if len(message) > MAX_RECORD_BYTES:
        batch.reject(TOO_LARGE, f"{len(message)} characters")
    elif not message.startswith("{"):
        batch.reject(NOT_JSON, "the message is not a JSON object")
    else:
        before = len(batch.events)
        add_event(message.encode("utf-8", "surrogatepass"), batch, platform="eks", cluster=cluster)
        stamp = entry.get("timestamp")
        if len(batch.events) > before and isinstance(stamp, int):
            cloud_logs.stamp(batch.events[-1], stamp)


def _add_row(fields: dict[str, msgspec.Raw], data: bytes, batch: Batch) -> None:
    found = log_analytics.row(fields)
    if found is None:
        _add_other(fields, data, batch)
    else:
        add_event(found[0], batch, platform="aks", cluster=found[1])


def _add_packed(value: Any, batch: Batch, depth: int) -> None:
    """base64 of something: gzip, JSON, or JSON lines."""
    try:
        data = base64_text(value)
        if data[:2] == b"\x1f\x8b":
            data = gunzip(data)
    except TooLarge as error:
        batch.reject(BOMB, error)
        return
    except InputError as error:
        batch.reject(BAD_COMPRESSION, error)
        return
    documents = split_documents(data)
    for document in documents:
        add_document(document, batch, depth + 1)
    if not documents:
        batch.skip()


def split_documents(data: bytes) -> list[bytes]:
    """Return the JSON documents of a payload: one, or one per line."""
    data = data.strip()
    if b"\n" not in data:
        return [data] if data else []
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return [line for line in (line.strip() for line in data.split(b"\n")) if line]
    return [data]


def _add_google(fields: dict[str, msgspec.Raw], data: bytes, batch: Batch) -> None:
    document = {"operation": _value(fields["operation"])} if "operation" in fields else {}
    if "protoPayload" in fields or is_log_entry(document):
        add_log_entry(data, batch)
    else:
        _add_other(fields, data, batch)


def _add_pubsub(fields: dict[str, msgspec.Raw], batch: Batch, depth: int) -> None:
    message = mapping(_value(fields["message"]))
    if isinstance(message.get("data"), str):
        _add_packed(message["data"], batch, depth)
    elif "auditID" in message or "verb" in message:
        add_document(fields["message"], batch, depth + 1)
    else:
        batch.skip()


def _add_eventbridge(data: bytes, batch: Batch) -> None:
    document = mapping(msgspec.json.decode(data))
    event = registry_logs.ecr_image_action(document) or cloud_logs.cloudtrail(mapping(document.get("detail")))
    if event is not None:
        batch.add(event)
    else:
        batch.skip()


def _add_registry(fields: dict[str, msgspec.Raw], data: bytes, batch: Batch) -> None:
    document = mapping(msgspec.json.decode(data))
    if "events" in document:
        for entry in items(document["events"]):
            if isinstance(mapping(entry).get("message"), str):
                # What `aws logs get-log-events` and `filter-log-events` print.
                other = text(mapping(entry).get("logStreamName"))
                if other and not other.startswith("kube-apiserver-audit"):
                    batch.skip()
                else:
                    _add_cloudwatch_entry(mapping(entry), "", batch)
                continue
            event = registry_logs.distribution_event(mapping(entry))
            batch.add(event) if event is not None else batch.skip()
        return
    several = registry_logs.harbor_events(document, data)
    for found in several:
        batch.add(found)
    if several:
        return
    event = (
        registry_logs.event_grid(document)
        or registry_logs.github_package(document, data)
        or registry_logs.artifact_registry_notice(document, data)
    )
    if event is not None:
        batch.add(event)
    elif isinstance(document.get("data"), dict | list):
        add_document(msgspec.json.encode(document["data"]), batch, 1)
    else:
        _add_other(fields, data, batch)


def _wrapped_text(fields: dict[str, msgspec.Raw]) -> str | None:
    """A log shipper's wrapping: `{"log": "<json>"}` or `{"message": "<json>"}`."""
    for name in ("log", "message", "MESSAGE", "data"):
        raw = fields.get(name)
        if raw is not None and bytes(raw)[:1] == b'"':
            value = msgspec.json.decode(raw, type=str).lstrip()
            if value.startswith("{"):
                return value
    return None


def _add_other(fields: dict[str, msgspec.Raw], data: bytes, batch: Batch) -> None:
    """Management logs and what else shares a stream."""
    document = mapping(msgspec.json.decode(data))
    event: Any = registry_logs.azure_registry_log(document)
    if event is None and "eventSource" in fields:
        event = cloud_logs.cloudtrail(document)
    if event is None:
        event = cloud_logs.azure_activity(document)
    if event is not None:
        batch.add(event)
    elif document.get("kind") == "Event" and ("user" in fields or "verb" in fields):
        add_event(data, batch)
    elif fields:
        batch.skip() if cloud_logs.is_foreign(document) else batch.reject(
            UNKNOWN_FORMAT, f"fields {', '.join(sorted(fields)[:6])}"
        )
    else:
        batch.reject(UNKNOWN_FORMAT, "an empty object")
