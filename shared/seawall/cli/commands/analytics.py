"""`seawall analytics`: what is detected, by which logic, and where it can work."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.command import Command
from seawall.domain.errors import NotFound

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
    """Explain one analytic: what it means, what it needs, harmless causes, how to investigate and respond."""
    from seawall.app.detect import load_rules

    rule = next((rule for rule in load_rules() if rule.id.lower() == analytic.lower()), None)
    if rule is None:
        raise NotFound(f"there is no analytic {analytic}", hint="see seawall analytics list")
    document = _document(rule)
    if output is OutputFormat.JSON:
        typer.echo(json.dumps(document, indent=2))
        return
    for name, value in document.items():
        lines = (
            value
            if isinstance(value, list)
            else [f"{k}: {v}" for k, v in value.items()]
            if isinstance(value, dict)
            else [value]
        )
        typer.echo(f"{name.replace('_', ' ')}: " + "\n    ".join(str(line) for line in lines))


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
