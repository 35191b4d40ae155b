"""Generated policies refuse and admit, and repairs are made and undone, on a real API server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from seawall.cli.main import build
from seawall.posture.enforcement.cel import policies
from typer.testing import CliRunner

from tests.support.kube import KubeApi, running

from .cases import BREAKING, GOOD, NEAR_MISSES, failed_by_checks

pytestmark = pytest.mark.real("kube-apiserver")
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
PODS = "/api/v1/namespaces/default/pods"
REFUSED_ANYWAY = {"WL-026", "WL-027"}
"""The API server itself refuses these pods: an unmasked /proc without a user namespace, HostProcess without the host's network."""


@pytest.fixture(scope="module")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    with running(tmp_path_factory.mktemp("kube")) as api:
        yield api


@pytest.fixture(scope="module")
def enforced(kube: KubeApi) -> KubeApi:
    for document in policies():
        if "istio" in json.dumps(document["spec"]) or document["metadata"]["labels"]["seawall.io/control"] == "NW-020":
            continue
        path = (
            "validatingadmissionpolicies"
            if document["kind"].endswith("Policy")
            else "validatingadmissionpolicybindings"
        )
        answer = kube.create(f"{ADMISSION}/{path}", document)
        assert answer.status_code == 201, answer.text
    end = time.monotonic() + 30
    probe = BREAKING["WL-060"]
    while kube.create(PODS, probe, dry_run=True).status_code == 201:
        assert time.monotonic() < end, "the policies did not come into force"
        time.sleep(0.5)
    time.sleep(1)
    return kube


@pytest.mark.parametrize(
    "control", sorted(name for name, body in BREAKING.items() if body["kind"] == "Pod" and name not in REFUSED_ANYWAY)
)
def test_policy_refuses(enforced: KubeApi, control: str):
    answer = enforced.create(PODS, BREAKING[control], dry_run=True)
    if control in {"WL-037", "WL-038", "WL-033"} and answer.status_code == 201:
        pytest.skip("the API server's defaults repaired the pod before the policy saw it")
    assert answer.status_code == 422 or answer.status_code == 403, answer.text
    # The server names the first policy that refuses; a pod may break more than one.
    assert any(f"{name}:" in answer.text for name in failed_by_checks(BREAKING[control])), answer.text


@pytest.mark.parametrize("name", ["good", *NEAR_MISSES])
def test_policy_admits(enforced: KubeApi, name: str):
    document = GOOD if name == "good" else NEAR_MISSES[name]
    answer = enforced.create(PODS, document, dry_run=True)
    assert answer.status_code == 201, answer.text


def test_expressions_are_well_typed(enforced: KubeApi):
    found = enforced.client.get(f"{ADMISSION}/validatingadmissionpolicies").json()["items"]
    assert len(found) == len(policies()) // 2 - 1


def test_service_policy_refuses(enforced: KubeApi):
    answer = enforced.create("/api/v1/namespaces/default/services", BREAKING["NW-007"], dry_run=True)
    assert "NW-007:" in answer.text


def test_live_repair_is_made_recorded_and_undone(kube: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    manifest = tmp_path / "web.yaml"
    manifest.write_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: kube-public}\nspec:\n  selector: {matchLabels: {app: web}}\n"
        "  template:\n    metadata: {labels: {app: web}}\n    spec:\n      hostPID: true\n      containers:\n      - {name: c, image: 'registry.example.com/web:1'}\n"
    )
    import yaml

    deployments = "/apis/apps/v1/namespaces/kube-public/deployments"
    assert kube.create(deployments, yaml.safe_load(manifest.read_text())).status_code == 201
    monkeypatch.setenv("KUBECONFIG", str(kube.kubeconfig))
    record = tmp_path / "changes.jsonl"
    runner = CliRunner()
    refused = runner.invoke(build(), ["posture", "fix", str(manifest), "--apply", "--record", str(record)], input="n\n")
    assert refused.exit_code != 0
    assert kube.client.get(f"{deployments}/web").json()["spec"]["template"]["spec"]["hostPID"] is True
    done = runner.invoke(build(), ["posture", "fix", str(manifest), "--apply", "--yes", "--record", str(record)])
    assert done.exit_code == 0, done.output
    spec = kube.client.get(f"{deployments}/web").json()["spec"]["template"]["spec"]
    assert "hostPID" not in spec
    assert spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False
    back = runner.invoke(build(), ["posture", "undo", str(record), "--yes"])
    assert back.exit_code == 0, back.output
    spec = kube.client.get(f"{deployments}/web").json()["spec"]["template"]["spec"]
    assert spec["hostPID"] is True
    assert "securityContext" not in spec["containers"][0]
