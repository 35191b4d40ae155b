"""CloudEvents 1.0 in JSON: what travels between doors, queues and functions.

Source: cloudevents/spec v1.0.2, json-format.md.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from seawall.domain.errors import MalformedEvent
from seawall.domain.ids import content_id

PREFIX = "io.seawall."
IMAGE_PUSHED = "io.seawall.image.pushed"
AUDIT_RECEIVED = "io.seawall.audit.received"
SENSOR_RECEIVED = "io.seawall.sensor.received"
POSTURE_RECEIVED = "io.seawall.posture.received"
ALERTS_RAISED = "io.seawall.alerts.raised"
INCIDENTS_CHANGED = "io.seawall.incidents.changed"


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `id` is derived from content, so the same input twice is the same event; either `data` or `data_base64`.

    A msgspec structure and no pydantic model: every trigger imports it, and pydantic alone is a third of a cold start.
    """

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[str, Meta(min_length=1, max_length=512)]
    source: Annotated[str, Meta(min_length=1, max_length=2048)]
    type: Annotated[str, Meta(min_length=1, max_length=128)]
    subject: str = ""
    time: Annotated[datetime, Meta(tz=True)] | None = None
    datacontenttype: str = "application/json"
    traceparent: str = ""
    """W3C trace context of the request that brought it (CloudEvents distributed-tracing extension)."""
    data: Any = None
    data_base64: str = ""

    @property
    def body(self) -> bytes:
        """The raw bytes that `data_base64` carries."""
        try:
            return b64decode(self.data_base64, validate=True)
        except ValueError as error:
            raise MalformedEvent("data_base64 is not base64", where="/data_base64") from error

    def to_bytes(self) -> bytes:
        """The event as JSON."""
        return msgspec.json.encode(self)


def body_id(body: bytes, *more: str) -> str:
    """Return the id of the event that carries `body`: the same input is the same event, whichever door it came through."""
    return content_id("body", hashlib.sha256(body).hexdigest(), *more)


def carrying(kind: str, key: str, source: str, body: bytes, **attributes: Any) -> CloudEvent:
    """Return the event that carries raw bytes unchanged."""
    return CloudEvent(
        id=key,
        source=source,
        type=kind,
        datacontenttype="application/octet-stream",
        data_base64=b64encode(body).decode(),
        **attributes,
    )


def parse(raw: bytes) -> CloudEvent:
    """Return the event in `raw`.

    Raises:
        MalformedEvent: not a CloudEvent; `where` points at the first problem.
    """
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what, _, where = str(error).partition(" - at `$")
        raise MalformedEvent(
            f"not a CloudEvent: {what}", where=f"/{where.rstrip('`').strip('.').replace('.', '/')}"
        ) from error


_DECODER = msgspec.json.Decoder(CloudEvent)
