"""`seawall affected`: which images have a vulnerability."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.cli.command import Command
from seawall.domain.errors import InputError

if TYPE_CHECKING:
    from seawall.app.rescan import Touched

app = typer.Typer()
COMMAND = Command(id="affected", app=app)
MAX_SHOWN = 20


@app.command("affected")
def affected(
    name: Annotated[str, typer.Argument(help="A CVE, GHSA or other advisory id.")],
    output: Annotated[str, typer.Option("--format", "-f", help="table or json.")] = "table",
    database: Annotated[Path | None, typer.Option("--db", help="The advisory file; default: as in settings.")] = None,
) -> None:
    """Say which stored images, and which packages in them, have the vulnerability NAME."""
    from seawall.adapters.osv.file import open_file
    from seawall.adapters.sql.store import open_store
    from seawall.app.rescan import affected as ask
    from seawall.app.rescan import document
    from seawall.settings import load_settings

    if output not in ("table", "json"):
        raise InputError(f"no such format: {output}", hint="table, json")
    settings = load_settings()
    advisories = open_file(database or settings.effective_advisories)
    if not advisories.named(name):
        raise InputError(f"no advisory is called {name}", hint="`seawall db info` says how old the advisories are")
    store = open_store(settings)
    try:
        touched = ask(name, advisories=advisories, index=store.index)
        names = {
            digest: store.images.names([digest]).get(digest, "")
            for item in touched
            for digest in item.digests[:MAX_SHOWN]
        }
    finally:
        store.close()
    if output == "json":
        sys.stdout.write(json.dumps(document(name, touched), indent=2) + "\n")
        return
    _print(name, touched, names)


def _print(name: str, touched: list[Touched], names: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    images = {digest for item in touched for digest in item.digests}
    console.print(f"{name}: {len(images):,} images, {len(touched):,} packages", markup=False)
    if not touched:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Package", "Installed", "Fixed in", "Images", "For example"):
        table.add_column(column, overflow="fold", justify="right" if column == "Images" else "left")
    for item in touched:
        examples = "\n".join(names.get(digest) or digest for digest in item.digests[:3])
        cells = (
            item.finding.package,
            item.finding.installed_version,
            item.finding.fixed_version or "no fix",
            f"{len(item.digests):,}",
            examples,
        )
        table.add_row(*map(Text, cells))
    console.print(table)
