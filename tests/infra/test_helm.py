"""The chart of the all-in-one server, by helm itself where it is there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.helm import path

CHART = Path(__file__).parents[2] / "infra/helm/seawall"
HELM = path()


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HELM, *arguments], capture_output=True, text=True)


@pytest.mark.real("helm")
def test_chart_is_restricted_and_refuses_what_the_schema_does_not_know() -> None:
    assert helm("lint", str(CHART), "--set", "image.repository=r.example/seawall").returncode == 0
    done = helm("template", "x", str(CHART), "--set", "image.repository=r.example/seawall")
    objects = {item["kind"]: item for item in yaml.safe_load_all(done.stdout) if item}
    assert {"Deployment", "Service", "NetworkPolicy", "PersistentVolumeClaim", "ServiceAccount", "Pod"} <= set(objects)
    container = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert helm("template", "x", str(CHART)).returncode != 0
    assert helm("template", "x", str(CHART), "--set", "image.repository=r,persistance.size=1Gi").returncode != 0
