"""`seawall posture paths`: the ways an attacker would take."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.domain.errors import InputError

if TYPE_CHECKING:
    from seawall.graph.paths import PathReport

FORMATS = ("table", "json", "dot", "svg")


def paths(
    target: Annotated[str, typer.Argument(help="A file or folder of objects, or - for standard input.")],
    start: Annotated[
        list[str] | None,
        typer.Option("--from", help="Where attackers start: KIND, KIND/NAME or KIND/NAMESPACE/NAME, with *."),
    ] = None,
    goal: Annotated[
        list[str] | None, typer.Option("--to", help="What they want, in the same form; for example cluster-admin.")
    ] = None,
    exploitable: Annotated[
        list[str] | None,
        typer.Option("--exploitable", help="IMAGE=ADVISORY: an image with a finding exploitable over the network."),
    ] = None,
    output: Annotated[str, typer.Option("--format", "-f", help=f"{', '.join(FORMATS)}.")] = "table",
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many paths to print, best first.")] = 10,
) -> None:
    """Print attack paths through TARGET, the most likely and harmful first, and what most of them share."""
    from seawall.cli.commands.posture import read
    from seawall.graph.build import build
    from seawall.graph.paths import find, search
    from seawall.posture.loading import require_objects
    from seawall.posture.world import World

    if output not in FORMATS:
        raise InputError(f"no such format: {output}", hint=", ".join(FORMATS))
    loaded = read(target)
    require_objects(loaded, target)
    world = World(loaded.objects, notes=loaded.notes, today=datetime.now(UTC).date())
    graph = build(world, exploitable=dict(_pair(item) for item in exploitable or []))
    report = search(
        graph,
        start=find(graph, start) if start else None,
        goals=find(graph, goal) if goal else None,
        keep=limit,
    )
    if output == "json":
        sys.stdout.write(json.dumps(to_json(report), indent=2) + "\n")
    elif output == "dot":
        from seawall.graph.picture import to_dot

        sys.stdout.write(to_dot(report.paths))
    elif output == "svg":
        from seawall.graph.picture import to_svg

        if not report.paths:
            raise InputError("there is no path to draw")
        sys.stdout.write(to_svg(report.paths[0]))
    else:
        _print(report)


def _pair(text: str) -> tuple[str, str]:
    image, equals, advisory = text.rpartition("=")
    return (image, advisory) if equals else (text, "a known vulnerability")


def to_json(report: PathReport) -> dict[str, Any]:
    """Return a report as JSON values."""
    return {
        "total": report.total,
        "paths": [
            {
                "score": round(path.score, 4),
                "likelihood": round(path.likelihood, 4),
                "impact": path.impact,
                "vertices": [
                    {"kind": item.kind.value, "namespace": item.namespace, "name": item.name} for item in path.vertices
                ],
                "steps": [{"edge": link.edge, "cause": link.cause} for link in path.links],
                "words": path.sentences(),
            }
            for path in report.paths
        ],
        "choke_points": [
            {"cause": item.cause, "edge": item.edge, "paths": item.paths, "controls": list(item.controls)}
            for item in report.choke_points
        ],
        "partial": [{"where": note.where, "reason": note.reason} for note in report.partial],
    }


def _print(report: PathReport) -> None:
    from rich.markup import escape

    from seawall.cli.console import Console
    from seawall.cli.table import listing

    console = Console()
    for number, path in enumerate(report.paths, 1):
        console.print(
            f"[bold]{number}. {escape(str(path.vertices[0]))} -> {escape(str(path.vertices[-1]))}[/]  score {path.score:.2f}"
        )
        for vertex, link in zip(path.vertices[1:], path.links, strict=True):
            reason = f" [dim]{link.edge}: {escape(link.cause)}[/]" if link.edge else ""
            console.print(f"   -> {escape(str(vertex))}{reason}")
    console.print(f"{len(report.paths)} of {report.total} paths")
    if report.choke_points:
        table = listing("On paths", "Edge", "Close this first", "By control", widest="Close this first")
        for item in report.choke_points[:10]:
            table.add_row(f"{item.paths} of {report.total}", item.edge, escape(item.cause), ", ".join(item.controls))
        console.print(table)
    errors = Console(stderr=True)
    for note in report.partial[:20]:
        errors.print(f"partial: {escape(note.where)}: {escape(note.reason)}")
