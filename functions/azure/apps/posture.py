"""Posture: objects that were sent in are judged."""

import azure.functions as func
from apps.shell import queued

blueprint = func.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name="%SEAWALL_JOB_QUEUE__PREFIX%posture", connection="Jobs")
def assess_posture(message: func.QueueMessage, context: func.Context) -> None:
    """One scope's manifests or API dump."""
    queued("assess_posture", message, context)
