"""`seawall analytics`: what is detected, by which logic, and where it can work."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

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
def coverage(
    files: Annotated[list[Path] | None, typer.Argument(help="Log files to judge instead of the store.")] = None,
) -> None:
    """Per cluster, as JSON: whether it stopped sending audit events, and which analytics are blind and why.

    Of the clusters in the store, or of those in log files.
    """
    if files:
        typer.echo(json.dumps(_coverage_of(files), indent=2))
        return
    from seawall.bootstrap import bootstrap

    application = bootstrap()
    try:
        typer.echo(json.dumps(application.detection.coverage(), indent=2))
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
            if found[name].source == "runtime":
                raise InputError(
                    f"{name} was raised on a node, which learns by itself",
                    hint="what alerted there on three days and was left is usual on the fourth; a tuning file mutes it now",
                )
            if not learn(application.store.baselines, found[name]):
                raise InputError(f"{name} is of {found[name].analytic}, which is no baseline")
            typer.echo(f"{name}: accepted")
    finally:
        application.close()


@app.command("dry-run")
def dry_run(
    files: Annotated[list[Path], typer.Argument(help="Stored logs, as for seawall detect audit: files or folders.")],
    rules: Annotated[list[Path] | None, typer.Option("--rules", help="Sigma rules: files or folders.")] = None,
    python: Annotated[
        list[str] | None, typer.Option("--python", help="Python rules, as entry points name them: package.module:RULE.")
    ] = None,
    installed: Annotated[bool, typer.Option("--installed", help="The Python rules of installed packages.")] = False,
    built_in: Annotated[
        bool, typer.Option("--built-in", help="Seawall's own analytics too, but for baselines.")
    ] = False,
    tuning: Annotated[Path | None, typer.Option("--tuning", help="A tuning file to try on all of these.")] = None,
    output: Annotated[OutputFormat, typer.Option("--format", "-f", help="json for machines.")] = OutputFormat.TABLE,
) -> None:
    """Count what rules would alert on in stored logs, without raising anything: Sigma and Python rules, Seawall's own
    analytics, and what a tuning file makes of them."""
    from collections import Counter
    from datetime import UTC, datetime

    from seawall.app.analytics import installed_rules, named_rules
    from seawall.app.detect import load_rules
    from seawall.app.detect_logs import detect_logs
    from seawall.detection.sigma import load_sigma
    from seawall.detection.tuning import Tuning, load_tuning

    theirs = [*load_sigma(rules or ()), *named_rules(python or ()), *(installed_rules() if installed else ())]
    ours = load_rules()
    chosen = load_tuning(tuning, datetime.now(UTC).date()) if tuning is not None else Tuning()
    wanted = {rule.id for rule in (*theirs, *(ours if built_in else ()))}
    every = chosen.tuned([*theirs, *ours])
    tried = [rule for rule in every if rule.id in wanted and rule.enabled and not rule.features]
    if not wanted:
        raise InputError("no rules to try", hint="give --rules FOLDER, --python MODULE:RULE, --installed or --built-in")
    found = detect_logs(_opened(files), rules=tried)
    found.alerts = chosen.raised(found.alerts)
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
        if built_in and not item["alerts"]:
            continue
        typer.echo(f"{item['id']}  {item['alerts']} alerts of {item['events']} events  {item['title']}")
    typer.echo(f"{found.events} events read, {found.rejected.total()} records rejected", err=True)


def _coverage_of(files: Sequence[Path]) -> list[dict[str, Any]]:
    from datetime import datetime

    from seawall.app.coverage import coverage as judged
    from seawall.app.detect import load_rules
    from seawall.detection.arrivals import facts_of
    from seawall.detection.sources.files import read_log
    from seawall.ports.baselines import Arrival

    newest: dict[tuple[str, str], datetime] = {}
    for name, stream in _opened(files):
        for batch in read_log(stream, file=name):
            for key, ts in facts_of(batch.events).items():
                newest[key] = max(ts, newest.get(key, ts))
    if not newest:
        raise InputError("no audit events in these files")
    arrivals = [Arrival(cluster, fact, ts) for (cluster, fact), ts in newest.items()]
    return judged(arrivals, load_rules(), max(newest.values()))


def _opened(places: Sequence[Path]) -> Iterator[tuple[str, IO[bytes]]]:
    """Open files, and the files of folders, in the order of their names."""
    for place in places:
        found = sorted(item for item in place.rglob("*") if item.is_file()) if place.is_dir() else [place]
        for file in found:
            try:
                stream = file.open("rb")
            except OSError as error:
                raise InputError(f"{file}: {error.strerror or error}") from error
            with stream:
                yield str(file), stream


def _state(rule: Detection, platform: str) -> str:
    if platform not in rule.platforms:
        return "no"
    return "on" if rule.enabled else "off"


def _works_on(rule: Detection) -> str:
    if not rule.enabled:
        return "off"
    return "all" if set(PLATFORMS) <= set(rule.platforms) else " ".join(p for p in PLATFORMS if p in rule.platforms)


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
    from rich.text import Text

    from seawall.cli.console import Console
    from seawall.cli.table import SEVERITY_STYLES, listing

    console = Console()
    headings = ["Severity", "Id", "Title", "Logic", "ATT&CK", "Works on"]
    if console.width < 100:
        headings.remove("Logic")
    if console.width < 60:
        headings = ["Severity", "Id", "Title"]
    table = listing(*headings, whole=("Severity", "Id", "Logic"), widest="Title")
    for rule in rules:
        cells = {
            "Severity": Text(rule.severity.label, style=SEVERITY_STYLES[rule.severity]),
            "Id": Text(rule.id),
            "Title": Text(rule.title),
            "Logic": Text(rule.logic.value),
            "ATT&CK": Text(" ".join(rule.attack)),
            "Works on": Text(_works_on(rule)),
        }
        table.add_row(*(cells[heading] for heading in headings))
    console.print(table)
    live = sum(rule.enabled for rule in rules)
    typer.echo(f"{len(rules)} analytics, {live} on by default", err=True)
