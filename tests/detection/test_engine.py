"""Order, repetition and batching change nothing; hostile bodies cost nothing but themselves."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seawall.app.detect import detect, load_rules
from seawall.detection.declaration import detection
from seawall.detection.engine import Engine
from seawall.detection.folding import SKETCH_SIZE, event_hash, fold
from seawall.detection.growing import Growing
from seawall.detection.sources.recognise import decode
from seawall.detection.windows import Observation, Windows
from seawall.detection.workloads import once
from seawall.domain.alerts import Alert, Evidence, Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

from tests.detection.events import audit, host_path, pod

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)


def events_of(*documents):
    return [event for document in documents for event in decode(json.dumps(document).encode()).events]


def story():
    """A burst of reads, some execs, privileged pods, denied calls: with repeats, stages and equal requests."""
    found = []
    for i in range(14):
        stamp = (NOW + timedelta(seconds=20 * i)).isoformat()
        found.append(audit("get", "secrets", ns=f"n{i % 3}", name=f"s{i}", user="eve", time=stamp))
        found.append(
            audit(
                "create",
                "pods/exec",
                ns="shop",
                name="api",
                user="eve",
                time=stamp,
                uri="/api/v1/namespaces/shop/pods/api/exec?command=sh",
                code=101,
            )
        )
        found.append(
            audit(
                "create",
                "pods",
                ns="shop",
                name="p",
                user="eve",
                time=stamp,
                body=pod(securityContext={"privileged": True}),
            )
        )
        found.append(audit("list", f"kind{i}s", user="system:serviceaccount:a:b", time=stamp, code=403))
        found.append(audit("get", f"kind{i}s", user="system:serviceaccount:a:b", time=stamp, code=403))
    found += [event | {"stage": "ResponseStarted"} for event in found[:6]]
    return events_of(*found)


def alerts_of(events, **options):
    return Engine(load_rules()).run(events, **options)


def test_the_story_raises_what_it_should():
    found = {alert.analytic: alert for alert in alerts_of(story())}
    assert found["AU-0302"].count == 14
    assert found["AU-0201"].count == 14
    assert found["AU-0101"].count == 14
    assert found["AU-0703"].count == 28


@pytest.mark.parametrize("seed", range(12))
def test_order_and_repetition_change_nothing(seed):
    events = story()
    expected = alerts_of(events)
    rng = random.Random(seed)
    shuffled = [*events, *rng.sample(events, len(events) // 2)]
    rng.shuffle(shuffled)
    assert alerts_of(shuffled) == expected


@pytest.mark.parametrize("seed", range(4))
def test_growing_equals_folding(seed):
    events = story()
    random.Random(seed).shuffle(events)
    engine = Engine(load_rules())
    assert Engine(load_rules()).run(events) == fold([alert for event in events for alert in engine.process(event)])
    plain, growing = Engine(load_rules()), Growing(remember=False)
    for event in events:
        plain.feed(event, growing)
    assert growing.alerts() == alerts_of(events)


def test_batches_change_nothing():
    events = [event for event in story() if event.resource in ("pods", "pods/exec")]
    halves = [alert for part in (events[:20], events[20:]) for alert in detect(part)]
    assert fold(halves) == detect(events)


def single(number: int, message: str = "m") -> Alert:
    stamp = NOW + timedelta(seconds=number)
    return Alert(id="a", analytic="X", title="t", message=message, severity=Severity.LOW, attack=(), first_seen=stamp, last_seen=stamp, source="audit",
                 evidence=(Evidence("audit", f"e{number}", stamp),), members=(event_hash(f"e{number}"),))  # fmt: skip


@settings(max_examples=100)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.data())
def test_fold_is_a_join(numbers, data):
    alerts = [single(number) for number in numbers]
    cut = data.draw(st.integers(0, len(alerts)))
    whole = fold(alerts)
    assert (
        whole
        == fold([*fold(alerts[:cut]), *fold(alerts[cut:])])
        == fold(list(reversed(alerts)))
        == fold([*whole, *alerts])
    )
    assert whole[0].count == len(set(numbers))


def test_counts_beyond_the_sketch_are_near():
    folded = fold(single(number) for number in range(5000))[0]
    assert len(folded.members) == SKETCH_SIZE
    assert 0.8 * 5000 < folded.count < 1.2 * 5000
    assert fold([folded, single(3)]) == [folded]


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 4)), min_size=1, max_size=25, unique=True), st.randoms())
def test_windows_do_not_depend_on_order(entries, rng):
    def reached(order):
        windows = Windows()
        return {
            item
            for ts, value in order
            for item in windows.reached(
                "r", "k", Observation(float(ts), f"{ts}-{value}", value, (ts, value)), span_s=10, threshold=3
            )
        }

    expected = {
        (ts, value)
        for ts, value in entries
        if any(
            start <= ts <= start + 10 and len({v for t, v in entries if start <= t <= start + 10}) >= 3
            for start, _ in entries
        )
    }
    shuffled = list(entries)
    rng.shuffle(shuffled)
    assert reached(entries) == reached(shuffled) == expected


@detection(id="T-0001", title="t", severity=Severity.LOW, attack=(), on=AuditEvent, response="r")
def broken(event: AuditEvent) -> Match | None:
    """Fails on every event."""
    raise KeyError(event.verb)


def test_a_failing_analytic_is_counted_and_the_rest_goes_on():
    engine = Engine([broken, *load_rules()])
    assert [alert.analytic for alert in engine.run(events_of(audit(ns="shop", body=host_path("/"))))]
    assert engine.stats.errors["T-0001"] == 1


odd = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda c: st.lists(c, max_size=3) | st.dictionaries(
    st.sampled_from(["spec", "template", "containers", "volumes", "hostPath", "path", "securityContext", "capabilities", "add", "rules", "verbs", "resources",
                     "subjects", "roleRef", "name", "metadata", "labels", "annotations", "webhooks", "clientConfig", "url", "command", "env", "image", "ports",
                     "type", "data", "op", "value", "selector", "ownerReferences", "kind", "update", "spec", "request"]), c, max_size=6), max_leaves=30)  # fmt: skip


@settings(max_examples=300)
@given(
    odd,
    st.sampled_from(["create", "patch", "update", "delete"]),
    st.sampled_from(["pods", "deployments", "cronjobs", "clusterroles", "rolebindings", "services", "ingresses", "secrets", "configmaps", "namespaces", "networkpolicies",
                     "mutatingwebhookconfigurations", "certificatesigningrequests", "serviceaccounts", "pods/exec", "pods/ephemeralcontainers", "persistentvolumes"]),
)  # fmt: skip
def test_bodies_of_any_shape_break_no_analytic(body, verb, resource):
    engine = Engine([replace(rule, enabled=True) for rule in load_rules()])
    engine.run(events_of(audit(verb, resource, ns="kube-system", body=body, answer=body)))
    assert not engine.stats.errors


def test_dispatch_leaves_ordinary_traffic_alone():
    engine = Engine(load_rules())
    ordinary = events_of(
        audit("get", "leases", ns="kube-node-lease", user="system:node:n1", agent="kubelet/v1.34.0"),
        audit("list", "pods", ns="shop"),
        audit("watch", "configmaps", ns="shop", user="system:serviceaccount:shop:app", agent="app/1"),
    )
    assert [len(engine.rules_for(event)) for event in ordinary][1:] <= [2, 2]
    assert engine.run(ordinary) == []


def test_dry_runs_do_nothing():
    event = audit(
        ns="shop", body=pod(securityContext={"privileged": True}), uri="/api/v1/namespaces/shop/pods?dryRun=All"
    )
    assert detect(events_of(event)) == []


def test_what_analytics_share_is_worked_out_once_per_event():
    asked = []

    @once
    def name_of(event):
        asked.append(event.name)
        return event.name

    first, second = (decode(json.dumps(audit(name=name)).encode()).events[0] for name in "ab")
    assert [name_of(first), name_of(second), name_of(first)] == ["a", "b", "a"]
    assert asked == ["a", "b"]
