"""`seawall assets`: what there is, what it is connected with, how it was and who changed it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.command import Command
from seawall.cli.console import echo
from seawall.domain.errors import InputError

if TYPE_CHECKING:
    from seawall.adapters.sql.store import SqlStore

app = typer.Typer(help="The asset graph: list, show, history, what changed.", no_args_is_help=True)
COMMAND = Command(id="assets", app=app)
Output = Annotated[str, typer.Option("--format", "-f", help="table or json.")]
UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}


@app.callback()
def assets() -> None:
    """The asset graph: list, show, history, what changed."""


@app.command("discover")
def discover(
    output: Output = "table",
) -> None:
    """Read every cluster, account and registry of the settings now, as the hourly timer does."""
    from seawall.bootstrap import bootstrap
    from seawall.server.api import plain

    _known(output)
    application = bootstrap()
    try:
        found = application.discover()
    finally:
        application.close()
    if not found:
        raise InputError("no source is configured", hint="settings `discovery.clusters`, `.azure`, `.aws`, `.gcp`")
    if output == "json":
        _json({"discovered": plain(found)})
    else:
        _table(
            ("Scope", "Objects", "Added", "Changed", "Removed", "Results", "Not read"),
            [
                (
                    item.scope,
                    item.objects,
                    item.added,
                    item.changed,
                    item.removed,
                    item.results,
                    item.error or len(item.notes),
                )
                for item in found
            ],
        )
        for item in found:
            for note in item.notes:
                echo(f"{item.scope}: {note}", err=True)
    if any(item.error for item in found):
        raise typer.Exit(1)


@app.command("push")
def push(
    to: Annotated[str, typer.Option("--to", help="URL of the Seawall server.")],
    cluster: Annotated[
        str, typer.Option("--cluster", help="Name of the cluster, as its sensors and audit events say it.")
    ],
    in_cluster: Annotated[
        bool, typer.Option("--in-cluster", help="List the cluster that this process runs in.")
    ] = False,
    kubeconfig: Annotated[
        Path | None, typer.Option("--kubeconfig", help="List the cluster of this kubeconfig.")
    ] = None,
    context: Annotated[str, typer.Option("--context", help="Context of the kubeconfig.")] = "",
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", help="PEM bundle that the server's certificate is of.")
    ] = None,
) -> None:
    """List a cluster and send the listing to a server that cannot reach it: for private clusters.

    The secret of the server's doors is read from SEAWALL_WEBHOOK_SECRET.
    """
    from seawall.adapters.inventory import cluster_source
    from seawall.adapters.inventory_push import push_listing
    from seawall.settings import ClusterSettings, load_settings

    secret = load_settings().webhook_secret.get_secret_value()
    if not secret:
        raise InputError("no secret to show to the server", hint="set SEAWALL_WEBHOOK_SECRET")
    source = cluster_source(cluster, ClusterSettings(kubeconfig=kubeconfig, context=context, in_cluster=in_cluster))
    try:
        collected = source.collect()
    finally:
        source.close()
    sent = push_listing(to, cluster, collected, secret, ca_file)
    echo(f"{len(collected.objects):,} objects sent in {sent:,} bytes; {len(collected.notes)} kinds not read", err=True)
    for note in collected.notes:
        echo(f"{note.where}: {note.reason}", err=True)


@app.command("list")
def list_assets(
    text: Annotated[str, typer.Argument(help="Part of the name.")] = "",
    kind: Annotated[str, typer.Option("--kind", "-k", help="Only this kind, such as Pod or CloudCluster.")] = "",
    scope: Annotated[str, typer.Option("--scope", help="Only this cluster or account.")] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Only this namespace.")] = "",
    at: Annotated[str, typer.Option("--at", help="As it was: a time, or how long ago (2h, 3d).")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000)] = 1000,
    output: Output = "table",
) -> None:
    """List assets."""
    from seawall.server.api import plain

    _known(output)
    moment = _moment(at)
    with _store() as store:
        found = store.assets.find(scope=scope, kind=kind, namespace=namespace, text=text, at=moment, limit=limit)
        kinds = store.assets.counts(scope) if kind and not found else {}
    if kind and kinds and kind not in kinds:
        raise InputError(f"there is no asset of kind {kind}", hint=f"kinds: {', '.join(kinds)}")
    if output == "json":
        _json({"assets": [{"scope": item.scope, "namespace": item.namespace} | plain(item.asset) for item in found]})
        return
    _table(
        ("Kind", "Scope", "Namespace", "Name", "Id"),
        [(item.asset.kind, item.scope, item.namespace, item.asset.name, item.asset.id) for item in found],
    )
    if len(found) == limit:
        echo(f"the first {limit:,}; --limit shows more", err=True)


@app.command("show")
def show(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="As `seawall assets list` prints it.")],
    at: Annotated[str, typer.Option("--at", help="As it was: a time, or how long ago (2h, 3d).")] = "",
    output: Output = "table",
) -> None:
    """Show one asset with its relations, failed controls and latest changes."""
    from seawall.app.show_assets import show_asset
    from seawall.server.api import plain

    _known(output)
    with _store() as store:
        found = show_asset(store, identifier, _moment(at))
    if output == "json":
        _json(plain(found))
        return
    echo(f"{found['kind']} {found['namespace'] + '/' if found['namespace'] else ''}{found['name']}  {found['scope']}")
    for name, value in found["properties"].items():
        echo(f"  {name}: {json.dumps(value, default=str) if not isinstance(value, str) else value}")
    rows = [(f"{item['kind']} →", item["target"]) for item in found["relations"]]
    rows += [(f"← {item['kind']}", item["source"]) for item in found["related"]]
    _table(("Relation", "Asset"), rows)
    if found.get("failures"):
        _table(
            ("Severity", "Control", "Title", "Where"),
            [(item["severity"], item["control"], item["title"], item["path"]) for item in found["failures"]],
        )
    if found.get("events"):
        _table(
            ("When", "Who", "What", "From"),
            [
                (event.at.isoformat(), event.actor, f"{event.verb} {event.resource}", event.source_ip)
                for event in found["events"]
            ],
        )


@app.command("history")
def history(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="As `seawall assets list` prints it.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    output: Output = "table",
) -> None:
    """Say how an asset was: what changed, when, and by whom."""
    from seawall.app.show_assets import asset_history
    from seawall.server.api import plain

    _known(output)
    with _store() as store:
        rows = asset_history(store, identifier, limit)
    if output == "json":
        _json({"history": plain(rows)})
        return
    _table(
        ("From", "Change", "Fields", "Who"),
        [(row["from"].isoformat(), row["change"], _told(row["fields"]), _who(row["events"])) for row in rows],
    )


@app.command("diff")
def diff(
    start: Annotated[str, typer.Argument(help="A time (2026-11-25T10:00Z), or how long ago (2h, 3d).")] = "1d",
    end: Annotated[str, typer.Argument(help="The same; default: now.")] = "",
    scope: Annotated[str, typer.Option("--scope", help="Only this cluster or account.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000)] = 1000,
    output: Output = "table",
) -> None:
    """Say what is other than it was: added, removed and changed assets between two times."""
    from seawall.app.show_assets import asset_diff
    from seawall.server.api import plain

    _known(output)
    first, last = _moment(start), _moment(end) or datetime.now(UTC)
    assert first is not None
    if first >= last:
        raise InputError(f"{start} is not before {end or 'now'}")
    with _store() as store:
        found = asset_diff(store, first, last, scope, limit)
    if output == "json":
        _json({"from": first.isoformat(), "to": last.isoformat(), "changes": plain(found)})
        return
    _table(
        ("Change", "Kind", "Asset", "Fields", "Who"),
        [(item.change, item.asset.kind, item.asset.id, _told(item.fields), _who(item.events)) for item in found],
    )


def _told(fields: Any) -> str:
    shown = [f"{item.path}: {_short(item.before)} → {_short(item.after)}" for item in fields[:5]]
    return "\n".join([*shown, *([f"and {len(fields) - 5} more"] if len(fields) > 5 else [])])


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _who(events: Any) -> str:
    return "\n".join(dict.fromkeys(f"{event.actor} ({event.verb})" for event in events[:5]))


@contextmanager
def _store() -> Iterator[SqlStore]:
    from seawall.adapters.sql.store import open_store
    from seawall.settings import load_settings

    store = open_store(load_settings())
    try:
        yield store
    finally:
        store.close()


def _known(output: str) -> None:
    if output not in ("table", "json"):
        raise InputError(f"no such format: {output}", hint="table, json")


def _moment(text: str) -> datetime | None:
    """Return the time that a text means; None for an empty one.

    Raises:
        InputError: it is neither a time nor how long ago.
    """
    from seawall.domain.audit_events import parse_time

    if not text:
        return None
    if text[:-1].isdigit() and text[-1] in UNITS:
        try:
            return datetime.now(UTC) - timedelta(seconds=int(text[:-1]) * UNITS[text[-1]])
        except OverflowError:
            pass
    found = parse_time(text)
    if found is None:
        raise InputError(f"not a time: {text}", hint="2026-11-25T10:00Z, or 30m, 2h, 3d, 1w ago")
    return found


def _json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def _table(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from rich.text import Text

    from seawall.cli.console import Console
    from seawall.cli.table import listing

    table = listing(*names)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    Console(highlight=False).print(table)
