"""The reference pages are those of the declarations."""

from __future__ import annotations

from pathlib import Path

from seawall.app.detect import load_rules
from seawall.app.reference_pages import reference_pages
from seawall.domain.attack import technique

FOLDER = Path(__file__).parents[2] / "docs" / "analytics"


def test_pages_are_current():
    pages = reference_pages(load_rules())
    stored = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.md")}
    stale = sorted(name for name in pages.keys() | stored.keys() if pages.get(name) != stored.get(name))
    assert not stale, "run seawall analytics docs --output docs/analytics"


def test_catalogue_ids_techniques_and_responses():
    rules = load_rules()
    assert len({rule.id for rule in rules}) == len(rules)
    assert not [rule.id for rule in rules if not rule.response or not all(technique(item) for item in rule.attack)]
