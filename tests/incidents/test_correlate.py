"""Incidents as a function of the set of alerts: titles, severities, and the same result in any order."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seawall.app.correlate import correlate_alerts
from seawall.app.detect import load_rules
from seawall.detection.declaration import Detection, Logic
from seawall.domain.alerts import Alert, Entity, Incident
from seawall.domain.severity import Severity
from seawall.incidents.correlate import correlate
from seawall.incidents.joining import entities_of

from tests.incidents.alerts import BOB, CI, EVE, alert


def analytic(id_: str, action: str = "", *, logic: Logic = Logic.RULE) -> Detection:
    return Detection(
        id=id_,
        title=id_,
        severity=Severity.MEDIUM,
        attack=(),
        on=object,
        response="",
        check=lambda: None,
        logic=logic,
        action=action,
    )


DECLARED = {
    "exec": analytic("exec", "opened a shell in a container"),
    "admin": analytic("admin", "took cluster-admin"),
    "secrets": analytic("secrets", "read all secrets"),
    "miner": analytic("miner", "mined cryptocurrency"),
    "shell": analytic("shell", logic=Logic.TEST),
}

ATTACK = (
    alert("admin", 0, actor=CI, namespace="prod", ip="203.0.113.7"),
    alert("secrets", 4, actor=CI, namespace="prod", ip="203.0.113.7"),
)


class Memory:
    """The store in memory; fulfils `CorrelationStore`."""

    def __init__(self) -> None:
        self.alerts: dict[str, Alert] = {}
        self.incidents: dict[str, Incident] = {}

    def touching(self, entity, start, end, limit):
        found = [
            item
            for item in self.alerts.values()
            if item.last_seen >= start and item.first_seen <= end and entity in entities_of(item)
        ]
        return sorted(found, key=lambda item: item.first_seen)[:limit]

    def holding(self, alert_ids):
        wanted = set(alert_ids)
        return [item for item in self.incidents.values() if wanted.intersection(item.alert_ids)]

    def save(self, incidents, carry):
        changed = []
        for item in incidents:
            old = self.incidents.get(item.id)
            kept = carry(item, old)
            self.incidents[item.id] = kept
            if old is None or kept.seq > old.seq:
                changed.append(kept)
        return changed

    def take(self, *alerts: Alert) -> list[Incident]:
        self.alerts.update((item.id, item) for item in alerts)
        return correlate_alerts(alerts, self, DECLARED)

    @property
    def live(self) -> set[Incident]:
        """What stands, without the numbers that count arrivals."""
        return {replace(item, seq=0, status="") for item in self.incidents.values() if not item.merged_into}


def one(*alerts: Alert) -> Incident:
    (incident,) = correlate(alerts, analytics=DECLARED)
    return incident


def test_every_analytic_of_ours_has_words_for_a_title():
    assert [rule.id for rule in load_rules() if not rule.action or rule.action.endswith(".")] == []


def test_the_title_is_what_a_person_would_write():
    assert one(*ATTACK).title == "Service account `ci` took cluster-admin and read all secrets in prod"


@pytest.mark.parametrize(
    ("alerts", "title"),
    [
        pytest.param(
            [alert("exec", actor=EVE, namespace="a"), alert("secrets", 1, actor=EVE, namespace="b")],
            "User `eve@example.com` opened a shell in a container and read all secrets across 2 namespaces",
            id="several namespaces",
        ),
        pytest.param(
            [alert("secrets", actor="system:anonymous", ip="203.0.113.7")],
            "An anonymous caller from 203.0.113.7 read all secrets in cluster prod",
            id="nobody logged in",
        ),
        pytest.param(
            [
                alert("exec", actor=EVE, namespace="shop", pod="shop/web-1"),
                alert("miner", 3, source="runtime", namespace="shop", pod="shop/web-1"),
            ],
            "Pod `web-1` mined cryptocurrency; user `eve@example.com` opened a shell in a container in shop",
            id="a person and what ran",
        ),
        pytest.param(
            [alert("miner", source="runtime", workload="shop/web", actor="aksService")],
            "Workload `web` mined cryptocurrency in cluster prod",
            id="a platform identity is not to blame",
        ),
        pytest.param(
            [alert("escape", actor="ev`il\n" + "x" * 500)],
            "User `evil" + "x" * 75 + "…` tried to reach the host in cluster prod",
            id="a hostile name",
        ),
    ],
)
def test_titles(alerts, title):
    assert one(*alerts).title == title


@pytest.mark.parametrize(
    ("alerts", "severity"),
    [
        pytest.param([alert("exec", actor=CI)], Severity.MEDIUM, id="one medium"),
        pytest.param([alert("exec", actor=CI), alert("secrets", 1, actor=CI)], Severity.HIGH, id="as its worst"),
        pytest.param([alert("exec", actor=CI), alert("admin", 1, actor=CI)], Severity.HIGH, id="two stages"),
        pytest.param([alert("admin", actor=CI), alert("exec", 1, actor=CI)], Severity.MEDIUM, id="no order"),
        pytest.param(
            [alert("exec", actor=CI), alert("exec", 1, actor=CI, id="2")], Severity.MEDIUM, id="the same twice"
        ),
        pytest.param(
            [alert("exec", actor=CI), alert("admin", 1, actor=CI), alert("secrets", 2, actor=CI)],
            Severity.CRITICAL,
            id="three stages",
        ),
        pytest.param(
            [
                alert("exec", actor=CI),
                alert("admin", 1, actor=CI, severity=Severity.LOW),
                alert("secrets", 2, actor=CI, severity=Severity.LOW),
            ],
            Severity.MEDIUM,
            id="a day's work: one medium, two low",
        ),
        pytest.param(
            [
                alert("exec", actor=CI),
                alert("mount", 1, actor=CI),
                alert("secrets", 2, actor=CI, severity=Severity.INFORMATIONAL),
            ],
            Severity.MEDIUM,
            id="informational stages count nothing",
        ),
    ],
)
def test_progression_raises_the_severity(alerts, severity):
    incident = one(*alerts)
    assert incident.severity is severity
    assert incident.reasons


@pytest.mark.parametrize(
    "alerts",
    [
        pytest.param([alert("mount", actor=CI)], id="informational"),
        pytest.param([alert("probe", actor=CI)], id="low"),
        pytest.param([alert("probe", actor=CI), alert("mount", 1, actor=CI)], id="low and informational, two stages"),
        pytest.param(
            [alert(name, n, actor=CI, severity=Severity.LOW) for n, name in enumerate(("exec", "admin", "secrets"))],
            id="three low stages",
        ),
        pytest.param([alert("shell", actor=CI)], id="a test marker"),
    ],
)
def test_not_worth_an_incident(alerts):
    assert correlate(alerts, analytics=DECLARED) == ()


def test_what_an_incident_tells():
    incident = one(*ATTACK)
    assert incident.alert_ids == tuple(item.id for item in ATTACK)
    assert [text for _, text in incident.timeline] == [f"admin by {CI}", f"secrets by {CI}"]
    assert incident.tactics == ("persistence", "privilege-escalation", "credential-access")
    assert incident.next_steps[0].startswith("Contain service account `build/ci`")
    assert "Respond to secrets." in incident.next_steps
    assert any(link.kind == "used by" and link.source.id == "203.0.113.7" for link in incident.links)
    assert Entity("service_account", "build/ci", "prod") in incident.entities


def test_the_id_stays_when_the_incident_grows_and_when_an_earlier_alert_comes_late():
    store = Memory()
    (first,) = store.take(ATTACK[1])
    (second,) = store.take(alert("exec", 9, actor=CI, pod="prod/web-1"))
    (third,) = store.take(ATTACK[0])
    assert first.id == second.id == third.id
    assert [first.seq, second.seq, third.seq] == [1, 2, 3]


def test_the_same_alerts_again_change_nothing():
    store = Memory()
    assert store.take(*ATTACK)
    assert store.take(*ATTACK) == []
    assert store.take(ATTACK[1]) == []


def test_a_bridge_merges_and_says_into_which():
    store = Memory()
    store.take(alert("exec", actor=CI, pod="prod/web-1"))
    store.take(alert("exec", 5, actor=BOB, pod="prod/db-1"))
    assert len(store.live) == 2
    changed = store.take(alert("admin", 9, actor=CI, user=BOB))
    (live,) = store.live
    gone = next(item for item in store.incidents.values() if item.merged_into)
    assert gone.merged_into == live.id
    assert {item.id for item in changed} == {live.id, gone.id}


def test_a_closed_incident_opens_again_for_a_new_alert_only():
    store = Memory()
    (incident,) = store.take(ATTACK[0])
    store.incidents[incident.id] = replace(incident, status="closed", seq=2)
    assert store.take(ATTACK[0]) == []
    (reopened,) = store.take(ATTACK[1])
    assert (reopened.status, reopened.seq) == ("active", 3)


def test_an_address_lets_go_when_it_turns_out_to_be_shared():
    store = Memory()
    users = [alert("exec", n, actor=f"user{n}@example.com", ip="203.0.113.7") for n in range(8)]
    for item in users[:4]:
        store.take(item)
    assert len(store.live) == 1
    for item in users[4:]:
        store.take(item)
    assert len(store.live) == 8


def test_a_repeat_that_only_lasts_longer_is_not_a_new_state():
    store = Memory()
    (incident,) = store.take(ATTACK[0])
    later = replace(ATTACK[0], count=7, last_seen=ATTACK[0].last_seen + timedelta(hours=1))
    assert store.take(later) == []
    assert store.incidents[incident.id].last_seen == later.last_seen


ACTORS = st.sampled_from([CI, EVE, BOB, "system:anonymous", "aksService", "", *(f"u{n}@example.com" for n in range(8))])
ALERTS = st.builds(
    alert,
    st.sampled_from(["exec", "admin", "secrets", "escape", "probe", "mount", "policy", "miner", "push", "shell"]),
    st.integers(0, 14 * 24).map(lambda hours: hours * 60),
    actor=ACTORS,
    ip=st.sampled_from(["", "203.0.113.7", "10.0.0.9"]),
    namespace=st.sampled_from(["", "prod", "shop"]),
    cluster=st.sampled_from(["a", "b"]),
    source=st.sampled_from(["audit", "runtime", "registry"]),
    lasts=st.sampled_from([0, 90, 1500]),
    pod=st.sampled_from(["prod/web-1", "shop/db-1", "x/y"]),
    node=st.sampled_from(["n1", "n2"]),
    image=st.sampled_from(["sha256:1", "sha256:2"]),
)


@settings(max_examples=75)
@given(st.lists(ALERTS, max_size=25), st.randoms(use_true_random=False), st.integers(1, 6))
def test_any_order_any_batches_and_repeats_give_the_same_incidents(
    alerts: list[Alert], random: random.Random, batch: int
):
    alerts = [replace(item, id=f"a{number}") for number, item in enumerate(alerts)]
    at_once = {replace(item, seq=0, status="") for item in correlate(alerts, analytics=DECLARED)}
    arrivals = [*alerts, *random.sample(alerts, len(alerts) // 3)]
    random.shuffle(arrivals)
    store = Memory()
    for start in range(0, len(arrivals), batch):
        store.take(*arrivals[start : start + batch])
    assert store.live == at_once
    assert store.take(*alerts) == []
