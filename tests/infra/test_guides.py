"""The deployment guides: what they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLOUDS = ("aws", "azure", "gcp")


@pytest.mark.parametrize("cloud", CLOUDS)
def test_outputs_that_a_guide_asks_for_are_outputs_of_its_example(cloud: str) -> None:
    asked = set(re.findall(r"terraform output (?:-raw|-json) (\w+)", _guide(cloud)))
    example = (ROOT / f"infra/terraform/{cloud}/examples/basic/main.tf").read_text()
    assert asked <= set(re.findall(r'^output "(\w+)"', example, re.MULTILINE))
    assert asked or cloud == "azure"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_files_and_targets_that_a_guide_names_are_there(cloud: str) -> None:
    guide = _guide(cloud)
    files = set(re.findall(r"(?:\.\./)?\b((?:infra|functions|docs)/[\w./-]*\w)", guide))
    assert files
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []
    rules = re.findall(r"^([a-z%-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets = {name for line in re.findall(r"make ([a-z -]+)", guide) for name in line.split() if "-" in name}
    assert targets
    assert [name for name in targets if not any(re.fullmatch(rule.replace("%", ".+"), name) for rule in rules)] == []


def test_values_that_the_azure_guide_takes_from_azd_are_outputs_of_the_template() -> None:
    template = (ROOT / "infra/bicep/main.bicep").read_text()
    outputs = set(re.findall(r"^output (\w+) ", template, re.MULTILINE))
    patterns = re.findall(r"azd env get-values \| grep (?:-E )?'\^(.+?)='", _guide("azure"))
    taken = {name for pattern in patterns for name in pattern.strip("()").split("|")}
    assert taken
    assert taken <= outputs
    assert set(re.findall(r"\$(\w*[a-z][A-Z]\w*)", _guide("azure"))) <= taken


def _guide(cloud: str) -> str:
    return (ROOT / f"docs/deploy-{cloud}.md").read_text()
