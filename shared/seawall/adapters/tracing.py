"""One trace id from the trigger through queues and every log line (W3C trace context), and spans over OTLP where wanted.

OpenTelemetry is loaded only when the environment names a place to send spans to (`OTEL_EXPORTER_OTLP_ENDPOINT` or
`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`), or when the host has loaded it before us: Azure's worker, the ADOT layer of Lambda.
Source: W3C Trace Context, "traceparent"; OpenTelemetry, "OTLP Exporter Configuration".
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seawall.formats.cloudevents import CloudEvent

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
FUNCTION_HOSTS = ("AWS_LAMBDA_FUNCTION_NAME", "K_SERVICE", "FUNCTIONS_WORKER_RUNTIME")
FLUSH_MS = 2000
"""Longest that the end of a job waits for a collector; what is not sent by then is sent with the next job."""
_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_AWS = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:;Parent=([0-9a-f]{16}))?")
_current: ContextVar[tuple[str, str]] = ContextVar("trace", default=("", ""))
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def ids_of(traceparent: str) -> tuple[str, str]:
    """Return (trace id, span id) of a W3C or X-Ray header; empty texts for anything else, and for ids of zeros."""
    found = ("", "")
    if match := _TRACEPARENT.match(traceparent or ""):
        found = match[1], match[2]
    elif match := _AWS.search(traceparent or ""):
        found = match[1] + match[2], match[3] or ""
    return found if found[0].strip("0") and (not found[1] or found[1].strip("0")) else ("", "")


@contextmanager
def job(name: str, traceparent: str = "") -> Iterator[None]:
    """Everything inside belongs to the trace of `traceparent`, or of the job around it, or to a new one.

    With OpenTelemetry it is a span; in a function it is sent before the outermost job ends, as the host may freeze us then.
    """
    outer = _current.get()
    trace_id, parent = ids_of(traceparent)
    if not trace_id:
        trace_id, parent = outer if outer[0] else (secrets.token_hex(16), "")
    token = _current.set((trace_id, parent or secrets.token_hex(8)))
    try:
        tracer = _tracer()
        if tracer is None:
            yield
        else:
            with _span(tracer, name):
                yield
    finally:
        _current.reset(token)
        if not outer[0] and (flush := _flush_of()) is not None:
            flush()


def current_traceparent() -> str:
    """Return the W3C header of the present job, empty outside of one."""
    trace_id, span_id = _current.get()
    return f"00-{trace_id}-{span_id}-01" if trace_id else ""


def stamped(event: CloudEvent) -> CloudEvent:
    """Return `event` as part of the present trace, unless it is of one already: a queue hands it on to the next job."""
    import msgspec

    here = current_traceparent()
    return msgspec.structs.replace(event, traceparent=here) if here and not event.traceparent else event


@contextmanager
def _span(tracer: Any, name: str) -> Iterator[None]:
    from opentelemetry import trace

    trace_id, span_id = _current.get()
    remote = trace.SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=trace.TraceFlags(1))
    parent = trace.set_span_in_context(trace.NonRecordingSpan(remote))
    with tracer.start_as_current_span(name, context=parent) as span:
        own = span.get_span_context()
        token = _current.set((trace_id, f"{own.span_id:016x}" if own.span_id else span_id))
        try:
            yield
        finally:
            _current.reset(token)


@cache
def _own_provider() -> Any:
    """The provider that sends to where the environment says, None without such a place or without the extra."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return None
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        logging.getLogger(__name__).warning("spans are not sent: pip install 'seawall[telemetry]'")
        return None
    provider = TracerProvider(
        resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "seawall")})
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


def _tracer() -> Any:
    if _own_provider() is None and "opentelemetry.sdk.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    return trace.get_tracer("seawall")


def _flush_of() -> Callable[[], object] | None:
    provider = _own_provider() if any(os.environ.get(name) for name in FUNCTION_HOSTS) else None
    return None if provider is None else lambda: provider.force_flush(FLUSH_MS)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, severity, logger, message, trace, and the fields of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        trace, span = _current.get()
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "severity": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace:
            fields |= {"trace_id": trace, "span_id": span}
        fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class TextFormatter(logging.Formatter):
    """One line for people: time, severity, logger, message, and the fields of `extra` as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = "".join(f" {name}={value!r}" for name, value in vars(record).items() if name not in _STANDARD)
        line = f"{moment} {record.levelname} {record.name} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logging(level: str = "INFO", *, text: bool = False) -> None:
    """Log to standard error: JSON lines, which Lambda and Cloud Run understand, or lines for people."""
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("alembic", "azure", "botocore", "urllib3", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class TraceFilter(logging.Filter):
    """Adds `trace_id` to records, for hosts that bring their own handlers (Azure Functions)."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        record.trace_id = _current.get()[0]
        return True
