"""checkov over Terraform, the rendered charts and the container files; what stays is in `infra/checkov.yaml` with its reason."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.support import checkov, helm

ROOT = Path(__file__).parents[2]
BASELINE: list[dict[str, Any]] = yaml.safe_load((ROOT / "infra/checkov.yaml").read_text())
CONTAINER_FILES = ("sensor/Containerfile", "functions/gcp/Containerfile", "infra/helm/Containerfile")


class Finding(NamedTuple):
    check: str
    resource: str
    name: str


def findings(folder: Path, framework: str) -> Iterator[Finding]:
    command = [checkov.path(), "-d", folder, "--framework", framework, "--quiet", "--compact", "-o", "json"]
    done = subprocess.run([*command, "--skip-download"], capture_output=True, text=True)
    result = json.loads(done.stdout)
    assert result["summary"]["parsing_errors"] == 0, done.stdout[-500:]
    assert result["summary"]["passed"] > 20, "checkov looked at nothing"
    for item in result["results"]["failed_checks"]:
        resource = item["file_path"] if framework == "dockerfile" else re.sub(r"\[.*?\]", "", item["resource"])
        yield Finding(item["check_id"], resource.removeprefix("module.seawall."), item["check_name"])


def excused(finding: Finding) -> dict[str, Any] | None:
    for entry in BASELINE:
        if re.fullmatch(entry["check"], finding.check) and any(
            fnmatch.fnmatch(finding.resource, pattern) for pattern in entry["resources"]
        ):
            return entry
    return None


def held_against_the_baseline(found: Iterable[Finding], used: list[dict[str, Any]]) -> None:
    reasons = {finding: excused(finding) for finding in set(found)}
    new = [" ".join(finding) for finding, entry in reasons.items() if entry is None]
    assert "\n".join(sorted(new)) == ""
    used.extend(entry for entry in reasons.values() if entry is not None)


@pytest.mark.timeout(900)
@pytest.mark.real("checkov")
@pytest.mark.real("helm")
def test_findings_are_fixed_or_have_a_reason(tmp_path: Path) -> None:
    used: list[dict[str, Any]] = []
    shutil.copytree(
        ROOT / "infra/terraform", tmp_path / "terraform", ignore=shutil.ignore_patterns("tests", ".terraform")
    )
    shutil.copytree(ROOT / "infra/sentinel", tmp_path / "sentinel")
    shutil.copy(ROOT / "infra/inventory.json", tmp_path)
    held_against_the_baseline(findings(tmp_path, "terraform"), used)
    charts = tmp_path / "charts"
    charts.mkdir()
    digest = "sha256:" + "0" * 64
    for name, chart, values in (
        ("seawall", "infra/helm/seawall", f"image.repository=r.example/seawall,image.digest={digest}"),
        ("sensor", "sensor/chart", "cluster=prod"),
    ):
        command = [helm.path(), "template", name, ROOT / chart, "--namespace", "seawall-system", "--set", values]
        (charts / f"{name}.yaml").write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    held_against_the_baseline(findings(charts, "kubernetes"), used)
    for file in CONTAINER_FILES:
        target = tmp_path / "containers" / Path(file).parent / "Dockerfile"
        target.parent.mkdir(parents=True)
        shutil.copy(ROOT / file, target)
    held_against_the_baseline(findings(tmp_path / "containers", "dockerfile"), used)
    assert [entry["check"] for entry in BASELINE if entry not in used and not entry.get("optional")] == []


@pytest.mark.real("checkov")
def test_a_mistake_is_found(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "infra/terraform/gcp", tmp_path / "gcp", ignore=shutil.ignore_patterns("tests", "examples"))
    path = tmp_path / "gcp/main.tf"
    text = path.read_text()
    assert 'public_access_prevention    = "enforced"' in text
    path.write_text(
        text.replace('public_access_prevention    = "enforced"', 'public_access_prevention    = "inherited"')
    )
    new = [finding for finding in findings(tmp_path, "terraform") if excused(finding) is None]
    assert [(finding.check, finding.resource) for finding in new] == [("CKV_GCP_114", "google_storage_bucket.data")]


def test_every_reason_is_a_sentence() -> None:
    for entry in BASELINE:
        assert set(entry) <= {"check", "resources", "reason", "optional"}
        assert len(entry["reason"]) > 25, entry
        assert entry["reason"].endswith("."), entry
