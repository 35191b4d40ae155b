"""Tables of `seawall posture` for people, readable at 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.markup import escape
from rich.table import Table

from seawall.cli.console import Console
from seawall.cli.table import SEVERITY_STYLES
from seawall.domain.posture import Assessment, Status
from seawall.posture.catalogue import Control
from seawall.posture.engine import Report
from seawall.posture.frameworks import Compliance, Framework

_SHOWN = 5
"""Places listed below each control; the rest is counted."""


def print_report(
    report: Report, compliances: Sequence[Compliance] = (), *, everything: bool = False, stream: TextIO | None = None
) -> None:
    """Print failures grouped by control, most urgent first, then what could not be judged, then totals."""
    console = Console(soft_wrap=False, file=stream)
    groups: dict[str, list[Assessment]] = {}
    others: dict[Status, dict[str, list[Assessment]]] = {}
    for item in report.assessments(passes=False):
        if item.status is Status.FAIL and not item.excepted:
            groups.setdefault(item.control, []).append(item)
        elif item.status in {Status.MANUAL, Status.UNKNOWN}:
            others.setdefault(item.status, {}).setdefault(item.control, []).append(item)
    for items in groups.values():
        first = items[0]
        console.print(
            f"[{SEVERITY_STYLES[first.severity]}]{first.severity.label:<9}[/] [bold]{first.control}[/] {escape(first.title)} [dim]({len(items)})[/]"
        )
        for item in items[:_SHOWN]:
            console.print(f"    {escape(_name(item))}", highlight=False)
            detail = f"{item.path} = {_short(item.actual)}" if item.path else item.reason
            console.print(f"      [dim]{escape(detail)}[/]", highlight=False)
            if item.priority and item.priority.paths:
                goal = escape(item.priority.path[-1])
                console.print(f"      [magenta]on {_count(item.priority.paths, 'attack path')}[/], such as to {goal}")
        if len(items) > _SHOWN:
            console.print(f"    [dim]and {len(items) - _SHOWN} more[/]")
        console.print(f"    [green]fix:[/] {escape(first.fix)}", highlight=False)
    for status, controls in others.items():
        table = Table(
            title=f"\n{status.value.replace('_', ' ').capitalize()}",
            title_justify="left",
            box=None,
            show_header=False,
            pad_edge=False,
        )
        table.add_column(no_wrap=True)
        table.add_column(ratio=1)
        table.add_column(ratio=1)
        by_reason: dict[str, list[str]] = {}
        for control, items in controls.items():
            by_reason.setdefault(items[0].reason, []).append(control)
        for reason, names in by_reason.items():
            if len(names) == 1:
                table.add_row(names[0], escape(controls[names[0]][0].title), escape(reason))
            else:
                table.add_row(f"{len(names)} controls", escape(", ".join(names)), escape(reason))
        console.print(table)
    if everything:
        passed = Table(title="\nPassed", title_justify="left", box=None, show_header=False, pad_edge=False)
        for item in report.assessments():
            if item.status is Status.PASS:
                passed.add_row(item.control, escape(_name(item)))
        console.print(passed)
    for note in report.partial[:20]:
        console.print(f"[yellow]partial:[/] {escape(note.where)}: {escape(note.reason)}", highlight=False)
    if len(report.partial) > 20:
        console.print(f"[yellow]partial:[/] and {len(report.partial) - 20} more notes; --format json lists all")
    for compliance in compliances:
        _compliance(console, compliance)
    _totals(console, report)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _compliance(console: Console, compliance: Compliance) -> None:
    score = "nothing assessed" if compliance.score is None else f"{compliance.score:.1%} of assessed objects pass"
    table = Table(
        title=f"\n{compliance.framework.title}: {score}",
        title_justify="left",
        box=None,
        show_header=False,
        pad_edge=False,
    )
    for _ in range(4):
        table.add_column()
    for item in compliance.requirements:
        if item.status is not Status.NOT_APPLICABLE:
            failing = [name for name, status in item.controls.items() if status is Status.FAIL]
            table.add_row(item.id, item.status.value, f"{item.passed} of {item.assessed}", escape(", ".join(failing)))
    console.print(table)


def print_frameworks(frameworks: Iterable[Framework]) -> None:
    """Print the built-in frameworks."""
    table = Table(box=None, pad_edge=False)
    for name in ("id", "framework", "requirements", "controls"):
        table.add_column(name)
    for item in frameworks:
        table.add_row(item.id, item.title, str(len(item.requirements)), str(len(item.controls)))
    Console().print(table)


def _totals(console: Console, report: Report) -> None:
    summary = report.summary()
    severities = summary["failures_by_severity"]
    console.print()
    parts = [
        f"[{SEVERITY_STYLES[severity]}]{severities[severity.label]} {severity.label}[/]"
        for severity in sorted(SEVERITY_STYLES, reverse=True)
        if severity.label in severities
    ]
    console.print(
        f"{summary['objects']} objects, {summary['workloads']} workloads: "
        + (", ".join(parts) if parts else "[green]nothing failed[/]"),
        highlight=False,
    )
    statuses = list(summary["controls"].values())
    line = ", ".join(f"{statuses.count(status.value)} {status.value.replace('_', ' ')}" for status in Status)
    console.print(
        f"controls: {line}" + (f"; {summary['excepted']} excepted" if summary["excepted"] else ""), highlight=False
    )


def print_controls(controls: Iterable[Control]) -> None:
    """Print the catalogue with the benchmarks that each control answers."""
    table = Table(box=None, pad_edge=False)
    table.add_column("id", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("fix", no_wrap=True)
    table.add_column("control", ratio=2)
    table.add_column("mappings", ratio=2)
    shown = {
        "cis_kubernetes_1.12": "CIS",
        "cis_aks_1.8": "AKS",
        "cis_eks_1.8": "EKS",
        "cis_gke_1.9": "GKE",
        "pod_security_standards": "PSS",
        "nsa_cisa": "NSA",
        "kubescape": "",
        "azure_policy": "Azure",
    }
    for item in controls:
        maps = "; ".join(
            f"{label} {', '.join(item.maps_to(name))}".strip() for name, label in shown.items() if item.maps_to(name)
        )
        table.add_row(
            item.id,
            f"[{SEVERITY_STYLES[item.severity]}]{item.severity.label}[/]",
            item.grade,
            escape(item.title),
            escape(maps),
        )
    Console().print(table)


def _name(item: Assessment) -> str:
    return "/".join(part for part in (item.object.kind, item.object.namespace, item.object.name) if part)


def _short(value: object) -> str:
    shown = "not set" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
