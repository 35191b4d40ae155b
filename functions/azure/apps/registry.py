"""Registry events: a push is queued, the queue scans."""

import json

import azure.functions as func
from apps.shell import application, queued, traced
from seawall.domain.errors import MalformedEvent

blueprint = func.Blueprint()


@blueprint.event_grid_trigger(arg_name="event")
def image_pushed(event: func.EventGridEvent, context: func.Context) -> None:
    """`Microsoft.ContainerRegistry.ImagePushed` of the subscribed registries."""
    body = json.dumps({"id": event.id, "eventType": event.event_type, "data": event.get_json()}).encode()

    def run() -> None:
        try:
            application().doors.registry("eventgrid", {}, body)
        except MalformedEvent as error:
            application().poison("image_pushed", body, f"MalformedEvent: {error}")

    traced("image_pushed", context, run)


@blueprint.queue_trigger(arg_name="message", queue_name="%SEAWALL_JOB_QUEUE__PREFIX%images", connection="Jobs")
def scan_image(message: func.QueueMessage, context: func.Context) -> None:
    """Scan, sign, attach."""
    queued("scan_image", message, context)


@blueprint.timer_trigger(schedule="0 40 * * * *", arg_name="timer", run_on_startup=False)
def rescan(timer: func.TimerRequest, context: func.Context) -> None:
    """Stored images against advisories that changed."""
    traced("rescan", context, lambda: application().tick("rescan"))


@blueprint.timer_trigger(schedule="0 5 */6 * * *", arg_name="timer", run_on_startup=False)
def advisories(timer: func.TimerRequest, context: func.Context) -> None:
    """Build the advisory file anew."""
    traced("advisories", context, lambda: application().tick("advisories"))


@blueprint.timer_trigger(schedule="0 20 * * * *", arg_name="timer", run_on_startup=False)
def reconcile(timer: func.TimerRequest, context: func.Context) -> None:
    """Scans that were accepted and never finished."""
    traced("reconcile", context, lambda: application().tick("reconcile"))
