"""`seawall rescan`: bring stored findings up to date without pulling images."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.cli.command import Command
from seawall.domain.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.vulnerability.advisory_file import AdvisoryFile

app = typer.Typer()
COMMAND = Command(id="rescan", app=app)


@app.command("rescan")
def rescan(
    everything: Annotated[
        bool, typer.Option("--all", help="Match every stored package, not only what changed.")
    ] = False,
    output: Annotated[str, typer.Option("--format", "-f", help="table or json.")] = "table",
) -> None:
    """Match stored packages against the advisories that changed since the last rescan."""
    from seawall.adapters.clock import SystemClock
    from seawall.adapters.osv.file import mark_rescanned, open_file
    from seawall.adapters.sql.store import open_store
    from seawall.app.rescan import rescan as run
    from seawall.cli.commands.scan import read_exceptions
    from seawall.settings import load_settings

    if output not in ("table", "json"):
        raise InputError(f"no such format: {output}", hint="table, json")
    settings = load_settings()
    path = settings.effective_advisories
    store = open_store(settings)
    try:
        done = run(
            advisories=open_file(path),
            previous=None if everything else _previous(path),
            index=store.index,
            images=store.images,
            clock=SystemClock(),
            exceptions=read_exceptions(settings, [], []),
        )
    finally:
        store.close()
    mark_rescanned(path)
    if output == "json":
        sys.stdout.write(json.dumps(asdict(done), indent=2) + "\n")
        return
    from seawall.cli.console import Console

    Console(highlight=False, soft_wrap=True).print(
        f"{done.advisories:,} advisories changed, {done.packages:,} packages matched, "
        f"{done.images:,} images have other findings, {done.new_findings:,} findings are new",
        markup=False,
    )


def _previous(path: Path) -> AdvisoryFile | None:
    from seawall.adapters.osv.file import open_rescanned

    return open_rescanned(path)
