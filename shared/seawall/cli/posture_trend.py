"""How scores went, as a table with a small line, JSON or CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from seawall.domain.errors import InputError

if TYPE_CHECKING:
    from seawall.domain.posture import TrendPoint

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 24


def print_trend(scope: str, team: str, days: int, output: str) -> None:
    """Print the points of the last `days` days.

    Raises:
        InputError: no such format; there is no assessment of that scope or team.
    """
    from seawall.adapters.sql.store import open_store
    from seawall.settings import load_settings

    if output not in ("table", "json", "csv"):
        raise InputError(f"no such format: {output}", hint="table, json, csv")
    store = open_store(load_settings())
    try:
        points = store.assessments.trend(scope=scope, team=team or None, since=datetime.now(UTC) - timedelta(days=days))
    finally:
        store.close()
    if not points:
        raise InputError(
            "no assessment is stored for that",
            hint="`seawall assets discover`, or send manifests to /v1/events/posture/<scope>",
        )
    rows = [row(point) for point in points]
    if output == "json":
        sys.stdout.write(json.dumps({"trend": rows}, indent=2) + "\n")
    elif output == "csv":
        writer = csv.DictWriter(sys.stdout, [name for name in rows[0] if name != "failures"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    else:
        _table(points)


def row(point: TrendPoint) -> dict[str, object]:
    """Return a point as JSON values."""
    return {
        "scope": point.scope,
        "team": point.team,
        "assessed_at": point.assessed_at.isoformat(),
        "passed": point.passed,
        "assessed": point.assessed,
        "score": None if point.score is None else round(point.score, 4),
        "failures": point.failures,
        "partial": point.partial,
    }


def _table(points: Sequence[TrendPoint]) -> None:
    from rich.text import Text

    from seawall.cli.console import Console
    from seawall.cli.table import listing

    right = ("Score", "Change", "Assessments")
    table = listing("Scope", "Team", "Score", "Change", "Since", "Assessments", "Trend", right=right)
    lines: dict[tuple[str, str], list[TrendPoint]] = {}
    for point in points:
        lines.setdefault((point.scope, point.team), []).append(point)
    for (scope, team), found in lines.items():
        scores = [point.score for point in found if point.score is not None]
        change = f"{100 * (scores[-1] - scores[0]):+.1f}" if len(scores) > 1 else ""
        now = f"{100 * scores[-1]:.1f} %" if scores else "not judged"
        cells = (
            scope,
            team or "(all)",
            now,
            change,
            found[0].assessed_at.strftime("%Y-%m-%d"),
            str(len(found)),
            spark(scores),
        )
        table.add_row(*map(Text, cells))
    Console(highlight=False).print(table)


def spark(scores: Sequence[float]) -> str:
    """Return a line of bars, 0 to 100 %, at most `WIDTH` wide: the last of each stretch."""
    step = max(1, -(-len(scores) // WIDTH))
    chosen = [scores[min(start + step, len(scores)) - 1] for start in range(0, len(scores), step)]
    return "".join(BARS[min(int(score * len(BARS)), len(BARS) - 1)] for score in chosen)
