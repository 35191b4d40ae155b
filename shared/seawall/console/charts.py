"""Small pictures of numbers, as values that a template draws. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from seawall.domain.severity import Severity

WIDTH, HEIGHT = 720, 120
_GAP = 4


@dataclass(frozen=True, slots=True)
class Bar:
    """One severity's part of a day's bar, in pixels from the top left."""

    x: float
    y: float
    width: float
    height: float
    severity: str


@dataclass(frozen=True, slots=True)
class Days:
    """A stacked bar a day. `rows` are the same numbers for a table: day, counts by severity label."""

    bars: tuple[Bar, ...]
    labels: tuple[tuple[float, str], ...]
    """Middle of a bar and its day, for some of the days."""
    most: int
    """Alerts of the day with the most."""
    rows: tuple[tuple[date, dict[str, int]], ...]


def days(counts: Iterable[tuple[date, Severity, int]], last: date, length: int) -> Days:
    """Return the `length` days that end with `last`, empty ones among them."""
    by_day: dict[date, dict[Severity, int]] = {last - timedelta(days=back): {} for back in reversed(range(length))}
    for day, severity, count in counts:
        if day in by_day:
            by_day[day][severity] = by_day[day].get(severity, 0) + count
    most = max((sum(found.values()) for found in by_day.values()), default=0)
    step = WIDTH / length
    bars: list[Bar] = []
    for index, found in enumerate(by_day.values()):
        top = float(HEIGHT)
        for severity in sorted(found):
            height = found[severity] / most * HEIGHT
            top -= height
            bars.append(Bar(index * step + _GAP / 2, top, step - _GAP, height, severity.label))
    labels = [
        (index * step + step / 2, f"{day:%d %b}") for index, day in enumerate(by_day) if (length - 1 - index) % 3 == 0
    ]
    rows = tuple((day, {severity.label: count for severity, count in found.items()}) for day, found in by_day.items())
    return Days(tuple(bars), tuple(labels), most, rows)
