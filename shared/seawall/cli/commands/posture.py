"""`seawall posture`: judge manifests, cluster dumps and cloud answers."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.command import Command
from seawall.domain.errors import InputError

if TYPE_CHECKING:
    from seawall.posture.engine import Report

EXIT_POLICY = 3
app = typer.Typer(help="Judge clusters, manifests and registries by the posture controls.", no_args_is_help=True)
COMMAND = Command(id="posture", app=app)


@app.callback()
def posture() -> None:
    """Judge clusters, manifests and registries by the posture controls."""


@app.command("assess")
def assess(
    target: Annotated[
        str,
        typer.Argument(
            help="A file or folder, or - for standard input: manifests, `kubectl get -A -o json`, rendered Helm, Terraform plan JSON, cloud API answers."
        ),
    ],
    output: Annotated[str, typer.Option("--format", "-f", help="table or json.")] = "table",
    fail_on: Annotated[
        str, typer.Option("--fail-on", help="Exit with 3 when a control of this severity or above fails.")
    ] = "",
    control: Annotated[
        list[str] | None,
        typer.Option(
            "--control", "-c", help="Only this control; can be repeated. A trailing * means all that begin so."
        ),
    ] = None,
    cluster: Annotated[str, typer.Option("--cluster", help="Name of the cluster; part of each finding's id.")] = "",
    kubernetes_version: Annotated[
        str,
        typer.Option(
            "--kubernetes-version", help="Judge for this version, for example 1.31, where the input does not say it."
        ),
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="Also list passes in the table.")] = False,
) -> None:
    """Judge TARGET by every control and print what fails."""
    from seawall.app import assess_posture
    from seawall.posture.loading import require_objects
    from seawall.posture.world import minor_of

    if output not in {"table", "json"}:
        raise InputError(f"no such format: {output}", hint="table, json")
    threshold = severity_of(fail_on)
    loaded = read(target)
    require_objects(loaded, target)
    report = assess_posture.assess(
        loaded.objects,
        today=datetime.now(UTC).date(),
        notes=loaded.notes,
        controls=select(control),
        cluster=cluster,
        minor=minor_of(kubernetes_version) if kubernetes_version else None,
    )
    if output == "json":
        write_json(report)
    else:
        from seawall.cli.posture_table import print_report

        print_report(report, everything=everything)
    if threshold is not None and any(item.severity >= threshold for item in report.failures()):
        raise typer.Exit(EXIT_POLICY)


@app.command("controls")
def list_controls(
    output: Annotated[str, typer.Option("--format", "-f", help="table or json.")] = "table",
    control: Annotated[
        list[str] | None, typer.Option("--control", "-c", help="Only this control; can be repeated.")
    ] = None,
) -> None:
    """List the controls with what they look at and what they answer in benchmarks."""
    from seawall.posture.catalogue import controls
    from seawall.posture.engine import checks

    wanted = select(control)
    chosen = [item for name, item in controls().items() if wanted is None or name in wanted]
    declared = checks()
    if output == "json":
        rows = [
            {
                "id": item.id, "title": item.title, "severity": item.severity.label, "group": item.group, "scope": item.scope,
                "looks_at": declared[item.id].about if item.id in declared else "", "fix": item.remedy, "grade": item.grade,
                "parameters": declared[item.id].parameters if item.id in declared else {},
                "mappings": {name: list(values) for name, values in item.mappings.items()},
            }
            for item in chosen
        ]  # fmt: skip
        sys.stdout.write(json.dumps(rows, indent=2, default=list) + "\n")
        return
    from seawall.cli.posture_table import print_controls

    print_controls(chosen)


def read(target: str) -> Any:
    """Read the target, or standard input for `-`."""
    from seawall.posture.loading import Loaded, load, load_bytes

    if target != "-":
        return load(target)
    loaded = Loaded()
    load_bytes(sys.stdin.buffer.read(), loaded, "standard input")
    return loaded


def select(patterns: list[str] | None) -> list[str] | None:
    """Return the control ids that the patterns name, None when there are none.

    Raises:
        InputError: a pattern names no control.
    """
    from seawall.posture.catalogue import controls

    if not patterns:
        return None
    chosen: list[str] = []
    for pattern in (part.strip() for value in patterns for part in value.split(",")):
        found = [
            name
            for name in controls()
            if name == pattern.upper() or (pattern.endswith("*") and name.startswith(pattern[:-1].upper()))
        ]
        if not found:
            raise InputError(f"no such control: {pattern}", hint="`seawall posture controls` lists them")
        chosen += found
    return chosen


def severity_of(word: str) -> Any:
    """Return the severity that `--fail-on` names, None when it is not given.

    Raises:
        InputError: the word names none.
    """
    from seawall.domain.severity import Severity

    if not word:
        return None
    severity = Severity.parse(word)
    if severity is Severity.UNKNOWN:
        raise InputError(f"no such severity: {word}", hint="informational, low, medium, high, critical")
    return severity


def write_json(report: Report, stream: Any = None) -> None:
    """Write a report as one JSON document, result by result."""
    out = stream or sys.stdout
    out.write('{"results": [')
    for number, item in enumerate(report.assessments()):
        row = {
            "id": item.id,
            "control": item.control,
            "title": item.title,
            "status": item.status.value,
            "severity": item.severity.label,
            "object": {"kind": item.object.kind, "namespace": item.object.namespace, "name": item.object.name},
            "path": item.path,
            "actual": item.actual,
            "expected": item.expected,
            "fix": item.fix,
            "reason": item.reason,
            "excepted": item.excepted,
        }
        out.write((",\n" if number else "\n") + json.dumps(row, default=str))
    partial = [{"where": note.where, "reason": note.reason} for note in report.partial]
    out.write('\n],\n"summary": ' + json.dumps(report.summary()) + ',\n"partial": ' + json.dumps(partial) + "}\n")


def read_text(path: Path) -> str:
    """Return a text file's content.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
