"""How the baselines learn: the learning period, what must not train, merging, resets, bounds."""

from __future__ import annotations

import random

import pytest
from seawall.detection.baselines.learner import MAX_NEW_PER_DAY, Learner, Learning
from seawall.detection.baselines.sketch import Sketch, day_of
from seawall.detection.rules.baseline.identities import new_network, rare_operation

from tests.detection.baselines.calls import MONDAY, call

RULES = (rare_operation, new_network)
THEFT = {"what": "list secrets", "namespace": "kube-system"}
SCOPE = "cluster:prod"


def trained(days: int = 20, learner: Learner | None = None) -> Learner:
    learner = learner or Learner(RULES)
    for day in range(days):
        for what in ("get configmaps", "list pods"):
            assert not learner.process(call(what, day))
    return learner


def state(learner: Learner) -> dict[tuple[str, int], Sketch]:
    return {(scope, shard): sketch for scope, shard, sketch in learner.changes() if len(sketch) or sketch.start}


def test_what_it_never_does_is_told_with_its_reasons():
    (alert,) = trained().process(call(day=20, **THEFT))
    assert alert.analytic == "BL-0002"
    assert alert.features["score"] == "1.00"
    assert {"operation", "action", "namespace", "peers", "sensitivity"} < set(alert.features)
    assert "list secrets kube-system (never before)" in alert.features["operation"]


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(call("get configmaps", 20), id="usual"),
        pytest.param(call("watch configmaps", 20), id="a neighbour of the usual"),
        pytest.param(call("list secrets", 20, namespace="kube-system", code=403), id="refused"),
        pytest.param(call("list secrets", 20, namespace="kube-system", actor="system:node:n1"), id="a node"),
        pytest.param(call("list secrets", 20, actor="system:serviceaccount:shop:new"), id="an account without habits"),
    ],
)
def test_silence(event):
    assert not trained().process(event)


def test_alerts_of_the_learning_period_are_counted_only():
    learner = trained(13)
    assert not learner.process(call(day=13, **THEFT))
    assert learner.stats.muted == {(SCOPE, "BL-0002"): 1}
    assert learner.is_learning(SCOPE, day_of(MONDAY) + 13)
    assert not learner.is_learning(SCOPE, day_of(MONDAY) + 14)


def test_the_period_is_a_setting():
    learner = trained(6, Learner(RULES, learning=Learning(learning_days=5)))
    assert learner.process(call(day=6, **THEFT))


def test_an_alerted_event_does_not_train():
    learner = trained()
    for _ in range(5):
        assert learner.process(call(day=20, **THEFT))
    assert learner.process(call(day=21, **THEFT))


def test_what_another_analytic_alerted_on_does_not_train():
    learner = Learner(RULES)
    for day in range(14):
        for what in ("get configmaps", "list pods"):
            learner.process(call(what, day))
        learner.process(call(day=day, **THEFT), alerted=True)
    assert learner.process(call(day=14, **THEFT))
    assert learner.stats.refused["alerted"] == 15


def test_repetition_becomes_silent_but_not_usual_until_somebody_accepts_it():
    learner = trained()
    alerts = [learner.process(call(day=day, **THEFT)) for day in range(20, 26)]
    assert [len(found) for found in alerts] == [1, 1, 1, 0, 0, 0]
    assert learner.stats.unconfirmed == {(SCOPE, "BL-0002"): 3}
    assert learner.accept(alerts[0][0])
    assert not learner.process(call(day=26, **THEFT))
    assert learner.stats.unconfirmed == {(SCOPE, "BL-0002"): 3}


def test_order_and_repeats_of_training_give_one_state():
    events = [call(what, day) for day in range(12) for what in ("get configmaps", "list pods", "watch pods")]
    mixed = [*events, *events[::3]]
    random.Random(4).shuffle(mixed)
    one, two = Learner(RULES), Learner(RULES)
    for event in events:
        one.process(event)
    for event in mixed:
        two.process(event)
    assert state(one) == state(two)


def test_workers_meet_in_the_store():
    shared: dict[tuple[str, int], Sketch] = {}

    def load(scope: str, shard: int) -> Sketch | None:
        kept = shared.get((scope, shard))
        return Sketch.from_bytes(kept.to_bytes()) if kept is not None else None

    for day in range(20):
        learner = Learner(RULES, load)
        learner.process(call("get configmaps", day))
        for scope, shard, sketch in learner.changes():
            shared.setdefault((scope, shard), Sketch()).merge(sketch)
    assert not Learner(RULES, load).process(call("get configmaps", 20))
    assert Learner(RULES, load).process(call(day=20, **THEFT))


def test_a_reset_forgets_one_cluster_and_learns_again():
    learner = trained(20, trained(20))
    for day in range(20):
        learner.process(call("get configmaps", day, cluster="other"))
    learner.reset(SCOPE)
    assert not learner.process(call(day=20, **THEFT))
    assert learner.is_learning(SCOPE, day_of(MONDAY) + 20)
    assert not learner.is_learning("cluster:other", day_of(MONDAY) + 20)


def test_old_and_future_events_do_not_count():
    learner = trained()
    assert not learner.process(call("get secrets", -60))
    today = day_of(MONDAY) + 20
    assert not learner.process(call("get secrets", 4000), today=today)
    assert learner.stats.refused["time"] == 2
    assert learner.process(call(day=20, **THEFT), today=today)


def test_a_flood_of_names_costs_little():
    learner = Learner(RULES)
    for number in range(MAX_NEW_PER_DAY * 3):
        learner.process(call("get configmaps", namespace=f"ns{number}"))
    assert learner.stats.refused["flood"] > 0
    assert learner.features(SCOPE) < 2 * MAX_NEW_PER_DAY + 10


def test_accepting_something_else_is_refused():
    learner = trained()
    (alert,) = learner.process(call(day=20, **THEFT))
    alert.context.clear()
    assert not learner.accept(alert)
    assert learner.process(call(day=20, **THEFT))
