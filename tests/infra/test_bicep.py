"""Bicep against Azure's own type definitions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.mark.shared
def test_bicep_has_no_problem_and_everything_is_described(shared_data: Path) -> None:
    checker = shared_data.parent / "tools/bicep_check"
    done = subprocess.run(
        [sys.executable, checker, "--require-descriptions", ROOT / "infra/bicep"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert "0 problems" in done.stdout + done.stderr


def test_no_key_no_password_no_wildcard() -> None:
    for path in (ROOT / "infra/bicep").rglob("*.bicep"):
        text = path.read_text()
        assert "listKeys" not in text, path
        assert "administratorLoginPassword" not in text, path
        if "Microsoft.Storage/storageAccounts@" in text and "existing" not in text:
            assert "allowSharedKeyAccess: false" in text, path


def test_runtime_values_stay_out_of_variable_loops() -> None:
    """The compiler refuses outputs of modules in `var x = [for …]` (BCP182); the checker does not see it."""
    for path in (ROOT / "infra/bicep").rglob("*.bicep"):
        for block in path.read_text().split("\nvar ")[1:]:
            body = block.split("\n\n")[0]
            assert not ("= [for" in body.splitlines()[0] and ".outputs." in body), path


def test_azd_names_every_app_and_the_template() -> None:
    azure = yaml.safe_load((ROOT / "azure.yaml").read_text())
    assert (ROOT / azure["infra"]["path"] / f"{azure['infra']['module']}.bicep").is_file()
    assert set(azure["services"]) == {
        app["name"] for app in json.loads((ROOT / "infra/inventory.json").read_text())["apps"]
    }
    for name, service in azure["services"].items():
        assert service["remoteBuild"] is False, name
        assert service["project"] == ("dist/azure-sync" if name == "sync" else "dist/azure")
    main = (ROOT / "infra/bicep/main.bicep").read_text()
    site = (ROOT / "infra/bicep/modules/app.bicep").read_text()
    assert "'azd-env-name': name" in main
    assert "'azd-service-name': app.name" in site


def test_azd_parameters_are_inputs_of_the_template_and_read_what_the_guide_sets() -> None:
    parameters = (ROOT / "infra/bicep/main.bicepparam").read_text()
    main = (ROOT / "infra/bicep/main.bicep").read_text()
    inputs = set(re.findall(r"^param (\w+)", main, re.MULTILINE))
    given = set(re.findall(r"^param (\w+)", parameters, re.MULTILINE))
    assert given <= inputs
    needed = set(re.findall(r"^param (\w+) string$", main, re.MULTILINE)) | {"databaseAdministrator"}
    assert needed <= given
    guide = (ROOT / "docs/deploy-azure.md").read_text()
    for variable in re.findall(r"readEnvironmentVariable\('(\w+)'", parameters):
        assert variable in guide or variable in {"AZURE_ENV_NAME", "AZURE_PRINCIPAL_ID"}, variable
