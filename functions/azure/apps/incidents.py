"""Incidents: correlate, take what spokes forward, publish."""

import json
from typing import List

import azure.functions as func
from apps.shell import TRIES, application, queued, traced
from seawall.app.delivery import deliver
from seawall.domain.errors import MalformedEvent

blueprint = func.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name="%SEAWALL_JOB_QUEUE__PREFIX%correlate", connection="Jobs")
def correlate(message: func.QueueMessage, context: func.Context) -> None:
    """Alerts of one cluster."""
    queued("correlate", message, context)


@blueprint.timer_trigger(schedule="*/20 * * * * *", arg_name="timer", run_on_startup=False)
def publish(timer: func.TimerRequest, context: func.Context) -> None:
    """Empty the outbox: Logs Ingestion, indicators, and whatever else is set."""
    traced("publish", context, lambda: application().tick("publish"))


@blueprint.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%FORWARDED_HUB%",
    connection="EventHub",
    consumer_group="%FORWARDED_CONSUMER_GROUP%",
    cardinality=func.Cardinality.MANY,
)
@blueprint.retry(
    strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:02", maximum_interval="00:02:00"
)
def forwarded(events: List[func.EventHubEvent], context: func.Context) -> None:
    """Documents of the deployments in other clouds. Writing them is all there is to do, so a failure blocks until it can."""
    attempt = context.retry_context.retry_count if context.retry_context else 0
    app = application()

    def take(body: bytes) -> None:
        try:
            document = json.loads(body)
        except ValueError as error:
            raise MalformedEvent(f"not JSON: {error}") from error
        if not isinstance(document, dict):
            raise MalformedEvent("not an object")
        app.incidents.take_forwarded(document)

    def run() -> None:
        bodies = [event.get_body() for event in events]
        for failure in deliver(
            bodies, take, lambda body, why: app.poison("forwarded", body, why), last=attempt >= TRIES
        ):
            raise failure.error

    traced("forwarded", context, run)
