"""What an analytic over workloads is told: what is new, and what would have been usual."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.detection.baselines.profiles import HabitSettings, Profile, learnt_words
from seawall.detection.baselines.runtime_features import Feature
from seawall.domain.alerts import Entity, Match
from seawall.domain.severity import Severity

EXAMPLES = 6


@dataclass(frozen=True, slots=True)
class Habit:
    """What an analytic is told beside the event: something that the workload never did."""

    workload: str
    feature: Feature
    usual: tuple[str, ...]
    """Examples of what it does instead, the latest first."""
    others: int
    """How many more there are."""
    learnt: str
    """For how long."""

    @classmethod
    def of(cls, profile: Profile, feature: Feature, settings: HabitSettings) -> Habit:
        """Return what there is to say of a feature that the workload never had."""
        usual = profile.usual(feature.family)
        if feature.family == "egress":
            busiest = max(map(int, usual), default=0)
            usual = [f"at most {amount(1 << busiest)} in an hour"] if busiest else []
        learnt = learnt_words(profile, settings)
        return cls(profile.name, feature, tuple(usual[:EXAMPLES]), max(0, len(usual) - EXAMPLES), learnt)

    def match(
        self,
        message: str,
        *,
        severity: Severity | None = None,
        reasons: tuple[str, ...] = (),
        entities: tuple[Entity, ...] = (),
    ) -> Match:
        """Return a match that says what was usual and for how long that was learnt. It folds by workload."""
        usual = ", ".join(self.usual) + (f" and {self.others} more" if self.others else "")
        return Match(
            message,
            severity,
            (*reasons, f"usual: {usual or 'nothing of the kind'}", f"learnt: {self.learnt}"),
            entities,
            self.workload,
            {"workload": self.workload, "new": self.feature.value, "usual": usual, "learnt": self.learnt},
        )


def amount(size_bytes: int) -> str:
    """Return a number of bytes for people."""
    for unit, step in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes >= step:
            return f"{size_bytes / step:.0f} {unit}"
    return f"{size_bytes} bytes"
