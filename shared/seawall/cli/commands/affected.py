"""`seawall affected`: which images and running workloads have a vulnerability."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.cli.command import Command
from seawall.domain.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from seawall.app.rescan import Touched

app = typer.Typer()
COMMAND = Command(id="affected", app=app)
MAX_EXAMPLES, MAX_NAMED = 3, 100


@app.command("affected")
def affected(
    name: Annotated[str, typer.Argument(help="A CVE, GHSA or other advisory id.")],
    output: Annotated[str, typer.Option("--format", "-f", help="table or json.")] = "table",
    database: Annotated[Path | None, typer.Option("--db", help="The advisory file; default: as in settings.")] = None,
) -> None:
    """Say which stored images, packages in them, and running workloads have the vulnerability NAME."""
    from seawall.adapters.osv.file import open_file
    from seawall.adapters.sql.store import open_store
    from seawall.app.rescan import affected as ask
    from seawall.app.rescan import document
    from seawall.app.running_images import running_images
    from seawall.settings import load_settings

    if output not in ("table", "json"):
        raise InputError(f"no such format: {output}", hint="table, json")
    settings = load_settings()
    advisories = open_file(database or settings.effective_advisories)
    if not advisories.named(name):
        raise InputError(f"no advisory is called {name}", hint="`seawall db info` says how old the advisories are")
    store = open_store(settings)
    try:
        touched = ask(
            name, advisories=advisories, index=store.index, running=lambda digests: running_images(store, digests)
        )
        shown = {digest for item in touched[:MAX_NAMED] for digest in item.digests[:MAX_EXAMPLES]}
        names = store.images.names(sorted(shown))
        seen = store.index.counts()[0]
        watched = bool(store.running.scopes())
    finally:
        store.close()
    if output == "json":
        sys.stdout.write(json.dumps(document(name, touched), indent=2) + "\n")
        return
    _print(name, touched, names, seen=seen, watched=watched)


def _print(name: str, touched: list[Touched], names: dict[str, str], *, seen: int, watched: bool) -> None:
    from seawall.app.rescan import workloads
    from seawall.cli.console import Console

    console = Console(highlight=False)
    images = {digest for item in touched for digest in item.digests}
    running = workloads(touched)
    heading = f"{name}: {_count(len(images), 'image')} of {seen:,} seen, {_count(len(touched), 'package')}"
    heading += f", {_count(len(running), 'running workload')}" if watched else ""
    console.print(heading, markup=False)
    if not seen:
        console.print("This store has no images yet: `seawall serve` scans what is pushed, and keeps it here.")
    if not watched and images:
        console.print("What runs is not known: no sensor and no cluster reports to this store.")
    if not touched:
        return
    examples = ["\n".join(names.get(digest) or digest for digest in item.digests[:MAX_EXAMPLES]) for item in touched]
    rows = [
        (
            item.finding.package, item.finding.installed_version, item.finding.fixed_version or "no fix",
            f"{item.finding.priority:.0f}", f"{len(item.digests):,}", f"{len(item.workloads):,}", example,
        )
        for item, example in zip(touched, examples, strict=True)
    ]  # fmt: skip
    headings = ("Package", "Installed", "Fixed in", "Priority", "Images", "Workloads", "For example")
    console.print(_table(headings, rows, right=("Priority", "Images", "Workloads")))
    if running:
        console.print("\nRunning now", style="bold")
        loaded = {True: "in use", False: "not loaded", None: ""}
        console.print(
            _table(
                ("Cluster", "Namespace", "Workload", "Containers", "Package"),
                [(item.cluster, item.namespace, item.owner, f"{item.containers:,}", loaded[item.in_use]) for item in running[:MAX_NAMED]],
                right=("Containers",),
            )
        )  # fmt: skip
        if len(running) > MAX_NAMED:
            console.print(f"and {len(running) - MAX_NAMED:,} more: --format json lists all")


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, right: tuple[str, ...]) -> Table:
    from rich.text import Text

    from seawall.cli.table import listing

    table = listing(*headings, right=right)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
