"""Sensors: signed batches, from the event hub or by HTTPS."""

import json
from typing import List

import azure.functions as func
from apps.shell import application, event_hub_batch, queued
from seawall.adapters.tracing import job
from seawall.domain.errors import InputError, SeawallError, TooLarge, Unauthenticated
from seawall.formats.cloudevents import SENSOR_RECEIVED

blueprint = func.Blueprint()


@blueprint.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%SENSOR_HUB%",
    connection="EventHub",
    consumer_group="%SENSOR_CONSUMER_GROUP%",
    cardinality=func.Cardinality.MANY,
)
@blueprint.retry(
    strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:02", maximum_interval="00:02:00"
)
def sensor_events(events: List[func.EventHubEvent], context: func.Context) -> None:
    """A batch of one partition."""
    event_hub_batch("sensor_events", SENSOR_RECEIVED, events, context)


@blueprint.route(route="v1/events/sensor", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def sensor_batch(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """One batch; the sensor's own certificate and signature are in it and are checked before anything is read."""
    with job("sensor_batch", req.headers.get("traceparent", "")):
        try:
            answer, status = application().doors.sensor(req.get_body()), 202
        except SeawallError as error:
            status = next((code for kind, code in STATUS if isinstance(error, kind)), 503)
            answer = {"type": "about:blank", "title": type(error).__name__, "status": status, "detail": error.message}
    kind = "application/json" if status == 202 else "application/problem+json"
    return func.HttpResponse(json.dumps(answer), status_code=status, mimetype=kind)


STATUS = ((Unauthenticated, 401), (TooLarge, 413), (InputError, 400))


@blueprint.queue_trigger(arg_name="message", queue_name="%SEAWALL_JOB_QUEUE__PREFIX%sensor", connection="Jobs")
def sensor_again(message: func.QueueMessage, context: func.Context) -> None:
    """What could not be handled on its partition."""
    queued("sensor_again", message, context)
