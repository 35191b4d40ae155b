"""A deployment's own rules, identities and what its logs can show: on the command line, over stored logs."""

from __future__ import annotations

import json
from datetime import date

import pytest
import zstandard
from seawall.app.analytics import assembled
from seawall.app.coverage import coverage
from seawall.app.detect import detect, load_rules
from seawall.cli.main import build
from seawall.detection.arrivals import facts_of
from seawall.detection.sources.recognise import decode
from seawall.domain.errors import ConfigError
from seawall.domain.severity import Severity
from seawall.ports.baselines import Arrival
from typer.testing import CliRunner

from tests.detection.events import audit, pod

RULE = """
from seawall.detection.declaration import detection
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity


@detection(id="ACME-0001", title="Shop's database secret read", severity=Severity.HIGH, attack=("T1552.007",), on=AuditEvent,
           verbs=("get",), resources=("secrets",), response="Ask.")
def db_secret(event):
    return Match("read") if event.name == "db" else None
"""
SIGMA = """
title: Interpreter by its whole path
id: 11111111-2222-4333-8444-555555555555
status: experimental
logsource: {product: kubernetes, service: audit}
detection:
  selection_uri:
    requestURI|contains: ['%2Fbin%2Fbash', '/bin/bash']
  selection_re:
    requestURI|re: 'command=(python|perl)[0-9]?'
  odd:
    file_path: ['*gcc*', '*-make-*']
  filter:
    user.username|startswith: 'system:node:'
  condition: (1 of selection_* or odd) and not filter
level: medium
"""
MIRROR = "system:serviceaccount:tools:secret-mirror"
OWN = f"""
distribution: acme
versions: any
identities:
  - users: [{MIRROR}]
    may: [list-secrets]
    why: copies the pull secret
"""


def exec_(command):
    return audit(
        "create", "pods/exec", ns="shop", uri=f"/api/v1/namespaces/shop/pods/x/exec?command={command}", code=101
    )


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    events = [
        audit("get", "secrets", ns="shop", name="db"),
        audit("get", "secrets", ns="shop", name="cache"),
        exec_("%2Fbin%2Fbash"),
    ]
    lines = "\n".join(map(json.dumps, events)).encode()
    (folder / "a.log.zst").write_bytes(
        zstandard.compress(lines[: len(lines) // 2]) + zstandard.compress(lines[len(lines) // 2 :])
    )
    (folder / "b.log").write_text(json.dumps(exec_("perl")))
    return folder


def run(*arguments):
    result = CliRunner().invoke(build(), [str(item) for item in arguments])
    return result.exit_code, result.output


def test_rules_are_tried_on_stored_logs(logs, tmp_path, monkeypatch):
    (tmp_path / "acme_own_rules.py").write_text(RULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    sigma = tmp_path / "rule.yml"
    sigma.write_text(SIGMA)
    code, text = run(
        "analytics", "dry-run", logs, "--rules", sigma, "--python", "acme_own_rules:db_secret", "-f", "json"
    )
    assert code == 0
    found = json.loads(text)
    assert found["events"] == 4
    assert {rule["title"]: rule["events"] for rule in found["rules"]} == {
        "Interpreter by its whole path": 2,
        "Shop's database secret read": 1,
    }


def test_our_analytics_and_a_tuning_file_are_tried_too(logs, tmp_path):
    tuning = tmp_path / "tuning.yaml"
    tuning.write_text(
        "analytics:\n  AU-0201: {enabled: false, reason: tried, expires: 2099-01-01}\n"
        "suppressions:\n  - {analytics: [AU-0305], namespace: shop, reason: tried, expires: 2099-01-01}\n"
    )
    counts = []
    for more in ([], ["--tuning", tuning]):
        code, text = run("analytics", "dry-run", logs, "--built-in", "-f", "json", *more)
        assert code == 0
        counts.append({rule["id"]: rule["events"] for rule in json.loads(text)["rules"]})
    assert (counts[0]["AU-0201"], counts[0]["AU-0305"]) == (2, 2)
    assert "AU-0201" not in counts[1]
    assert counts[1]["AU-0305"] == 0


@pytest.mark.parametrize("arguments", [[], ["--python", "no_such_package:RULE"], ["--python", "json:dumps"]])
def test_no_rules_no_counts(logs, arguments):
    assert run("analytics", "dry-run", logs, *arguments)[0] != 0


def test_own_identities_hold_only_what_they_are_given():
    knowledge = assembled(today=date(2026, 11, 2), identities=[("acme.yaml", OWN)], python_rules=False).knowledge
    asked = [
        audit("list", "secrets", name="", user=MIRROR, uri="/api/v1/secrets"),
        audit("list", "secrets", name="", user=MIRROR + "2", uri="/api/v1/secrets"),
        audit(resource="clusterrolebindings", user=MIRROR, body={"roleRef": {"name": "cluster-admin"}, "subjects": [{"kind": "User", "name": "x"}]}),
    ]  # fmt: skip
    found = [
        {
            a.analytic
            for a in detect(decode(json.dumps(event).encode()).events, knowledge=knowledge)
            if a.severity >= Severity.MEDIUM
        }
        for event in asked
    ]
    assert "AU-0301" not in found[0]
    assert "AU-0301" in found[1]
    assert "AU-0004" in found[2]


@pytest.mark.parametrize(
    "text",
    ["users: [", "- a", "distribution: a\nversions: b\nidentities: [{may: [x]}]", OWN.replace("secret-mirror", "*")],
)
def test_a_wrong_list_of_identities_is_refused(text):
    with pytest.raises(ConfigError):
        assembled(today=date(2026, 11, 2), identities=[("acme.yaml", text)], python_rules=False)


def blind(*events):
    facts = facts_of([event for item in events for event in decode(json.dumps(item).encode()).events])
    (entry,) = coverage([Arrival(c, f, ts) for (c, f), ts in facts.items()], load_rules(), max(facts.values()))
    return entry["blind"]


def test_coverage_knows_which_bodies_a_policy_leaves_out():
    roles = audit(resource="clusterroles", body={"rules": []})
    found = blind(audit(ns="shop"), roles)
    assert found["AU-0101"] == ["bodies of pods"]
    assert "AU-0501" not in found
    assert "AU-0101" not in blind(audit(ns="shop", body=pod()), roles)
    assert blind(audit("list", "pods", ns="shop"))["AU-0101"] == ["request bodies"]


def test_coverage_of_files(logs):
    code, text = run("analytics", "coverage", logs)
    assert code == 0
    assert "reads of secrets" in json.loads(text)[0]["arrives"]
    assert run("analytics", "coverage", logs / "none")[0] != 0
