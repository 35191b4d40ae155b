"""Seawall as Cloud Run functions: triggers only. The entry point's name is the function's job.

Pub/Sub redelivers whatever is not acknowledged by 2xx: a transient failure is raised, poison is kept and acknowledged.
"""

import base64
import json
import logging
import os
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

import functions_framework
from cloudevents.http import CloudEvent
from flask import Request, Response
from seawall.adapters.tracing import configure_logging, job
from seawall.app.application import Application
from seawall.app.delivery import deliver
from seawall.domain.errors import MalformedEvent
from seawall.formats.cloudevents import AUDIT_RECEIVED, SENSOR_RECEIVED, body_id, carrying, parse
from seawall.settings import load_settings

configure_logging(os.environ.get("SEAWALL_LOG_LEVEL", "INFO"))
log = logging.getLogger("seawall.functions")
SETTINGS = load_settings()
"""A mistake in them ends the process at its start, and says which setting and what is expected."""


@cache
def started() -> tuple[Application, Any]:
    """The application of this process, made at the first event."""
    from seawall.bootstrap import function_app

    return function_app(SETTINGS)


def application() -> Application:
    return started()[0]


@functions_framework.cloud_event
def image_pushed(event: CloudEvent) -> None:
    """Topic `gcr`: Artifact Registry's pushes."""
    _message("image_pushed", event, lambda _raw, envelope: application().doors.registry("gar", {}, envelope))


@functions_framework.cloud_event
def run_job(event: CloudEvent) -> None:
    """Our own jobs: scans, audit, sensor and posture bodies; correlation with an ordering key per cluster."""

    def handle(raw: bytes, _envelope: bytes) -> None:
        app, queue = started()
        event = queue.take(raw) if queue else parse(raw)
        with job(event.type, event.traceparent):
            app.handle(event)

    _message("run_job", event, handle)


@functions_framework.cloud_event
def audit_logs(event: CloudEvent) -> None:
    """A log sink of GKE audit entries."""

    def handle(raw: bytes, _envelope: bytes) -> None:
        application().handle(carrying(AUDIT_RECEIVED, body_id(raw), "/audit_logs", raw))

    _message("audit_logs", event, handle)


@functions_framework.cloud_event
def sensor_events(event: CloudEvent) -> None:
    """Signed sensor batches."""

    def handle(raw: bytes, _envelope: bytes) -> None:
        # A sensor's certificate has to hold when the batch came, not when an outage let us look at it.
        came = str(event.data["message"].get("publishTime") or "")
        try:
            time = datetime.fromisoformat(came) if came else None
        except ValueError as error:
            raise MalformedEvent("not a time", where="/message/publishTime") from error
        application().handle(carrying(SENSOR_RECEIVED, body_id(raw), "/sensor_events", raw, time=time))

    _message("sensor_events", event, handle)


@functions_framework.cloud_event
def tick(event: CloudEvent) -> None:
    """Cloud Scheduler by Pub/Sub: the message is `{"timer": "publish" | "rescan" | "advisories" | "reconcile" | "discover"}`."""

    def handle(raw: bytes, _envelope: bytes) -> None:
        try:
            application().tick(str(json.loads(raw)["timer"]))
        except (ValueError, KeyError, TypeError) as error:
            raise MalformedEvent(f"not a timer: {error}") from error

    _message("tick", event, handle)


@functions_framework.http
def api(request: Request) -> Response:
    """The same application as `seawall serve`."""
    from seawall.adapters.asgi_bridge import call

    with job("api", request.headers.get("traceparent", "")):
        answer = call(
            _app(),
            method=request.method,
            path=request.path,
            query=request.query_string,
            headers=request.headers.items(),
            body=request.get_data(),
            client=request.remote_addr or "",
        )
    return Response(answer.body, answer.status, list(answer.headers))


@cache
def _app() -> Any:
    from seawall.server.app import create_app

    return create_app(application(), SETTINGS)


def _message(name: str, event: CloudEvent, handle: Callable[[bytes, bytes], object]) -> None:
    data = event.data if isinstance(event.data, dict) else {}
    envelope = json.dumps(data).encode()

    def work(_: bytes) -> None:
        message = data.get("message")
        if not isinstance(message, dict):
            raise MalformedEvent("not a Pub/Sub message", where="/message")
        try:
            raw = base64.b64decode(message.get("data", ""), validate=True)
        except (ValueError, TypeError) as error:
            raise MalformedEvent("message.data is not base64", where="/message/data") from error
        handle(raw, envelope)

    with job(name, str(event.get("traceparent") or "")):
        for failure in deliver([envelope], work, lambda raw, reason: application().poison(name, raw, reason)):
            raise failure.error
