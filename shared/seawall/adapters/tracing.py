"""One trace id from the trigger through every log line (W3C trace context), and spans where OpenTelemetry is installed.

Source: W3C Trace Context, "traceparent".
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_AWS = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:;Parent=([0-9a-f]{16}))?")
_current: ContextVar[tuple[str, str]] = ContextVar("trace", default=("", ""))
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def ids_of(traceparent: str) -> tuple[str, str]:
    """Return (trace id, span id) of a W3C or X-Ray header; empty texts for anything else."""
    if match := _TRACEPARENT.match(traceparent or ""):
        return match[1], match[2]
    if match := _AWS.search(traceparent or ""):
        return match[1] + match[2], match[3] or ""
    return "", ""


@contextmanager
def job(name: str, traceparent: str = "") -> Iterator[None]:
    """Everything inside belongs to the trace of `traceparent`; a span `name` where OpenTelemetry is installed."""
    token = _current.set(ids_of(traceparent))
    try:
        if find_spec("opentelemetry") is None:
            yield
        else:
            from opentelemetry import trace
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

            parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent}) if traceparent else None
            with trace.get_tracer("seawall").start_as_current_span(name, context=parent):
                yield
    finally:
        _current.reset(token)


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
