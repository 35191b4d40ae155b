"""`seawall analytics`: the whole catalogue is listed and each analytic explained."""

from __future__ import annotations

import json

import pytest
from seawall.app.detect import load_rules
from seawall.cli.commands.analytics import COMMAND
from seawall.domain.attack import technique
from seawall.domain.errors import NotFound
from typer.testing import CliRunner

RULES = load_rules()


def run(*arguments: str):
    return CliRunner().invoke(COMMAND.app, list(arguments))


def test_the_list_has_every_analytic_with_its_state():
    listed = json.loads(run("list", "--format", "json").stdout)
    assert [item["id"] for item in listed] == [rule.id for rule in RULES]
    assert {state for item in listed for state in item["state"].values()} <= {"on", "off", "no"}
    assert "BL-0002" in run("list").stdout


def test_one_is_explained():
    shown = run("show", "bl-0002")
    assert shown.exit_code == 0
    assert "K8S_ServiceAccountRareOperation" in shown.stdout


def test_an_unknown_one_is_said():
    assert isinstance(run("show", "XX-1").exception, NotFound)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_declaration_is_complete(rule):
    assert rule.title
    assert rule.doc
    assert rule.response
    assert all(technique(id_) for id_ in rule.attack)
