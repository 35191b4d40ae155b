"""Generated Rego decides as the checks do, by an engine that runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import regopy
import yaml
from seawall.posture.enforcement import POD_KINDS, enforceable
from seawall.posture.enforcement.rego import templates

from .cases import BREAKING, GOOD, NEAR_MISSES, failed_by_checks

ROWS = enforceable()
BY_CONTROL = {
    document["metadata"]["labels"]["seawall.io/control"]: template["spec"]["targets"][0]["rego"]
    for template, document in zip(templates()[::2], templates()[1::2], strict=True)
    if "rego" in template["spec"]["targets"][0]
}
"""Programs of the controls that Gatekeeper gets in Rego; the others are CEL there too."""


Engines = dict[str, regopy.Interpreter]


@pytest.fixture(scope="module")
def engines() -> Engines:
    found: Engines = {}
    for control, program in BY_CONTROL.items():
        found[control] = regopy.Interpreter()
        found[control].add_module(f"{control}.rego", program)
    return found


def refused_by_rego(engines: Engines, document: dict[str, Any]) -> set[str]:
    refused = set()
    for control, engine in engines.items():
        if document["kind"] in (ROWS[control].kinds or POD_KINDS):
            engine.set_input({"review": {"object": document}})
            answer = str(engine.query(f"data.seawall.{control.lower().replace('-', '')}.violation"))
            assert answer.startswith('{"expressions":[{'), answer
            if answer != '{"expressions":[{}]}':
                refused.add(control)
    return refused


def failed(document: dict[str, Any]) -> set[str]:
    return failed_by_checks(document) & set(BY_CONTROL)


def test_there_are_programs() -> None:
    assert len(BY_CONTROL) > 20


@pytest.mark.parametrize("control", sorted(BREAKING))
def test_rego_refuses_what_the_check_fails(engines: Engines, control: str) -> None:
    assert refused_by_rego(engines, BREAKING[control]) == failed(BREAKING[control])


@pytest.mark.parametrize("name", ["good", *NEAR_MISSES])
def test_rego_admits_near_misses(engines: Engines, name: str) -> None:
    assert refused_by_rego(engines, GOOD if name == "good" else NEAR_MISSES[name]) == set()


@pytest.mark.shared
def test_rego_agrees_with_the_checks_on_other_projects_fixtures(engines: Engines, shared_data: Path) -> None:
    seen = 0
    for file in sorted((shared_data / "posture" / "pod-security-admission").rglob("*.yaml"))[::5]:
        for document in yaml.safe_load_all(file.read_text()):
            if isinstance(document, dict) and document.get("kind") in POD_KINDS:
                assert refused_by_rego(engines, document) == failed(document), file
                seen += 1
    assert seen > 30
