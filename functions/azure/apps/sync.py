"""Sync back: what analysts decide in the Defender portal."""

import azure.functions as func
from apps.shell import SETTINGS, application, traced

blueprint = func.Blueprint()


@blueprint.timer_trigger(schedule="0 */2 * * * *", arg_name="timer", run_on_startup=False)
def sync_defender(timer: func.TimerRequest, context: func.Context) -> None:
    """Status, classification and owner of our incidents; with `write_back` both ways."""

    def run() -> None:
        from seawall.adapters.azure.defender_sync import sync

        sync(SETTINGS, application())

    traced("sync_defender", context, run)
