"""The page and the catalogue agree."""

from __future__ import annotations

from pathlib import Path

from seawall.posture.catalogue import LISTS, controls
from seawall.posture.engine import checks
from seawall.posture.reference import page

DOCS = Path(__file__).parents[2] / "docs" / "posture.md"


def test_the_page_is_up_to_date():
    current = DOCS.read_text(encoding="utf-8")
    assert page(current) == current, "run: python -m seawall.posture.reference docs/posture.md"


def test_every_control_is_decided():
    assert len(controls()) == 336
    assert list(checks()) == list(controls())


def test_every_control_says_what_to_do():
    for control in controls().values():
        assert control.title
        assert control.remedy.endswith(".") or control.remedy.endswith("tighter.")
        assert control.grade in {"A", "S", "M"}
        assert set(control.mappings) <= set(LISTS)
        assert checks()[control.id].about, control.id
