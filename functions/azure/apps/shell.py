"""What every trigger does: the application of this process, traces, and batches that cost nothing but their bad items."""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import azure.functions as func
from seawall.adapters.tracing import TraceFilter, job
from seawall.app.application import Application
from seawall.app.delivery import deliver
from seawall.formats.cloudevents import CloudEvent, body_id, carrying, parse
from seawall.settings import load_settings

TRIES = 5
"""Tries of an Event Hubs batch on its own partition; then what still fails goes to the job queue."""

SETTINGS = load_settings()
"""A mistake in them ends the process at its start, and says which setting and what is expected."""

logging.getLogger("seawall").addFilter(TraceFilter())


@cache
def started() -> tuple[Application, Any]:
    """The application of this process, made at the first event."""
    from seawall.bootstrap import function_app

    return function_app(SETTINGS)


def application() -> Application:
    return started()[0]


def traced(name: str, context: func.Context, work: Callable[[], None]) -> None:
    with job(name, context.trace_context.trace_parent if context.trace_context else ""):
        work()


def event_hub_batch(name: str, kind: str, events: list[func.EventHubEvent], context: func.Context) -> None:
    """Handle every event of a batch.

    The trigger moves its checkpoint behind the batch also when the function throws, once the retry policy is spent. So the
    policy of these functions has no end, and after `TRIES` what still fails is kept in the job queue, whose own retries
    and poison queue take over. Only when that cannot be written either, the partition waits.
    """
    attempt = context.retry_context.retry_count if context.retry_context else 0
    app = application()
    items = [
        carrying(kind, body_id(event.get_body()), f"/{name}", event.get_body(), time=event.enqueued_time)
        for event in events
    ]

    def run() -> None:
        failures = deliver(items, app.handle, lambda item, why: app.poison(name, item.body, why), last=attempt >= TRIES)
        if failures and attempt < TRIES:
            raise failures[0].error
        for failure in failures:
            app.keep(items[failure.index])

    traced(name, context, run)


def queued(name: str, message: func.QueueMessage, context: func.Context) -> None:
    """Handle one message of a job queue; a throw brings it back, and after `maxDequeueCount` it is in the poison queue."""
    app, queue = started()
    raw = message.get_body()

    def handle(body: bytes) -> None:
        event: CloudEvent = queue.take(body) if queue else parse(body)
        with job(event.type, event.traceparent):
            app.handle(event)

    def run() -> None:
        for failure in deliver([raw], handle, lambda body, reason: app.poison(name, body, reason)):
            raise failure.error

    traced(name, context, run)
