"""The tuning file: what it changes, what it refuses, what has expired."""

from __future__ import annotations

from datetime import date

import pytest
from seawall.detection.engine import Engine
from seawall.detection.rules.correlation.identities import exec_in_many_pods
from seawall.detection.sigma import parse_sigma
from seawall.detection.tuning import load_tuning, parse_tuning
from seawall.domain.alerts import Alert
from seawall.domain.errors import ConfigError
from seawall.domain.severity import Severity

from tests.detection.baselines.calls import call
from tests.incidents.alerts import CI, alert

TODAY = date(2026, 11, 23)
WHY = {"reason": "known", "expires": date(2027, 1, 1)}
(GET,) = parse_sigma("""
title: Any read
id: 11111111-1111-4111-8111-111111111111
logsource: {product: kubernetes, service: audit}
detection: {s: {verb: get}, condition: s}
level: high
""")


@pytest.mark.parametrize(
    ("criteria", "covered"),
    [
        ({"analytics": ["exec"], "namespace": "shop"}, True),
        ({"analytics": ["admin"], "namespace": "shop"}, False),
        ({"namespace": "shop"}, True),
        ({"namespace": "shopx"}, False),
        ({"namespace": "sh*"}, True),
        ({"cluster": "prod"}, True),
        ({"cluster": "prod", "namespace": "other"}, False),
        ({"identity": CI}, True),
        ({"identity": "system:serviceaccount:build:c"}, False),
        ({"image": "registry.example.com/shop/*"}, True),
        ({"image": "registry.example.com/other/*"}, False),
        ({"source": "203.0.113.0/24"}, True),
        ({"source": "203.0.114.0/24"}, False),
        ({"label": {"app": "web"}}, True),
        ({"label": {"app": "db"}}, False),
    ],
)
def test_suppressions(criteria, covered):
    tuning = parse_tuning({"suppressions": [criteria | WHY]}, TODAY)
    found: Alert = alert("exec", actor=CI, ip="203.0.113.7", namespace="shop", image="registry.example.com/shop/web:1")
    found.context["labels"] = {"app": "web", "tier": "front"}
    assert (tuning.raised([found]) == []) is covered
    assert bool(tuning.suppressed) is covered


def test_an_analytic_off_or_with_another_severity():
    event = call("get pods")
    off = parse_tuning({"analytics": {GET.id: {"enabled": False} | WHY}}, TODAY)
    low = parse_tuning({"analytics": {GET.id: {"severity": "low"} | WHY}}, TODAY)
    assert not Engine(off.tuned([GET])).process(event)
    (found,) = Engine(low.tuned([GET])).process(event)
    assert found.severity is Severity.LOW


def test_a_threshold():
    events = [call("create pods/exec", name=f"web-{number}") for number in range(4)]
    tuning = parse_tuning({"analytics": {"CO-0005": {"threshold": 4} | WHY}}, TODAY)
    assert Engine(tuning.tuned([exec_in_many_pods])).run(events)
    assert not Engine([exec_in_many_pods]).run(events)


def test_what_has_expired_is_said_and_not_applied():
    old = {"reason": "known", "expires": date(2026, 11, 22)}
    tuning = parse_tuning(
        {"analytics": {GET.id: {"enabled": False} | old}, "suppressions": [{"cluster": "a"} | old]}, TODAY
    )
    assert len(tuning.expired) == 2
    assert Engine(tuning.tuned([GET])).process(call("get pods"))
    assert tuning.raised([alert("exec", cluster="a")])


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"suppressions": [{"cluster": "a", "reason": "known"}]}, "expires"),
        ({"suppressions": [{"cluster": "a", "expires": date(2027, 1, 1)}]}, "reason"),
        ({"suppressions": [{"analytics": ["AU-0001"]} | WHY]}, "at least one of"),
        ({"suppressions": [{"namespace": "*"} | WHY]}, "at least one of"),
        ({"suppressions": [{"source": "10.0.0.300"} | WHY]}, "source"),
        ({"suppressions": [{"clutser": "a"} | WHY]}, "clutser"),
        ({"analytics": {"AU-0001": WHY}}, "say enabled"),
        ({"analytics": {"AU-0001": {"severity": "huge"} | WHY}}, "severity"),
        (["a"], "tuning"),
    ],
)
def test_mistakes_are_refused(document, says):
    with pytest.raises(ConfigError, match=says):
        parse_tuning(document, TODAY)


def test_a_name_that_is_no_analytic_is_refused():
    with pytest.raises(ConfigError, match="XX-1"):
        parse_tuning({"analytics": {"XX-1": {"enabled": False} | WHY}}, TODAY).tuned([GET])


def test_files(tmp_path):
    file = tmp_path / "tuning.yaml"
    file.write_text("suppressions: [")
    with pytest.raises(ConfigError, match="not YAML"):
        load_tuning(file, TODAY)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_tuning(tmp_path / "none", TODAY)
    file.write_text("")
    assert load_tuning(file, TODAY).suppressions == ()
