"""Log lines carry their fields in both forms."""

from __future__ import annotations

import json
import logging

import pytest
from seawall.adapters.tracing import JsonFormatter, TextFormatter, job

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def record(**extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "seawall.x", "levelname": "WARNING", "msg": "image scanned", **extra})
    made.created = 1793600000.0
    return made


def test_lines_for_people() -> None:
    line = TextFormatter().format(record(digest="sha256:1", gaps=2))
    assert line.endswith("WARNING seawall.x image scanned digest='sha256:1' gaps=2")
    assert line.startswith("2026-11-0")


def test_lines_for_machines_have_the_trace() -> None:
    with job("scan", TRACE):
        fields = json.loads(JsonFormatter().format(record(gaps=2)))
    assert (fields["message"], fields["gaps"], fields["trace_id"]) == ("image scanned", 2, TRACE.split("-")[1])


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_exceptions_are_kept(formatter) -> None:
    try:
        raise ValueError("boom")
    except ValueError as error:
        line = formatter.format(record(exc_info=(ValueError, error, error.__traceback__)))
    assert "boom" in line
