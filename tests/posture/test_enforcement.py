"""Generated policies decide as the checks do: CEL by a CEL library, and by a real API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cel
import pytest
import yaml
from seawall.posture.catalogue import controls
from seawall.posture.enforcement import POD_KINDS, cloud_rows, enforceable
from seawall.posture.enforcement.azure import built_ins, initiative, read_states
from seawall.posture.enforcement.cel import VARIABLES, expressions, policies
from seawall.posture.enforcement.rego import rego, templates

from .cases import BREAKING, GOOD, NEAR_MISSES, failed_by_checks

ROWS = enforceable()
PROGRAMS = {name: [cel.compile(expression) for expression, _ in expressions(row)] for name, row in ROWS.items()}
VARIABLE_PROGRAMS = {name: cel.compile(expression) for name, expression in VARIABLES.items()}


def without_nulls(value: Any) -> Any:
    """As the API server keeps objects."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value if item is not None] if isinstance(value, list) else value


def refused_by_cel(document: dict[str, Any]) -> set[str]:
    variables: dict[str, Any] = {}
    if document["kind"] in POD_KINDS:
        for name, program in VARIABLE_PROGRAMS.items():
            variables[name] = program.execute({"object": document, "variables": variables})
    refused = set()
    for name, programs in PROGRAMS.items():
        kinds = ROWS[name].kinds or POD_KINDS
        if document["kind"] in kinds and not all(
            program.execute({"object": document, "variables": variables}) for program in programs
        ):
            refused.add(name)
    return refused


def test_every_enforceable_control_has_a_case():
    assert set(BREAKING) == set(ROWS)


@pytest.mark.parametrize("control", sorted(BREAKING))
def test_cel_refuses_what_the_check_fails(control: str):
    refused = refused_by_cel(BREAKING[control])
    assert control in refused
    assert refused == failed_by_checks(BREAKING[control])


@pytest.mark.parametrize("name", ["good", *NEAR_MISSES])
def test_cel_admits_near_misses(name: str):
    document = GOOD if name == "good" else NEAR_MISSES[name]
    assert refused_by_cel(document) == failed_by_checks(document) == set()


@pytest.mark.shared
def test_cel_agrees_with_the_checks_on_other_projects_fixtures(shared_data: Path):
    files = [
        *sorted((shared_data / "posture" / "pod-security-admission").rglob("*.yaml")),
        *sorted((shared_data / "posture" / "kyverno-policies").glob("pod-security*/*.yaml"))[::4],
        *sorted((shared_data / "posture" / "polaris").rglob("*.yaml")),
    ]
    seen = 0
    for file in files:
        for document in yaml.safe_load_all(file.read_text()):
            spec = document.get("spec") if isinstance(document, dict) and document.get("kind") in POD_KINDS else None
            if spec and (document["kind"] == "Pod" or "template" in str(spec)):
                document = without_nulls(document)
                assert refused_by_cel(document) == failed_by_checks(document), file
                seen += 1
    assert seen > 300


def test_policies_are_pairs_with_stable_names():
    documents = policies()
    assert len(documents) == 2 * len(ROWS)
    names = [item["metadata"]["name"] for item in documents]
    assert names[::2] == names[1::2]
    assert all(item["spec"]["validationActions"] == ["Warn"] for item in policies(["WL-001"], action="Warn")[1:])


def test_rego_names_each_rule_and_template():
    documents = templates()
    kinds = {item["spec"]["crd"]["spec"]["names"]["kind"] for item in documents if item["kind"] == "ConstraintTemplate"}
    assert kinds == {item["kind"] for item in documents if item["kind"] != "ConstraintTemplate"}
    program = rego(ROWS["WL-001"])
    assert program.startswith("package seawall.wl001")
    assert 'object.get(c, ["securityContext", "privileged"], null)' in program


def test_azure_reuses_built_ins():
    *own, whole = initiative()
    references = whole["properties"]["policyDefinitions"]
    assert built_ins(controls()["WL-001"]) == ("95edb821-ddaf-4404-9732-666045e056b4",)
    assert not any(item["name"] == "seawall-wl-001" for item in own)
    assert any(item["policyDefinitionId"].endswith("95edb821-ddaf-4404-9732-666045e056b4") for item in references)
    assert {item["properties"]["mode"] for item in own} <= {"Indexed", "Microsoft.Kubernetes.Data"}
    assert cloud_rows()


def test_azure_states_become_verdicts():
    answer = {
        "value": [
            {
                "policyDefinitionName": "95edb821-ddaf-4404-9732-666045e056b4",
                "resourceId": "/c",
                "complianceState": "NonCompliant",
            },
            {"policyDefinitionName": "seawall-ak-28", "resourceId": "/c", "complianceState": "Compliant"},
            {"policyDefinitionName": "other"},
            "noise",
        ]
    }
    assert read_states(answer) == [("WL-001", "/c", False), ("AK-28", "/c", True)]
