"""`seawall cost`: what a deployment costs, and what it monitored."""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from seawall.cli.command import Command
from seawall.domain.errors import InputError

app = typer.Typer(help="What a deployment costs, and what it monitored.", no_args_is_help=True)
COMMAND = Command(id="cost", app=app)


@app.callback()
def cost() -> None:
    """What a deployment costs, and what it monitored."""


@app.command()
def estimate(
    vcores: Annotated[float, typer.Option(help="Monitored cores.", min=0)] = 100,
    images: Annotated[int, typer.Option(help="Image scans a month.", min=0)] = 500,
    events: Annotated[float, typer.Option(help="Events a second: audit and sensor.", min=0)] = 50,
    cloud: Annotated[str, typer.Option(help="azure, aws, gcp or all.")] = "all",
    prices: Annotated[Path | None, typer.Option(help="Your own price file.")] = None,
    output: Annotated[str, typer.Option("--format", "-f", help="table or json.")] = "table",
) -> None:
    """Estimate a month at list prices, in US dollars."""
    from seawall.costs.estimate import Load, read_prices
    from seawall.costs.estimate import estimate as estimated

    clouds = ["azure", "aws", "gcp"]
    if cloud not in [*clouds, "all"] or output not in ("table", "json"):
        raise InputError("--cloud is azure, aws, gcp or all; --format is table or json")
    table, load = read_prices(prices), Load(vcores, images, events)
    found = {name: estimated(getattr(table, name), load) for name in clouds if cloud in (name, "all")}
    totals = {name: sum(line.usd for line in lines) for name, lines in found.items()}
    if output == "json":
        document = {
            "date": table.date.isoformat(),
            "source": table.source,
            "clouds": {
                name: {
                    "usd_per_month": round(totals[name], 2),
                    "items": {line.item: round(line.usd, 2) for line in lines},
                }
                for name, lines in found.items()
            },
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    from seawall.cli.console import Console
    from seawall.cli.table import listing

    for name, lines in found.items():
        view = listing("Item", "USD a month", right=("USD a month",), title=f"{name}: {totals[name]:,.0f} USD a month")
        for line in lines:
            view.add_row(line.item, f"{line.usd:,.2f}")
        Console().print(view)
    sys.stderr.write(f"Estimate at list prices of {table.date}: {table.source}\n")


@app.command()
def report(
    start: Annotated[datetime | None, typer.Option(help="First hour, UTC; default: 30 days before the end.")] = None,
    end: Annotated[datetime | None, typer.Option(help="Hours before this, UTC; default: now.")] = None,
    cluster: Annotated[str, typer.Option(help="Only this cluster.")] = "",
    output: Annotated[str, typer.Option("--format", "-f", help="table, csv or json.")] = "table",
) -> None:
    """Report the vCores that were monitored, by cluster, as sensors metered them."""
    from seawall.bootstrap import bootstrap

    if output not in ("table", "csv", "json"):
        raise InputError(f"no such format: {output}", hint="table, csv, json")
    until = end.replace(tzinfo=UTC) if end else datetime.now(UTC)
    since = start.replace(tzinfo=UTC) if start else until - timedelta(days=30)
    if since >= until:
        raise InputError("--start is not before --end")
    application = bootstrap()
    try:
        clusters = application.usage(since, until, cluster)
    finally:
        application.close()
    if output == "json":
        document = {"start": since.isoformat(), "end": until.isoformat(), "clusters": clusters}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    names = ("cluster", "vcore_hours", "average_vcores", "peak_vcores", "nodes", "hours")
    if output == "csv":
        writer = csv.DictWriter(sys.stdout, names)
        writer.writeheader()
        writer.writerows(clusters)
        return
    from seawall.cli.console import Console
    from seawall.cli.table import listing

    headings = [name.replace("_", " ") for name in names]
    title = f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"
    view = listing(*headings, right=headings[1:], title=title)
    for item in clusters:
        view.add_row(*(f"{item[name]:,}" if name != "cluster" else item[name] for name in names))
    Console().print(view)
    if not clusters:
        sys.stderr.write("No sensor reported vCores in that time.\n")
