"""Log lines carry their fields in both forms."""

from __future__ import annotations

import json
import logging

import pytest
from seawall.adapters.tracing import JsonFormatter, TextFormatter, current_traceparent, ids_of, job, stamped
from seawall.formats.cloudevents import CloudEvent

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


def test_a_job_without_a_trace_begins_one_and_jobs_inside_belong_to_it() -> None:
    assert current_traceparent() == ""
    with job("outer"):
        outer = current_traceparent()
        with job("inner"):
            assert current_traceparent().split("-")[1] == outer.split("-")[1]
    assert ids_of(outer)[0]
    assert current_traceparent() == ""


def test_an_event_takes_its_trace_into_the_queue() -> None:
    event = CloudEvent(id="1", source="/", type="t")
    assert stamped(event) == event
    with job("door", TRACE):
        assert ids_of(stamped(event).traceparent)[0] == ids_of(TRACE)[0]
        other = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
        assert stamped(CloudEvent(id="1", source="/", type="t", traceparent=other)).traceparent == other


@pytest.mark.parametrize(
    "header", ["", "garbage", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "Root=1-00000000-" + "0" * 24]
)
def test_what_is_no_trace_begins_a_new_one(header: str) -> None:
    assert ids_of(header) == ("", "")
    with job("x", header):
        assert ids_of(current_traceparent())[0]
