"""Use case: judge what was collected, and keep results, scores and what changed for publishing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from seawall.app.assess_posture import assess
from seawall.app.publishing import assessment_entries
from seawall.domain.ids import content_id
from seawall.domain.posture import Assessment, ObjectRef, Priority, Status, TrendPoint
from seawall.graph import is_available
from seawall.ports.publisher import BatchPublisher
from seawall.ports.store import Store
from seawall.posture.catalogue import controls
from seawall.posture.enforcement.azure import read_states
from seawall.posture.engine import Report
from seawall.posture.exceptions import PostureException
from seawall.posture.frameworks import score_by_team
from seawall.posture.objects import Note, Obj, mapping, text

POLICY_STATE = "Microsoft.PolicyInsights/policyStates"


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
    report.priorities = _priorities(report)
    results = list(report.assessments())
    results += policy_results(report.world.of(POLICY_STATE), results, report.world.objects, scope)
    changed = store.assessments.replace(scope, results, now)
    store.assessments.note_trend(trend_points(report, results, scope, now, policy.team_label))
    if changed:
        store.outbox.add(assessment_entries(publishers(), results, now))
    return Judged(report, len(results), changed)


def _priorities(report: Report) -> dict[str, Priority]:
    """How urgent the failures are by the attack paths that they lie on, where those can be searched."""
    if not report.world.workloads or not is_available():
        return {}
    from seawall.graph.priorities import priorities

    return priorities(report)


def policy_results(
    states: Iterable[Obj], results: Iterable[Assessment], objects: Iterable[Obj], scope: str
) -> list[Assessment]:
    """Return what Azure Policy says of controls that we could not judge on a resource ourselves, as the same findings.

    Where we judged, our verdict has the evidence and stands.
    """
    judged = {
        (item.control, item.object.kind, item.object.name)
        for item in results
        if item.status in {Status.PASS, Status.FAIL}
    }
    resources = {text(obj.body.get("id")).lower(): obj for obj in objects}
    known = controls()
    worst: dict[tuple[str, str], bool] = {}
    for name, resource, complies in read_states({"value": [mapping(obj.body.get("properties")) for obj in states]}):
        key = (name, resource.lower())
        worst[key] = worst.get(key, True) and complies
    found: list[Assessment] = []
    for (name, resource), complies in sorted(worst.items()):
        obj = resources.get(resource)
        if obj is None or (name, obj.kind, obj.name) in judged:
            continue
        control = known[name]
        ref = ObjectRef(obj.kind, obj.name, cluster=scope)
        found.append(
            Assessment(
                content_id("posture", name, scope, obj.kind, "", obj.name, "", ""),
                name,
                Status.PASS if complies else Status.FAIL,
                control.severity,
                ref,
                control.title,
                fix="" if complies else control.remedy,
                reason="Azure Policy says so",
            )
        )
    return found


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
