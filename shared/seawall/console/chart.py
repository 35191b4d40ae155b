"""Line charts as inline SVG: no script, readable without colour, with their numbers in a table beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 120
EDGE: Final = 8


@dataclass(frozen=True, slots=True)
class Line:
    """A chart's line: `points` is the attribute of an SVG polyline in a WIDTH by HEIGHT box; 100 % is at the top."""

    points: str
    first: str
    last: str
    dots: tuple[tuple[float, float, str], ...]


def score_line(values: Sequence[tuple[datetime, float]]) -> Line | None:
    """Return the line of scores between 0 and 1 over time; None for fewer than one."""
    if not values:
        return None
    start, end = values[0][0], values[-1][0]
    span = (end - start).total_seconds() or 1.0
    dots = tuple(
        (
            round(EDGE + (WIDTH - 2 * EDGE) * (time - start).total_seconds() / span, 1),
            round(EDGE + (HEIGHT - 2 * EDGE) * (1 - score), 1),
            f"{time:%Y-%m-%d %H:%M} {100 * score:.1f} %",
        )
        for time, score in values
    )
    return Line(" ".join(f"{x},{y}" for x, y, _ in dots), f"{start:%Y-%m-%d}", f"{end:%Y-%m-%d}", dots[-60:])
