"""`seawall posture`: judge manifests, cluster dumps and cloud answers."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.attack_paths import paths
from seawall.cli.command import Command
from seawall.cli.console import echo
from seawall.domain.errors import InputError

if TYPE_CHECKING:
    from seawall.posture.engine import Report

EXIT_POLICY = 3
app = typer.Typer(help="Judge clusters, manifests and registries by the posture controls.", no_args_is_help=True)
COMMAND = Command(id="posture", app=app)


@app.callback()
def posture() -> None:
    """Judge clusters, manifests and registries by the posture controls."""


app.command("paths")(paths)

FORMATS = ("table", "json", "csv", "html", "pdf", "oscal")


@app.command("assess")
def assess(
    target: Annotated[
        str,
        typer.Argument(
            help="A file or folder, or - for standard input: manifests, `kubectl get -A -o json`, rendered Helm, Terraform plan JSON, cloud API answers. Without it: the live cluster of --kubeconfig, --context or --in-cluster."
        ),
    ] = "",
    output: Annotated[str, typer.Option("--format", "-f", help=f"{', '.join(FORMATS)}.")] = "table",
    to: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file instead of standard output.")
    ] = None,
    fail_on: Annotated[
        str, typer.Option("--fail-on", help="Exit with 3 when a control of this severity or above fails.")
    ] = "",
    control: Annotated[
        list[str] | None,
        typer.Option(
            "--control", "-c", help="Only this control; can be repeated. A trailing * means all that begin so."
        ),
    ] = None,
    framework: Annotated[
        list[str] | None,
        typer.Option(
            "--framework",
            help="Only the controls of this framework, with its requirements and score; an id, or a YAML file of your own.",
        ),
    ] = None,
    exceptions: Annotated[Path | None, typer.Option("--exceptions", help="YAML file of accepted failures.")] = None,
    parameters: Annotated[
        Path | None, typer.Option("--parameters", help="YAML file of settings by control id.")
    ] = None,
    cluster: Annotated[str, typer.Option("--cluster", help="Name of the cluster; part of each finding's id.")] = "",
    team_label: Annotated[str, typer.Option("--team-label", help="Label by which scores are split.")] = "team",
    kubernetes_version: Annotated[
        str,
        typer.Option(
            "--kubernetes-version", help="Judge for this version, for example 1.31, where the input does not say it."
        ),
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="Also list passes in the table.")] = False,
    paths: Annotated[
        bool, typer.Option("--paths/--no-paths", help="Rank failures by the attack paths that they lie on.")
    ] = True,
    kubeconfig: Annotated[
        Path | None, typer.Option("--kubeconfig", help="List the live cluster of this kubeconfig, read-only.")
    ] = None,
    context: Annotated[str, typer.Option("--context", help="List the live cluster of this context.")] = "",
    in_cluster: Annotated[
        bool, typer.Option("--in-cluster", help="List the cluster that this process runs in.")
    ] = False,
) -> None:
    """Judge TARGET, or a live cluster, by every control and print what fails."""
    from seawall.app import assess_posture
    from seawall.posture.exceptions import read_exceptions
    from seawall.posture.frameworks import comply
    from seawall.posture.loading import require_objects
    from seawall.posture.parameters import read_parameters
    from seawall.posture.world import minor_of

    if output not in FORMATS:
        raise InputError(f"no such format: {output}", hint=", ".join(FORMATS))
    if output == "pdf" and to is None:
        raise InputError("a PDF needs --output FILE")
    threshold = severity_of(fail_on)
    chosen = [framework_of(name) for name in framework or []]
    wanted = select(control)
    if wanted is None and chosen:
        wanted = sorted({name for item in chosen for name in item.controls})
    accepted = read_exceptions(read_bytes(exceptions), str(exceptions)) if exceptions else []
    settings = read_parameters(read_bytes(parameters), str(parameters)) if parameters else {}
    now = datetime.now(UTC)
    live = bool(kubeconfig or context or in_cluster)
    if live == bool(target):
        raise InputError(
            "name what to judge" if not live else "either a TARGET or a live cluster, not both",
            hint="a file, a folder, -, or --kubeconfig/--context/--in-cluster",
        )
    unread: set[str] = set()
    if live:
        loaded, unread, found_name = list_cluster(kubeconfig, context, in_cluster)
        cluster = cluster or found_name
    else:
        loaded = read(target)
        require_objects(loaded, target)
    report = assess_posture.assess(
        loaded.objects,
        today=now.date(),
        notes=loaded.notes,
        unread=unread,
        controls=wanted,
        parameters=settings,
        cluster=cluster,
        minor=minor_of(kubernetes_version) if kubernetes_version else None,
        exceptions=accepted,
    )
    if paths and report.world.workloads:
        from seawall.graph.priorities import priorities

        report.priorities = priorities(report)
    compliances = [comply(report, item) for item in chosen]
    if output == "table" and to is None:
        from seawall.cli.posture_table import print_report

        print_report(report, compliances, everything=everything)
    else:
        write(report, compliances, output, to, now, team_label)
    if threshold is not None and any(item.severity >= threshold for item in report.failures()):
        raise typer.Exit(EXIT_POLICY)


def write(report: Report, compliances: list[Any], output: str, to: Path | None, now: datetime, team_label: str) -> None:
    """Write a report in a machine's or an auditor's format to a file or standard output."""
    if output == "pdf":
        from seawall.posture.reports.pdf import to_pdf

        assert to is not None
        to.write_bytes(to_pdf(report, now, compliances))
        return
    with to.open("w", encoding="utf-8", newline="") if to else nullcontext(sys.stdout) as out:
        if output == "csv":
            from seawall.posture.reports.tables import to_csv

            out.write(to_csv(report))
        elif output == "html":
            from seawall.posture.reports.tables import to_html

            out.write(to_html(report, now, compliances))
        elif output == "oscal":
            from seawall.posture.reports.oscal import to_oscal

            out.write(json.dumps(to_oscal(report, now, compliances), indent=2) + "\n")
        elif output == "table":
            from seawall.cli.posture_table import print_report

            print_report(report, compliances, stream=out)
        else:
            from seawall.cli.posture_json import write_json

            write_json(report, compliances, out, team_label)


@app.command("frameworks")
def list_frameworks() -> None:
    """List the frameworks that --framework knows."""
    from seawall.cli.posture_table import print_frameworks
    from seawall.posture.frameworks import frameworks

    print_frameworks(frameworks().values())


@app.command("fix")
def fix(
    path: Annotated[Path, typer.Argument(help="A manifest file or a folder of manifests.")],
    write_files: Annotated[
        bool, typer.Option("--write", help="Change the files; without it the difference is printed.")
    ] = False,
    grade: Annotated[
        str, typer.Option("--grade", help="A repairs what is safe for any program; AS also what may break one.")
    ] = "A",
    control: Annotated[
        list[str] | None, typer.Option("--control", "-c", help="Only this control; can be repeated.")
    ] = None,
    apply_live: Annotated[
        bool, typer.Option("--apply", help="Patch the objects in the cluster of the current kubeconfig instead.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --apply changes the cluster.")] = False,
    record: Annotated[
        Path, typer.Option("--record", help="Where --apply writes what was, for `seawall posture undo`.")
    ] = Path("seawall-posture-changes.jsonl"),
    context: Annotated[str, typer.Option("--context", help="Context of the kubeconfig.")] = "",
) -> None:
    """Repair manifests, comments kept; or, with --apply, the live objects they name."""
    import difflib

    from seawall.posture.loading import SUFFIXES
    from seawall.posture.remediation.files import repair_file

    if not set(grade.upper()) <= {"A", "S"} or not grade:
        raise InputError(f"no such grade: {grade}", hint="A or AS; M needs a person")
    files = (
        sorted(item for item in path.rglob("*") if item.suffix in SUFFIXES - {".json", ".jsonl", ".ndjson"})
        if path.is_dir()
        else [path]
    )
    if not path.exists():
        raise InputError(f"{path} does not exist")
    today = datetime.now(UTC).date()
    repairs = [repair_file(item, today=today, grades=tuple(grade.upper()), wanted=select(control)) for item in files]
    if apply_live:
        apply_repairs(repairs, record, context, yes)
        return
    for repair in repairs:
        for note in repair.notes:
            echo(f"{note.where}: {note.reason}", err=True)
        if not repair.changed:
            continue
        if write_files:
            repair.path.write_text(repair.text, encoding="utf-8")
        else:
            lines = difflib.unified_diff(
                repair.before.splitlines(keepends=True),
                repair.text.splitlines(keepends=True),
                str(repair.path),
                str(repair.path),
            )
            sys.stdout.writelines(lines)
    fixed, left = sum(len(item.fixed) for item in repairs), sum(len(item.left) for item in repairs)
    echo(
        f"{fixed} failures {'repaired' if write_files else 'can be repaired (--write does it)'} in {sum(item.changed for item in repairs)} files; {left} need another grade or a person",
        err=True,
    )


def apply_repairs(repairs: list[Any], record: Path, context: str, yes: bool) -> None:
    """Patch live objects after a dry run and a confirmation, and write down what was."""
    from seawall.adapters.kubernetes.patching import ChangeRecord, Cluster, changes_of
    from seawall.posture.remediation.patches import json_patch

    live = Cluster(context)
    planned = []
    for change in changes_of([item for repair in repairs for item in repair.fixed], live):
        patch = json_patch(change.before, change.after)
        if patch:
            live.patch(change.ref, patch, dry_run=True)
            planned.append((change, patch))
            echo(f"{change.ref.kind} {change.ref.namespace}/{change.ref.name}: {json.dumps(patch)}")
    if not planned:
        echo("nothing to change", err=True)
        return
    if not yes and not typer.confirm(f"Change {len(planned)} objects in context {live.context}?"):
        raise typer.Abort
    for change, patch in planned:
        with record.open("a", encoding="utf-8") as out:
            out.write(
                ChangeRecord(change.ref, patch, json_patch(change.after, change.before), live.context).to_json() + "\n"
            )
        live.patch(change.ref, patch, dry_run=False)
    echo(f"changed {len(planned)} objects; {record} undoes it with `seawall posture undo`", err=True)


@app.command("undo")
def undo(
    record: Annotated[Path, typer.Argument(help="The record that `seawall posture fix --apply` wrote.")] = Path(
        "seawall-posture-changes.jsonl"
    ),
    context: Annotated[str, typer.Option("--context", help="Context of the kubeconfig.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take back the changes of a record, the last one first."""
    from seawall.adapters.kubernetes.patching import ChangeRecord, Cluster

    try:
        changes = [ChangeRecord.from_json(line) for line in read_bytes(record).decode().splitlines() if line.strip()]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{record} is no record of changes", hint="the file that --apply --record wrote") from error
    live = Cluster(context)
    for change in reversed(changes):
        live.patch(change.ref, change.inverse, dry_run=True)
    if not yes and not typer.confirm(f"Take back {len(changes)} changes in context {live.context}?"):
        raise typer.Abort
    for change in reversed(changes):
        live.patch(change.ref, change.inverse, dry_run=False)
    echo(f"took back {len(changes)} changes", err=True)


@app.command("enforce")
def enforce(
    engine: Annotated[
        str, typer.Option("--engine", help="vap (ValidatingAdmissionPolicy), gatekeeper or azure.")
    ] = "vap",
    control: Annotated[
        list[str] | None, typer.Option("--control", "-c", help="Only this control; can be repeated.")
    ] = None,
    framework: Annotated[str, typer.Option("--framework", help="Only the controls of this framework.")] = "",
    action: Annotated[str, typer.Option("--action", help="deny, warn or audit.")] = "audit",
) -> None:
    """Print admission policies that decide as the controls do."""
    import yaml

    wanted = select(control) if control else list(framework_of(framework).controls) if framework else None
    if action not in {"deny", "warn", "audit"}:
        raise InputError(f"no such action: {action}", hint="deny, warn, audit")
    if engine == "vap":
        from seawall.posture.enforcement.cel import policies

        documents = policies(wanted, action=action.capitalize())
    elif engine == "gatekeeper":
        from seawall.posture.enforcement.rego import templates

        documents = templates(wanted, action="dryrun" if action == "audit" else action)
    elif engine == "azure":
        from seawall.posture.enforcement.azure import initiative

        sys.stdout.write(json.dumps(initiative(wanted), indent=2) + "\n")
        return
    else:
        raise InputError(f"no such engine: {engine}", hint="vap, gatekeeper, azure")
    yaml.safe_dump_all(documents, sys.stdout, sort_keys=False)


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

    if output not in ("table", "json"):
        raise InputError(f"no such format: {output}", hint="table, json")
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


@app.command("trend")
def trend(
    scope: Annotated[str, typer.Option("--scope", help="Only this cluster or target.")] = "",
    team: Annotated[str, typer.Option("--team", help="Only this team.")] = "",
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="How far to look back.")] = 30,
    output: Annotated[str, typer.Option("--format", "-f", help="table, json or csv.")] = "table",
) -> None:
    """Print how the scores of clusters and teams went, from the assessments that the store has."""
    from seawall.cli.posture_trend import print_trend

    print_trend(scope, team, days, output)


def list_cluster(kubeconfig: Path | None, context: str, in_cluster: bool) -> tuple[Any, set[str], str]:
    """List a live cluster; return what was read, the kinds that were not, and the name of its context."""
    from seawall.adapters.kubernetes import access
    from seawall.adapters.kubernetes.client import KubeClient
    from seawall.adapters.kubernetes.listing import ClusterSource
    from seawall.posture.loading import Loaded

    chosen = access.in_cluster() if in_cluster else access.from_kubeconfig(kubeconfig, context)
    source = ClusterSource(chosen.name, lambda: KubeClient(chosen))
    try:
        collected = source.collect()
    finally:
        source.close()
    return Loaded(collected.objects, collected.notes), collected.unread, chosen.name


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


def framework_of(name: str) -> Any:
    """Return a built-in framework, or the one that a YAML file describes."""
    from seawall.posture.frameworks import find, read_framework

    path = Path(name)
    return read_framework(read_bytes(path), name) if path.suffix in {".yaml", ".yml", ".json"} else find(name)


def read_bytes(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
