"""Kubernetes audit logs from diagnostic settings."""

from typing import List

import azure.functions as func
from apps.shell import event_hub_batch, queued
from seawall.formats.cloudevents import AUDIT_RECEIVED

blueprint = func.Blueprint()


@blueprint.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%AUDIT_HUB%",
    connection="EventHub",
    consumer_group="%AUDIT_CONSUMER_GROUP%",
    cardinality=func.Cardinality.MANY,
)
@blueprint.retry(
    strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:02", maximum_interval="00:02:00"
)
def audit_events(events: List[func.EventHubEvent], context: func.Context) -> None:
    """A batch of one partition."""
    event_hub_batch("audit_events", AUDIT_RECEIVED, events, context)


@blueprint.queue_trigger(arg_name="message", queue_name="%SEAWALL_JOB_QUEUE__PREFIX%audit", connection="Jobs")
def audit_again(message: func.QueueMessage, context: func.Context) -> None:
    """What could not be handled on its partition, and what the API took."""
    queued("audit_again", message, context)
