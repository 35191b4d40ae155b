"""`seawall sensor`: who may send."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from seawall.cli.command import Command

app = typer.Typer(help="Sensors: enrolment and state.", no_args_is_help=True)
COMMAND = Command("sensor", app)


@app.callback()
def sensor() -> None:
    """Sensors: enrolment and state."""


@app.command("token")
def token(
    cluster: Annotated[str, typer.Option(help="The cluster whose nodes may enrol with it.")],
    hours: Annotated[int, typer.Option(help="How long it is good.", min=1, max=168)] = 24,
    uses: Annotated[int, typer.Option(help="How many nodes may use it, each once.", min=1, max=10_000)] = 1,
) -> None:
    """Make a one-time enrolment token and print it; it is shown only now."""
    from seawall.adapters.sql.store import open_store
    from seawall.app.enrol_sensor import create_token
    from seawall.settings import load_settings

    store = open_store(load_settings())
    try:
        made = create_token(
            store.sensors,
            cluster=cluster,
            now=datetime.now(UTC),
            lifetime=timedelta(hours=hours),
            uses=uses,
            created_by="command line",
        )
    finally:
        store.close()
    sys.stdout.write(made + "\n")


@app.command("list")
def sensors(cluster: Annotated[str, typer.Option(help="Only this cluster.")] = "") -> None:
    """List the sensors, when they were last heard and what they lost."""
    from seawall.adapters.sql.store import open_store
    from seawall.cli.console import Console
    from seawall.cli.table import listing
    from seawall.settings import load_settings

    store = open_store(load_settings())
    try:
        found = store.sensors.sensors(cluster=cluster)
    finally:
        store.close()
    counts = ("Lost events", "Missing batches")
    table = listing("Cluster", "Node", "State", "Last heard", *counts, right=counts)
    for item in found:
        lost = sum(item.lost.values())
        table.add_row(
            item.cluster,
            item.node,
            item.state or "unknown",
            item.last_seen.isoformat(timespec="seconds"),
            str(lost),
            str(item.missing_batches),
        )
    Console().print(table)
