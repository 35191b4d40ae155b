"""`seawall analytics`: what is detected, by which logic, and where it can work."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.command import Command
from seawall.domain.errors import InputError, NotFound

if TYPE_CHECKING:
    from seawall.detection.declaration import Detection

PLATFORMS = ("aks", "eks", "gke", "self-managed")
app = typer.Typer(help="The analytics: list them, explain one.", no_args_is_help=True)
COMMAND = Command(id="analytics", app=app)


class OutputFormat(StrEnum):
    """How analytics are printed."""

    TABLE = "table"
    JSON = "json"


@app.callback()
def analytics() -> None:
    """The analytics: list them, explain one."""


@app.command("list")
def list_analytics(
    output: Annotated[OutputFormat, typer.Option("--format", "-f", help="json for machines.")] = OutputFormat.TABLE,
) -> None:
    """List every analytic with its severity, logic, ATT&CK techniques, and its state on each platform."""
    from seawall.app.detect import load_rules

    rules = load_rules()
    if output is OutputFormat.JSON:
        typer.echo(json.dumps([_document(rule) for rule in rules], indent=2))
        return
    _print_table(rules)


@app.command()
def show(
    analytic: Annotated[str, typer.Argument(help="Id of the analytic, such as AU-0001.")],
    output: Annotated[OutputFormat, typer.Option("--format", "-f", help="json for machines.")] = OutputFormat.TABLE,
) -> None:
    """Explain one analytic: what it means, what it needs, harmless causes, how to investigate and respond, examples."""
    from seawall.app.detect import load_rules
    from seawall.detection.examples import examples

    rule = next((rule for rule in load_rules() if rule.id.lower() == analytic.lower()), None)
    if rule is None:
        raise NotFound(f"there is no analytic {analytic}", hint="see seawall analytics list")
    document = _document(rule)
    found = examples().get(rule.id)
    if output is OutputFormat.JSON:
        typer.echo(json.dumps(document | ({"examples": found} if found else {}), indent=2, ensure_ascii=False))
        return
    for name, value in document.items():
        lines = (
            value
            if isinstance(value, list)
            else [f"{k}: {v}" for k, v in value.items()]
            if isinstance(value, dict)
            else [value]
        )
        if lines and lines != [""]:
            typer.echo(f"{name.replace('_', ' ')}: " + "\n    ".join(str(line) for line in lines))
    for verdict, example in (("raises it", found["raises"]), ("does not", found["quiet"])) if found else ():
        typer.echo(f"{verdict}: {example.get('words', '')}".rstrip())
        for event in example["events"]:
            typer.echo(f"    {json.dumps(event, ensure_ascii=False)}")


@app.command()
def docs(
    output: Annotated[Path, typer.Option(help="Folder for the pages; pages of analytics that are gone go.")],
) -> None:
    """Write the reference pages: an index and one page per analytic."""
    from seawall.app.detect import load_rules
    from seawall.app.reference_pages import reference_pages

    pages = reference_pages(load_rules())
    output.mkdir(parents=True, exist_ok=True)
    for stale in output.glob("[A-Z][A-Z]-[0-9]*.md"):
        if stale.name not in pages:
            stale.unlink()
    for name, text in pages.items():
        (output / name).write_text(text, "utf-8")
    typer.echo(f"{len(pages)} pages in {output}", err=True)


@app.command()
def coverage() -> None:
    """Per cluster in the store, as JSON: whether it stopped sending audit events, and which analytics are blind and why."""
    from seawall.bootstrap import bootstrap

    application = bootstrap()
    try:
        typer.echo(json.dumps(application.coverage(), indent=2))
    finally:
        application.close()


@app.command()
def reset(
    cluster: Annotated[str, typer.Option(help="Cluster, or a scope such as account:aws:123456789012.")],
) -> None:
    """Forget what is usual in a cluster; its baselines learn again before they alert."""
    from seawall.app.baselines import reset as forget
    from seawall.bootstrap import bootstrap

    application = bootstrap()
    try:
        typer.echo(f"{forget(application.store.baselines, cluster)} learns again; workers see it within 5 minutes")
    finally:
        application.close()


@app.command()
def accept(alerts: Annotated[list[str], typer.Argument(help="Ids of alerts of baselines.")]) -> None:
    """Learn what alerts of baselines were about as usual."""
    from seawall.app.baselines import accept as learn
    from seawall.bootstrap import bootstrap

    application = bootstrap()
    try:
        found = {alert.id: alert for alert in application.store.alerts.get(alerts)}
        for name in alerts:
            if name not in found:
                raise NotFound(f"there is no alert {name}")
            if not learn(application.store.baselines, found[name]):
                raise InputError(f"{name} is of {found[name].analytic}, which is no baseline")
            typer.echo(f"{name}: accepted")
    finally:
        application.close()


@app.command("dry-run")
def dry_run(
    files: Annotated[list[Path], typer.Argument(help="Log files, as for seawall detect audit.")],
    rules: Annotated[list[Path], typer.Option("--rules", help="Sigma rules: files or folders.")],
    output: Annotated[OutputFormat, typer.Option("--format", "-f", help="json for machines.")] = OutputFormat.TABLE,
) -> None:
    """Count what Sigma rules would alert on in logs, without raising anything."""
    from collections import Counter
    from contextlib import ExitStack

    from seawall.app.detect_logs import detect_logs
    from seawall.detection.sigma import load_sigma

    tried = load_sigma(rules)
    with ExitStack() as stack:
        try:
            opened = [(str(file), stack.enter_context(file.open("rb"))) for file in files]
        except OSError as error:
            raise InputError(f"{error.filename}: {error.strerror}") from error
        found = detect_logs(opened, rules=tried)
    alerts = Counter(alert.analytic for alert in found.alerts)
    events: Counter[str] = Counter()
    for alert in found.alerts:
        events[alert.analytic] += alert.count
    counts = [
        {"id": rule.id, "title": rule.title, "alerts": alerts[rule.id], "events": events[rule.id]} for rule in tried
    ]
    if output is OutputFormat.JSON:
        typer.echo(json.dumps({"events": found.events, "rejected": found.rejected.total(), "rules": counts}, indent=2))
        return
    for item in counts:
        typer.echo(f"{item['id']}  {item['alerts']} alerts of {item['events']} events  {item['title']}")
    typer.echo(f"{found.events} events read, {found.rejected.total()} records rejected", err=True)


def _state(rule: Detection, platform: str) -> str:
    if platform not in rule.platforms:
        return "no"
    return "on" if rule.enabled else "off"


def _document(rule: Detection) -> dict[str, Any]:
    return {
        "id": rule.id,
        "title": rule.title,
        "severity": rule.severity.label,
        "logic": rule.logic.value,
        "source": rule.on.__name__,
        "attack": list(rule.attack),
        "state": {platform: _state(rule, platform) for platform in PLATFORMS},
        "platform_notes": dict(rule.platform_notes),
        "confidence": rule.confidence,
        "catalogue": list(rule.catalogue),
        "needs": list(rule.needs),
        "meaning": " ".join(rule.doc.split()),
        "benign": list(rule.benign),
        "investigate": list(rule.investigate),
        "response": rule.response,
        "version": rule.version,
    }


def _print_table(rules: Sequence[Detection]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for name in ("id", "title", "severity", "logic", "ATT&CK", *PLATFORMS):
        table.add_column(name, overflow="fold")
    for rule in rules:
        states = [_state(rule, platform) for platform in PLATFORMS]
        table.add_row(rule.id, rule.title, rule.severity.label, rule.logic.value, " ".join(rule.attack), *states)
    Console().print(table)
    live = sum(rule.enabled for rule in rules)
    typer.echo(f"{len(rules)} analytics, {live} on by default", err=True)
