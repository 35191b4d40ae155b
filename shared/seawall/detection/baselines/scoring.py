"""How unusual an event is, as a sum of named parts: every score says what made it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from seawall.detection.baselines.features import BUCKETS, Feature

NEVER, RARE, USUAL = 1.0, 0.5, 0.0
RARE_DAYS = 2
"""A feature seen on at most this many days of the memory counts half."""


class Part(NamedTuple):
    """One contribution: what is looked at, how much it weighs when it was never seen, and the words for it."""

    name: str
    feature: Feature
    weight: float
    words: str


class Score(NamedTuple):
    """`total` is 0 (usual) to 1; `parts` are the contributing features with their words, heaviest first."""

    total: float
    parts: tuple[tuple[str, str], ...]

    @property
    def features(self) -> dict[str, str]:
        """For `Match.features`."""
        return {"score": f"{self.total:.2f}", **dict(self.parts)}

    @property
    def reasons(self) -> tuple[str, ...]:
        """For `Match.reasons`."""
        return tuple(f"{name}: {words}" for name, words in self.parts)


class View:
    """What a baseline analytic may ask about one event's scope on its day."""

    __slots__ = ("_days", "_each_day", "day", "mature_days", "scope")

    def __init__(
        self,
        days: Callable[[str, Feature, int], int],
        each_day: Callable[[str, Feature], tuple[int, ...]],
        scope: str,
        day: int,
        mature_days: int,
    ) -> None:
        self._days = days
        self._each_day = each_day
        self.scope = scope
        self.day = day
        self.mature_days = mature_days

    def days(self, family: str, subject: str, value: str) -> int:
        """On how many of the last 32 days the feature was seen, today included."""
        return self._days(self.scope, Feature(family, subject, value), self.day)

    def is_new(self, family: str, subject: str, value: str) -> bool:
        """True when it was never seen."""
        return not self.days(family, subject, value)

    def is_mature(self, subject: str) -> bool:
        """True when the subject was active on enough days to have habits."""
        return self.days("active", subject, "") >= self.mature_days

    def spread(self, subject: str, family: str, bucket: str) -> tuple[float, float]:
        """Return about how many different values the subject had today, `bucket` included, and at most on a day before.

        Linear counting over `BUCKETS` buckets; all full counts as 4 values a bucket.
        """
        filled: dict[int, set[int]] = {self.day: {int(bucket)}}
        for number in range(BUCKETS):
            for day in self._each_day(self.scope, Feature(family, subject, str(number))):
                filled.setdefault(day, set()).add(number)
        counts = {day: _linear(len(found)) for day, found in filled.items()}
        return counts[self.day], max((count for day, count in counts.items() if day < self.day), default=0.0)

    def score(self, *parts: Part, bonus: float = 0.0, why: str = "") -> Score:
        """Return the sum of the parts' weights times how rare each is; `bonus` counts when something is rare at all."""
        found = []
        total = 0.0
        for name, feature, weight, words in parts:
            days = self._days(self.scope, feature, self.day)
            rarity = NEVER if not days else RARE if days <= RARE_DAYS else USUAL
            if rarity:
                total += weight * rarity
                how = "never before" if not days else f"on {days} of the last 32 days"
                found.append((weight * rarity, name, f"{words} ({how})"))
        if found and bonus:
            total += bonus
            found.append((bonus, "sensitivity", why))
        found.sort(key=lambda item: (-item[0], item[1]))
        return Score(min(round(total, 4), 1.0), tuple((name, words) for _, name, words in found))


def _linear(filled: int) -> float:
    return -BUCKETS * math.log(1 - filled / BUCKETS) if filled < BUCKETS else 4.0 * BUCKETS
