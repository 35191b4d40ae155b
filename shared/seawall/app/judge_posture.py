"""Use case: judge what was collected, and keep results, scores and what changed for publishing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from seawall.app.assess_posture import assess
from seawall.app.publishing import assessment_entries
from seawall.domain.posture import Assessment, Status, TrendPoint
from seawall.ports.publisher import BatchPublisher
from seawall.ports.store import Store
from seawall.posture.engine import Report
from seawall.posture.exceptions import PostureException
from seawall.posture.frameworks import score_by_team
from seawall.posture.objects import Note, Obj


@dataclass(frozen=True, slots=True)
class PosturePolicy:
    """How a deployment wants to be judged: accepted failures, settings of controls, the label that names teams."""

    exceptions: Sequence[PostureException] = ()
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    team_label: str = "team"


@dataclass(frozen=True, slots=True)
class Judged:
    """What an assessment came to."""

    report: Report
    results: int
    changed: int


def judge(
    store: Store,
    publishers: Callable[[], Iterable[BatchPublisher]],
    policy: PosturePolicy,
    *,
    scope: str,
    objects: Iterable[Obj],
    notes: Iterable[Note],
    unread: Iterable[str] = (),
    now: datetime,
) -> Judged:
    """Judge the objects; they are the present state of `scope`."""
    report = assess(
        objects,
        today=now.date(),
        notes=notes,
        cluster=scope,
        parameters=policy.parameters,
        exceptions=policy.exceptions,
        unread=unread,
    )
    results = list(report.assessments())
    changed = store.assessments.replace(scope, results, now)
    store.assessments.note_trend(trend_points(report, results, scope, now, policy.team_label))
    if changed:
        store.outbox.add(assessment_entries(publishers(), results, now))
    return Judged(report, len(results), changed)


def trend_points(
    report: Report, results: Iterable[Assessment], scope: str, now: datetime, team_label: str
) -> list[TrendPoint]:
    """Return the totals of a scope and of each team in it."""
    failures = Counter(item.severity.label for item in results if item.status is Status.FAIL and not item.excepted)
    counts: Counter[Status] = Counter()
    for by_status in report.by_control().values():
        counts.update(by_status)
    passed = counts[Status.PASS]
    whole = TrendPoint(
        scope, "", now, passed, passed + counts[Status.FAIL], dict(sorted(failures.items())), len(report.partial)
    )
    teams = [
        TrendPoint(scope, team, now, good, assessed)
        for team, (good, assessed) in score_by_team(report, team_label).items()
        if team
    ]
    return [whole, *teams]
