"""Sigma rules for Kubernetes audit: every modifier and shape that such rules use, on events and near misses."""

from __future__ import annotations

from pathlib import Path

import pytest
import seawall.detection
from seawall.detection.engine import Engine
from seawall.detection.sigma import load_sigma, parse_sigma
from seawall.domain.errors import ConfigError
from seawall.domain.severity import Severity

from tests.detection.baselines.calls import APP, EVE, call

OURS = Path(seawall.detection.__file__).parent / "sigma_rules"


def rule(detection: str, logsource: str = "{product: kubernetes, service: audit}") -> str:
    return f"""
title: A rule
id: 11111111-1111-4111-8111-111111111111
status: test
logsource: {logsource}
detection: {detection}
level: high
tags: [attack.privilege-escalation, attack.t1611]
"""


POD = {"spec": {"hostNetwork": True, "volumes": [{"hostPath": {"path": "/etc"}}], "containers": [
    {"name": "a", "securityContext": {"privileged": True, "capabilities": {"add": ["SYS_ADMIN"]}}}]}}  # fmt: skip


@pytest.mark.parametrize(
    ("detection", "event", "fires"),
    [
        ("{s: {verb: create, objectRef.resource: pods}, condition: s}", call("create pods"), True),
        ("{s: {verb: create, objectRef.resource: pods}, condition: s}", call("create podsx"), False),
        ("{s: {verb: [create, patch]}, condition: s}", call("patch pods"), True),
        ("{s: {verb: [create, patch]}, condition: s}", call("get pods"), False),
        ("{s: {objectRef.resource: PODS}, condition: s}", call("create pods"), True),
        ("{s: {objectRef.resource|cased: PODS}, condition: s}", call("create pods"), False),
        ("{s: {verb: create, capabilities: '*'}, condition: s}", call("create pods", body=POD), True),
        ("{s: {verb: create, capabilities: '*'}, condition: s}", call("create pods", body={"spec": {}}), False),
        ("{s: {hostPath: '*'}, condition: s}", call("create pods", body=POD), True),
        ("{s: {hostPath.path|startswith: /etc}, condition: s}", call("create pods", body=POD), True),
        ("{s: {namespace: kube-system}, condition: s}", call("create pods", namespace="kube-system"), True),
        ("{s: {namespace: kube-system}, condition: s}", call("create pods", namespace="kube-systemx"), False),
        ("{s: {objectRef.subresource: exec}, condition: s}", call("create pods/exec"), True),
        ("{s: {user.username|startswith: 'system:serviceaccount:'}, condition: s}", call("get pods"), True),
        ("{s: {user.username|endswith: ':web'}, condition: s}", call("get pods", actor=EVE), False),
        ("{s: {user.username|contains|all: [service, shop]}, condition: s}", call("get pods", actor=APP), True),
        ("{s: {user.username|contains|all: [service, other]}, condition: s}", call("get pods", actor=APP), False),
        ("{s: {responseStatus.code|gte: 400}, condition: s}", call("get pods", code=403), True),
        ("{s: {responseStatus.code|gte: 400}, condition: s}", call("get pods", code=200), False),
        ("{s: {responseStatus.code: 403}, condition: s}", call("get pods", code=403), True),
        ("{s: {sourceIPs|cidr: 10.0.0.0/8}, condition: s}", call("get pods"), True),
        ("{s: {sourceIPs|cidr: 192.168.0.0/16}, condition: s}", call("get pods"), False),
        ("{s: {userAgent|re: '^web/[0-9.]+'}, condition: s}", call("get pods"), True),
        ("{s: {userAgent|re|i: '^WEB'}, condition: s}", call("get pods"), True),
        ("{s: {requestObject.spec.hostNetwork: true}, condition: s}", call("create pods", body=POD), True),
        ("{s: {requestObject.spec.hostPID: true}, condition: s}", call("create pods", body=POD), False),
        ("{s: {impersonatedUser.username: null}, condition: s}", call("get pods"), True),
        ("{s: {impersonatedUser.username: null}, condition: s}", call("get pods", acting_as="bob"), False),
        ("{s: {impersonatedUser.username|exists: true}, condition: s}", call("get pods", acting_as="bob"), True),
        ("{s: {verb: 'p?tch'}, condition: s}", call("patch pods"), True),
        ("{s: [{verb: get}, {verb: list}], condition: s}", call("list pods"), True),
        ("{keywords: [SYS_ADMIN], condition: keywords}", call("create pods", body=POD), True),
        ("{keywords: [SYS_PTRACE], condition: keywords}", call("create pods", body=POD), False),
        ("{a1: {verb: get}, a2: {objectRef.resource: pods}, condition: all of a*}", call("get pods"), True),
        ("{a1: {verb: get}, a2: {objectRef.resource: pods}, condition: all of them}", call("get jobs"), False),
        ("{a1: {verb: get}, a2: {verb: list}, condition: 1 of a*}", call("list pods"), True),
        ("{s: {verb: get}, f: {user.username: 'eve*'}, condition: s and not f}", call("get pods", actor=EVE), False),
        ("{s: {verb: get}, condition: [s, not s]}", call("list pods"), True),
    ],
)  # fmt: skip
def test_rules(detection, event, fires):
    (parsed,) = parse_sigma(rule(detection))
    assert bool(Engine([parsed]).process(event)) is fires


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (rule("{s: {a: b}, condition: s}", "{product: windows}"), "the rule is for windows"),
        (rule("{s: {a: b}, condition: t}"), "t"),
        ("- just\n- a list", "rule"),
        ("title: x", "rule"),
        (rule("{s: {a|re: '(?=x)'}, condition: s}"), "invalid"),
        (rule("{s: {a|expand: '%x%'}, condition: s}"), "placeholder"),
    ],
)
def test_what_cannot_run_is_refused_with_its_reason(text, says):
    with pytest.raises(ConfigError, match=says):
        parse_sigma(text, origin="rule.yml")


def test_metadata_is_the_rules_own():
    (parsed,) = parse_sigma(rule("{s: {verb: get}, condition: s}"))
    assert (parsed.severity, parsed.attack, parsed.verbs) == (Severity.HIGH, ("T1611",), ("get",))


@pytest.mark.parametrize(
    ("event", "fires"),
    [
        (call("get secrets", agent="curl/8.1"), 1),
        (call("get secrets", agent="kubectl/v1.31"), 0),
        (call("create pods", body=POD), 1),
        (call("create pods", body=POD, namespace="kube-system"), 0),
        (call("get pods", ip="203.0.113.9", code=403), 1),
        (call("get pods", ip="10.1.2.3", code=403), 0),
    ],
)
def test_the_rules_that_the_package_carries(event, fires):
    assert len(Engine(load_sigma([OURS])).process(event)) == fires


def test_a_missing_folder_is_said():
    with pytest.raises(ConfigError, match="no Sigma rules"):
        load_sigma([Path("nowhere")])
