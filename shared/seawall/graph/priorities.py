"""How urgent each failure is: its severity, and the attack paths that its repair would close."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from seawall.domain.posture import Priority, Status
from seawall.domain.severity import Severity
from seawall.graph.build import build, catalogue
from seawall.graph.paths import Path, PathReport, search
from seawall.posture.engine import Report
from seawall.posture.objects import Obj

BASE: Final = {Severity.CRITICAL: 60, Severity.HIGH: 45, Severity.MEDIUM: 30, Severity.LOW: 15}
"""What severity alone gives; anything else gives 5."""
ON_PATH: Final = 40
"""What the best path adds at most: this times its likelihood and impact, and a tenth of it for lying on any."""


def priorities(report: Report, paths: PathReport | None = None) -> dict[str, Priority]:
    """Return the priority of each failure by its id.

    A failure lies on a path when one of the path's steps is caused by the failing object and repairing the failing
    control closes that step. `paths` are searched over the report's own objects when not given.
    """
    found = search(build(report.world)) if paths is None else paths
    known = catalogue()
    by_place: dict[tuple[str, str], list[tuple[int, Path]]] = defaultdict(list)
    for (cause, edge), share in found.shares.items():
        for name in known[edge].controls:
            by_place[name, place_of(cause)].append((share.paths, share.best))
    result = {}
    for number, target, finding in report.found:
        if finding.status is not Status.FAIL:
            continue
        control = report.controls[number]
        base = BASE.get(control.severity, 5)
        finding_id = report.id_of(control, report.ref(target), finding)
        shares = by_place.get((control.id, _name(report.object(target)))) if target >= 0 else None
        if not shares:
            result[finding_id] = Priority(base)
            continue
        best = max((path for _, path in shares), key=lambda path: path.score)
        score = base + round(ON_PATH * (0.1 + 0.9 * best.score))
        places = tuple(str(vertex) for vertex in best.vertices)
        result[finding_id] = Priority(score, max(count for count, _ in shares), best.likelihood, best.impact, places)
    return result


def place_of(cause: str) -> str:
    """Return the object that a cause begins with: `Kind namespace/name` or `Kind name`."""
    return cause.partition(",")[0].partition(": ")[0]


def _name(obj: Obj) -> str:
    space = obj.in_namespace
    return f"{obj.kind} {space}/{obj.name}" if space else f"{obj.kind} {obj.name}"
