"""`seawall db`: get, build and describe the advisory file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.command import Command
from seawall.domain.errors import InputError, RemoteError, SeawallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from seawall.adapters.osv.download import Downloader
    from seawall.adapters.osv.reading import Report
    from seawall.vulnerability.advisory_file import AdvisoryFile, Changes

app = typer.Typer(help="The advisory file: what scans look vulnerabilities up in.", no_args_is_help=True)
COMMAND = Command(id="db", app=app)

KeyOption = Annotated[
    str,
    typer.Option(
        "--sign", metavar="KEY", help="Sign with this key: a PEM file, env:NAME, azurekms://, awskms:// or gcpkms://."
    ),
]


@app.callback()
def db() -> None:
    """The advisory file: what scans look vulnerabilities up in."""


@app.command("update")
def update(
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--from", help="URL, file or folder; can be repeated. Default: the OSV exports, CISA KEV and EPSS."
        ),
    ] = None,
    mirror: Annotated[
        str, typer.Option("--mirror", help="URL or folder that has the default sources under the same names.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The advisory file; default: as in settings.")
    ] = None,
    sign: KeyOption = "",
) -> None:
    """Fetch what changed, build the advisory file anew and say which advisories changed."""
    from seawall.adapters.osv.download import default_urls, is_url
    from seawall.settings import load_settings

    settings = load_settings()
    mirror = mirror or settings.vulnerabilities.mirror
    sources = list(source or settings.vulnerabilities.sources)
    if not sources:
        sources = default_urls(mirror) if not mirror or is_url(mirror) else [mirror]
    path = output or settings.effective_advisories
    changes, file, reports = _build(sources, path, sign, cache=settings.data_dir / "advisory-sources")
    _say(reports, file, changes, path)


@app.command("build")
def build(
    source: Annotated[list[str], typer.Option("--from", help="URL, file or folder; can be repeated.")],
    more: Annotated[list[str] | None, typer.Argument(help="More URLs, files or folders.", show_default=False)] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the advisory file goes.")],
    sign: KeyOption = "",
) -> None:
    """Build an advisory file from the given sources only."""
    from seawall.settings import load_settings

    changes, file, reports = _build(
        [*source, *(more or ())], output, sign, cache=load_settings().data_dir / "advisory-sources"
    )
    _say(reports, file, changes, output)


@app.command("info")
def info(
    path: Annotated[Path | None, typer.Argument(help="The advisory file; default: as in settings.")] = None,
    output: Annotated[str, typer.Option("--format", "-f", help="table or json.")] = "table",
    key: Annotated[Path | None, typer.Option("--key", help="Public key (PEM) that must have signed it.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Read everything and compare with the content id.")] = False,
) -> None:
    """Say what an advisory file holds, how old it is and who signed it."""
    from seawall.adapters.osv.file import open_file
    from seawall.settings import load_settings

    path = path or load_settings().effective_advisories
    file = open_file(path, public_key_pem=read_key(key) if key else "")
    if verify or key:
        file.verify()
    facts: dict[str, Any] = {
        "path": str(path),
        "id": file.id,
        "size_bytes": path.stat().st_size,
        **{name: file.trailer.get(name) for name in ("built_at", "key_id") if file.trailer.get(name)},
        **file.meta,
        "sources": file.trailer.get("sources", []),
    }
    if output == "json":
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
        return
    from rich.table import Table

    from seawall.cli.console import Console

    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in facts.items():
        if name == "releases":
            value = f"{len(value):,}"
        if name == "sources":
            value = "\n".join(f"{item['source']}: {item['records'] or item['facts']}" for item in value)
        elif isinstance(value, dict):
            value = ", ".join(
                f"{key} {count:,}" if isinstance(count, int) else f"{key} {count}" for key, count in value.items()
            )
        elif isinstance(value, int):
            value = f"{value:,}"
        table.add_row(name.replace("_", " "), str(value))
    Console().print(table)


def read_key(path: Path) -> str:
    """Return the text of a public key file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeError) as error:
        raise InputError(f"the key {path} cannot be read: {error}") from error


def _build(sources: Iterable[str], path: Path, sign: str, *, cache: Path) -> tuple[Changes, AdvisoryFile, list[Report]]:
    from contextlib import closing
    from datetime import UTC, datetime

    from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn

    from seawall.adapters.osv.download import Downloader, is_url
    from seawall.adapters.osv.file import open_file, write_file
    from seawall.adapters.osv.reading import read_source
    from seawall.cli.console import Console
    from seawall.vulnerability.advisory_build import Builder
    from seawall.vulnerability.advisory_file import AdvisoryFile

    before: AdvisoryFile | None = None
    if path.exists():
        try:
            before = open_file(path)
        except SeawallError as error:
            Console(stderr=True).print(f"seawall: {error.message}; it is replaced", markup=False)
    builder, reports = Builder(), []
    with (
        closing(Downloader(cache)) as downloader,
        Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
            transient=True,
        ) as progress,
    ):
        for source in sources:
            task = progress.add_task(source[-60:], total=None)
            local = Path(source)
            if is_url(source):
                local = _fetched(
                    downloader,
                    source,
                    lambda done, total, task=task: progress.update(task, completed=done, total=total or None),  # type: ignore[misc]
                )
            reports.append(read_source(local, builder, name=source))
            progress.remove_task(task)
        progress.add_task("sorting versions", total=None)
        content = builder.finish(
            built_at=datetime.now(UTC),
            sources=[{"source": report.source, "records": report.records, "facts": report.facts, "rejected": report.rejected} for report in reports],
            sign=_signing(sign) if sign else None,
        )  # fmt: skip
    file = AdvisoryFile(content)
    changes = file.changed_since(before)
    write_file(path, content)
    return changes, file, reports


def _fetched(downloader: Downloader, url: str, report: Callable[[int, int], None]) -> Path:
    """What stands at a URL; where that fails, what an earlier run got from there, and a line that says so.

    Raises:
        RemoteError: it failed and there is nothing from before.
    """
    from seawall.cli.console import Console

    try:
        return downloader.fetch(url, report)[0]
    except RemoteError as error:
        held = downloader.cached(url)
        if held is None:
            raise
        Console(stderr=True, soft_wrap=True).print(
            f"seawall: {error.message}; what was fetched earlier is used", style="yellow", markup=False
        )
        return held


def _signing(spec: str) -> Any:
    import base64

    from seawall.adapters.signers import open_signer

    signer = open_signer(spec)

    def sign(payload: bytes) -> dict[str, str]:
        return {"key_id": signer.key_id, "signature": base64.b64encode(signer.sign(payload)).decode()}

    return sign


def _say(reports: list[Report], file: AdvisoryFile, changes: Changes, path: Path) -> None:
    from seawall.cli.console import Console

    console = Console(stderr=True, highlight=False)
    for report in reports:
        for reason in report.reasons[:3]:
            console.print(f"left out: {report.source}: {reason}", style="yellow", markup=False)
        if report.rejected > 3:
            console.print(f"left out: {report.source}: {report.rejected} in all", style="yellow", markup=False)
    meta = file.meta
    Console(highlight=False).print(
        f"{path}: {meta['advisories']:,} advisories about {meta['packages']:,} packages, "
        f"{len(changes.added):,} new, {len(changes.changed):,} changed, {len(changes.removed):,} gone\n{file.id}",
        markup=False, soft_wrap=True,
    )  # fmt: skip
