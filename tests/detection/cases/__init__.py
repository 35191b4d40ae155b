"""For every analytic one case that raises it and one near miss: the tests run them, the reference pages show them.

`python -m tests.detection.cases` writes them to the file that the package carries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from seawall.app.detect import load_rules
from seawall.detection.allowances import built_in_allowances
from seawall.detection.baselines.habits import Habits
from seawall.detection.baselines.learner import Learner
from seawall.detection.context import Context
from seawall.detection.declaration import Detection
from seawall.detection.engine import Engine
from seawall.detection.networks import Networks, provider_networks
from seawall.detection.sources.recognise import decode
from seawall.domain.alerts import Incident
from seawall.domain.runtime_events import RuntimeEvent

from tests.detection.runtime_events import NOW_NS

USUAL_DAYS = 20
TOR = "185.220.101.7"
KNOWLEDGE = Context(Networks(provider_networks(), {"tor exits": [TOR]}), built_in_allowances())


@dataclass(frozen=True)
class Case:
    """`events` are documents as a source delivers them, or domain events. `usual` gives what happened on each day
    before, for baselines."""

    words: str
    events: tuple[Any, ...]
    usual: Callable[[int], list[Any]] | None = None


Pairs = dict[str, tuple[Case, Case]]
"""Analytic: (raises it, near miss)."""


def pair(fires: str, event: Any, quiet: str, other: Any) -> tuple[Case, Case]:
    """Return a pair of cases of one event, or one list of events, each."""
    return Case(fires, several(event)), Case(quiet, several(other))


def several(event: Any) -> tuple[Any, ...]:
    return tuple(event) if isinstance(event, list) else (event,)


def decoded(events: Iterable[Any]) -> list[Any]:
    """Return domain events."""
    found: list[Any] = []
    for event in events:
        if isinstance(event, dict):
            batch = decode(msgspec.json.encode(event))
            assert not batch.rejects
            found += batch.events
        else:
            found.append(event)
    return found


def over_days(case: Case) -> list[Any]:
    """Return sensor events: what is usual, four times a day, then the case's own."""
    found = []
    for day in range(USUAL_DAYS):
        for hour in range(0, 24, 6):
            for number, event in enumerate(case.usual(day) if case.usual else ()):
                ts_ns = NOW_NS + (day * 24 + hour) * 3_600_000_000_000 + number
                found.append(msgspec.structs.replace(event, ts_ns=ts_ns))
    later = NOW_NS + (USUAL_DAYS + 1) * 86_400_000_000_000
    return [*found, *(msgspec.structs.replace(event, ts_ns=later + n) for n, event in enumerate(case.events))]


def raises(rule: Detection, case: Case) -> bool:
    """Run one analytic alone over a case."""
    rule = replace(rule, enabled=True)
    events = decoded(case.events)
    if rule.on is Incident:
        return rule(Engine(load_rules()).run(events)) is not None
    if rule.features and issubclass(rule.on, RuntimeEvent):
        habits = Habits((rule,))
        found = [alert for event in over_days(case) for alert in habits.process(event)]
        assert not habits.stats.errors
        return any(alert.analytic == rule.id for alert in found)
    if rule.features:
        learner = Learner((rule,))
        for day in range(USUAL_DAYS):
            for event in case.usual(day) if case.usual else ():
                learner.process(event)
        alerts = [alert for event in events for alert in learner.process(event)]
        return any(alert.analytic == rule.id for alert in alerts)
    engine = Engine((rule,), knowledge=KNOWLEDGE)
    found = engine.run(events)
    assert not engine.stats.errors
    return bool(found)
