"""Posture: clusters, accounts and registries are listed and judged by the clock; objects that were sent in are judged."""

import azure.functions as func
from apps.shell import application, queued, traced

blueprint = func.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name="%SEAWALL_JOB_QUEUE__PREFIX%posture", connection="Jobs")
def assess_posture(message: func.QueueMessage, context: func.Context) -> None:
    """One scope's manifests or API dump."""
    queued("assess_posture", message, context)


@blueprint.timer_trigger(schedule="0 17 * * * *", arg_name="timer", run_on_startup=False)
def discover(timer: func.TimerRequest, context: func.Context) -> None:
    """List what `discovery` names and judge it."""
    traced("discover", context, lambda: application().tick("discover"))
