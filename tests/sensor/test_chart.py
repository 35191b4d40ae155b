"""The sensor's chart, by the real helm."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.helm import path

CHART = Path(__file__).parents[2] / "sensor/chart"
VALUES = sorted((CHART / "ci").glob("*.yaml"))
pytestmark = pytest.mark.real("helm")


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([path(), *arguments], capture_output=True, text=True)


def rendered(*arguments: str) -> list[dict]:
    done = helm("template", "s", str(CHART), "--namespace", "seawall-system", *arguments)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def pod_of(objects):
    return next(item for item in objects if item["kind"] == "DaemonSet")["spec"]["template"]["spec"]


@pytest.mark.parametrize("values", [None, *VALUES], ids=lambda value: value.stem if value else "default")
def test_chart_is_sound_with_each_platform_s_values(values, tmp_path):
    more = ["--values", str(values)] if values else []
    done = helm("lint", "--strict", str(CHART), *more)
    assert done.returncode == 0, done.stdout
    objects = rendered(*more)
    assert {
        "DaemonSet",
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
        "PriorityClass",
        "NetworkPolicy",
        "Pod",
    } <= {item["kind"] for item in objects}
    if importlib.util.find_spec("kubernetes_validate"):
        known = [item for item in objects if item["kind"] != "PodMonitor"]
        file = tmp_path / "all.yaml"
        file.write_text(yaml.safe_dump_all(known))
        done = subprocess.run(
            [sys.executable, "-m", "kubernetes_validate", "--strict", str(file)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_defaults_are_least_privilege():
    pod = pod_of(rendered())
    container = pod["containers"][0]
    security = container["securityContext"]
    assert security["privileged"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"]["drop"] == ["ALL"]
    assert "ALL" not in security["capabilities"]["add"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts["host"]["readOnly"] is True
    assert pod["priorityClassName"] == "seawall-sensor"
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert container["resources"]["limits"]["memory"]


def test_options():
    objects = rendered("--set", "metricsPort=9400,podMonitor.enabled=true,image.digest=sha256:" + "a" * 64)
    monitor = next(item for item in objects if item["kind"] == "PodMonitor")
    assert monitor["spec"]["podMetricsEndpoints"][0]["port"] == "metrics"
    assert pod_of(objects)["containers"][0]["image"].endswith("@sha256:" + "a" * 64)
    without = rendered(
        "--set", "networkPolicy.enabled=false,priorityClass.create=false,priorityClass.name=system-node-critical"
    )
    assert not {"NetworkPolicy", "PriorityClass"} & {item["kind"] for item in without}
    assert pod_of(without)["priorityClassName"] == "system-node-critical"
    assert pod_of(rendered("--set", "privileged=true"))["containers"][0]["securityContext"]["privileged"] is True


@pytest.mark.parametrize(
    "wrong",
    [
        "resource.limits=1",
        "image.digest=latest",
        "metricsPort=70000",
        "capabilities={sys_admin}",
        "stateHostPath=relative",
    ],
)
def test_the_schema_refuses(wrong):
    assert helm("template", "s", str(CHART), "--set", wrong).returncode != 0
