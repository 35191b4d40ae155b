"""Seawall as AWS Lambda functions: triggers only. The handler's name is the function's job."""

import base64
import json
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import unquote

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
Event = dict[str, Any]
TRIES = 5


@cache
def started() -> tuple[Application, Any]:
    """The application of this process, made at the first event."""
    from seawall.bootstrap import function_app

    return function_app(SETTINGS)


def application() -> Application:
    return started()[0]


def image_pushed(event: Event, context: object) -> Event:
    """SQS with EventBridge events of ECR: queue the scans."""
    return _messages("image_pushed", event, lambda body: application().doors.registry("ecr", {}, body))


def run_job(event: Event, context: object) -> Event:
    """SQS with our own jobs: scans, audit, sensor and posture bodies."""
    return _messages("run_job", event, _job)


def correlate(event: Event, context: object) -> Event:
    """SQS FIFO, one group per cluster: behind a failure its whole group comes again, so that the order stays."""
    return _messages("correlate", event, _job, ordered=True)


def audit_logs(event: Event, context: object) -> None:
    """A CloudWatch Logs subscription of EKS control-plane logs. Asynchronous: a throw is retried, then goes to the DLQ."""
    body = json.dumps(event).encode()

    def handle(raw: bytes) -> None:
        application().handle(carrying(AUDIT_RECEIVED, body_id(raw), "/audit_logs", raw))

    with job("audit_logs", _trace()):
        for failure in deliver([body], handle, lambda raw, reason: application().poison("audit_logs", raw, reason)):
            raise failure.error


def audit_stream(event: Event, context: object) -> Event:
    """Kinesis with CloudWatch Logs documents of EKS."""
    return _records("audit_stream", AUDIT_RECEIVED, event)


def sensor_stream(event: Event, context: object) -> Event:
    """Kinesis with signed sensor batches."""
    return _records("sensor_stream", SENSOR_RECEIVED, event)


def tick(event: Event, context: object) -> None:
    """EventBridge Scheduler: `{"timer": "publish" | "rescan" | "advisories" | "reconcile" | "discover"}`."""
    with job("tick", _trace()):
        application().tick(str(event.get("timer", "")))


def api(event: Event, context: object) -> Event:
    """A function URL or HTTP API (payload 2.0): the same application as `seawall serve`."""
    from seawall.adapters.asgi_bridge import call

    http = event["requestContext"]["http"]
    raw = event.get("body") or ""
    body = base64.b64decode(raw) if event.get("isBase64Encoded") else raw.encode()
    headers = [*event.get("headers", {}).items()]
    if event.get("cookies"):
        headers.append(("cookie", "; ".join(event["cookies"])))
    with job("api", event.get("headers", {}).get("traceparent", "") or _trace()):
        answer = call(
            _app(),
            method=http["method"],
            path=unquote(event["rawPath"]),
            query=event.get("rawQueryString", "").encode(),
            headers=headers,
            body=body,
            client=http.get("sourceIp", ""),
        )
    cookies = [value for name, value in answer.headers if name == "set-cookie"]
    return {
        "statusCode": answer.status,
        "headers": {name: value for name, value in answer.headers if name != "set-cookie"},
        "cookies": cookies,
        "body": base64.b64encode(answer.body).decode(),
        "isBase64Encoded": True,
    }


@cache
def _app() -> Any:
    from seawall.server.app import create_app

    return create_app(application(), SETTINGS)


def _trace() -> str:
    return os.environ.get("_X_AMZN_TRACE_ID", "")


def _job(body: bytes) -> None:
    app, queue = started()
    event = queue.take(body) if queue else parse(body)
    with job(event.type, event.traceparent):
        app.handle(event)


def _messages(name: str, event: Event, handle: Callable[[bytes], object], *, ordered: bool = False) -> Event:
    """Handle SQS records; the answer names those that come again (`ReportBatchItemFailures`)."""
    records = event["Records"]
    failed: list[str] = []
    blocked: set[str] = set()
    with job(name, _trace()):
        for record in records:
            group = record["attributes"].get("MessageGroupId", "")
            if ordered and group in blocked:
                failed.append(record["messageId"])
                continue
            last = int(record["attributes"].get("ApproximateReceiveCount", 1)) >= TRIES
            body = record["body"].encode()
            if deliver([body], handle, lambda raw, reason: application().poison(name, raw, reason), last=last):
                failed.append(record["messageId"])
                blocked.add(group)
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in failed]}


def _records(name: str, kind: str, event: Event) -> Event:
    """Handle Kinesis records in order; the first that failed and everything behind it comes again."""
    app = application()
    with job(name, _trace()):
        for record in event["Records"]:

            def handle(item: Event) -> None:
                try:
                    body = base64.b64decode(item["kinesis"]["data"], validate=True)
                except ValueError as error:
                    raise MalformedEvent("kinesis.data is not base64") from error
                came = item["kinesis"].get("approximateArrivalTimestamp")
                # A sensor's certificate has to hold when the batch came, not when an outage let us look at it.
                time = datetime.fromtimestamp(came, UTC) if came else None
                app.handle(carrying(kind, body_id(body), f"/{name}", body, time=time))

            def poison(item: Event, reason: str) -> None:
                app.poison(name, json.dumps(item["kinesis"]["data"]).encode(), reason)

            if deliver([record], handle, poison):
                return {"batchItemFailures": [{"itemIdentifier": record["kinesis"]["sequenceNumber"]}]}
    return {"batchItemFailures": []}
