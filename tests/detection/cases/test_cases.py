"""Every analytic has a case that raises it and a near miss, and readers are shown these."""

from __future__ import annotations

import json

import pytest
from seawall.app.detect import load_rules
from seawall.detection.examples import examples

from tests.detection.cases import raises
from tests.detection.cases.collect import PAIRS, document

RULES = {rule.id: rule for rule in load_rules()}


def test_every_analytic_has_both_kinds_of_case():
    """Those of the sensor: tests/detection/rules/runtime/test_every_analytic.py."""
    assert sorted(rule for rule in RULES.keys() - PAIRS.keys() if not rule.startswith("RT-")) == []
    assert sorted(PAIRS.keys() - RULES.keys()) == []


@pytest.mark.parametrize("rule", PAIRS)
def test_what_raises_it(rule):
    assert raises(RULES[rule], PAIRS[rule][0])


@pytest.mark.parametrize("rule", PAIRS)
def test_what_looks_like_it(rule):
    assert not raises(RULES[rule], PAIRS[rule][1])


def test_readers_are_shown_these_cases():
    """The sensor's analytics have their own tables, which several hands change; theirs are refreshed when written."""
    now = json.loads(document())
    stale = sorted(rule for rule in PAIRS if examples().get(rule) != now[rule])
    assert stale == [], "run python -m tests.detection.cases, then seawall analytics docs --output docs/analytics"
