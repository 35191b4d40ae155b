"""The charts by helm itself: lint, values schema, strict manifests, and our own posture checks on what they render."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import latest_version, validate

from tests.support.helm import path

ROOT = Path(__file__).parents[2]
CHART = ROOT / "infra/helm/seawall"
HELM = path()
DIGEST = "sha256:" + "0" * 64
IMAGE = f"image.repository=r.example/seawall,image.digest={DIGEST}"
CHARTS = {"seawall": (CHART, IMAGE), "sensor": (ROOT / "sensor/chart", "cluster=prod")}
VARIANTS = {
    "default": "",
    "tls": "tlsSecretName=seawall-tls",
    "external store": "externalStore=true,persistence.storageClass=fast,service.type=LoadBalancer",
    "open": "networkPolicy.enabled=false,podDisruptionBudget.enabled=false",
}


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HELM, *arguments], capture_output=True, text=True)


def rendered(chart: Path, values: str) -> str:
    done = helm("template", "x", str(chart), "--namespace", "seawall-system", "--set", values)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(text: str) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all(text) if item]


@pytest.mark.real("helm")
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_what_kubernetes_knows(variant: str) -> None:
    values = ",".join(part for part in (IMAGE, VARIANTS[variant]) if part)
    assert helm("lint", "--strict", str(CHART), "--set", values).returncode == 0
    found = objects(rendered(CHART, values))
    for item in found:
        validate(item, latest_version(), strict=True)
        assert item["metadata"]["namespace"] == "seawall-system"
    kinds = {item["kind"] for item in found}
    assert {"Deployment", "Service", "PersistentVolumeClaim", "ServiceAccount", "ConfigMap", "Pod"} <= kinds
    assert ({"NetworkPolicy", "PodDisruptionBudget"} <= kinds) is (variant != "open")


@pytest.mark.real("helm")
def test_tls_reaches_listener_and_probes() -> None:
    found = {item["kind"]: item for item in objects(rendered(CHART, f"{IMAGE},tlsSecretName=seawall-tls"))}
    container = found["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert "--tls-cert=/etc/seawall-tls/tls.crt" in container["args"]
    assert {container[probe]["httpGet"]["scheme"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        "HTTPS"
    }


@pytest.mark.real("helm")
def test_sensors_and_webhooks_may_call_from_the_nodes_addresses() -> None:
    """Pods of the host's network and the control plane are no pods to a NetworkPolicy."""
    values = "networkPolicy.ingressBlocks={10.0.0.0/16,fd00::/64},networkPolicy.egressPorts={443,5000}"
    policy = next(
        item["spec"]
        for item in objects(rendered(CHART, f"{IMAGE},{values}"))
        if item["kind"] == "NetworkPolicy" and not item["metadata"]["name"].endswith("-health")
    )
    blocks = [item["ipBlock"]["cidr"] for item in policy["ingress"][0]["from"] if "ipBlock" in item]
    assert blocks == ["10.0.0.0/16", "fd00::/64"]
    assert [item["port"] for item in policy["egress"][0]["ports"]] == [53, 53, 443, 5000]


@pytest.mark.real("helm")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param("cluster=prod", "image", id="no image"),
        pytest.param("image.repository=r,persistance.size=1Gi", "persistance", id="misspelt"),
        pytest.param("image.repository=r,image.digest=latest", "digest", id="digest"),
        pytest.param("image.repository=r,persistence.size=lots", "size", id="size"),
        pytest.param("image.repository=r,service.port=0", "port", id="port"),
        pytest.param("image.repository=r,service.type=Public", "type", id="service"),
        pytest.param("image.repository=r,networkPolicy.ingressBlocks={everybody}", "ingressBlocks", id="network"),
    ],
)
def test_wrong_values_are_refused_by_name(values: str, message: str) -> None:
    done = helm("template", "x", str(CHART), "--set", values)
    assert done.returncode != 0
    assert message in done.stderr


def test_every_value_is_in_the_schema_and_the_reverse() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) - {"global"} == set(values)
    for name, part in schema["properties"].items():
        if "properties" in part and name != "global":
            assert set(part["properties"]) == set(values[name]), name


@pytest.mark.real("helm")
@pytest.mark.parametrize("name", CHARTS)
def test_our_own_posture_checks_pass_or_have_a_reason(name: str, tmp_path: Path) -> None:
    chart, values = CHARTS[name]
    (tmp_path / "it.yaml").write_text(rendered(chart, values))
    accepted = chart / "accepted.yaml"
    command = [sys.executable, "-m", "seawall.cli.main", "posture", "assess", tmp_path / "it.yaml"]
    done = subprocess.run(
        [*command, "--exceptions", accepted, "--format", "json"], capture_output=True, text=True, cwd=tmp_path
    )
    report = json.loads(done.stdout)
    failed = [
        (item["control"], item["object"]["kind"], item["path"])
        for item in report["results"]
        if item["status"] in ("fail", "unknown") and not item.get("excepted")
    ]
    assert failed == []
    assert report["partial"] == []
    assert report["summary"]["pass"] > 100


def test_the_image_is_built_from_files_that_are_there() -> None:
    lines = (ROOT / "infra/helm/Containerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    for source in (item for items in copied for item in items):
        assert (ROOT / source).exists(), source
    assert any(line.startswith("USER 65532") for line in lines)


def test_flux_release_installs_the_sensors_chart_with_values_that_it_has() -> None:
    documents = list(yaml.safe_load_all((ROOT / "infra/flux/sensor/release.yaml").read_text()))
    release = next(item for item in documents if item["kind"] == "HelmRelease")
    assert release["spec"]["chart"]["spec"]["chart"] == "sensor/chart"
    known = set(yaml.safe_load((ROOT / "sensor/chart/values.yaml").read_text()))
    assert set(release["spec"]["values"]) <= known


@pytest.mark.real("helm")
def test_flux_variables_are_those_that_the_policy_gives_and_the_sensor_reads(tmp_path: Path) -> None:
    text = (ROOT / "infra/flux/sensor/release.yaml").read_text()
    used = set(re.findall(r"\${(\w+)}", text))
    policy = (ROOT / "infra/bicep/modules/policy.bicep").read_text()
    main = (ROOT / "infra/bicep/main.bicep").read_text()
    given = set(re.findall(r"\\'(\w+)\\', (?:parameters|\$)", policy))
    given |= set(re.findall(r"^ +(event_hub\w*|server_url|sensor_image):", main, re.MULTILINE))
    assert used == given - {"cluster_id"}
    for name in used:
        text = text.replace(f"${{{name}}}", f"https://x-{name}" if name == "server_url" else f"x-{name}")
    release = next(item for item in yaml.safe_load_all(text) if item["kind"] == "HelmRelease")
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(release["spec"]["values"]))
    done = helm("template", "x", str(ROOT / "sensor/chart"), "--values", str(tmp_path / "values.yaml"))
    assert done.returncode == 0, done.stderr
    sensor = next(item for item in objects(done.stdout) if item["kind"] == "DaemonSet")
    container = sensor["spec"]["template"]["spec"]["containers"][0]
    assert container["image"].startswith("x-sensor_image:")
    # Without a server a sensor has no certificate and delivers to no hub, either.
    assert {
        "--server=https://x-server_url",
        "--event-hub=x-event_hub",
        "--event-hub-namespace=x-event_hubs_namespace",
    } <= set(container["args"])
    assert {"name": "AZURE_CLIENT_ID", "value": "x-sensor_client_id"} in container["env"]


def test_both_policies_say_the_same() -> None:
    """Bicep and Terraform write the rule in their own syntax: the same words and the same expressions."""
    bicep = (ROOT / "infra/bicep/modules/policy.bicep").read_text().replace("\\'", "@")
    terraform = (ROOT / "infra/terraform/azure/policy.tf").read_text()
    one = {text.replace("@", "'") for text in re.findall(r"'([^'\n]*)'", bicep[bicep.index("policyRule") :])}
    two = set(
        re.findall(
            r'"([^"\n]*)"',
            terraform[terraform.index("policy_rule") : terraform.index("azurerm_subscription_policy_assignment")],
        )
    )
    expressions = {text.replace("kind.", "each.value.") for text in one if text.startswith("[")}
    assert expressions == {text for text in two | {"[parameters('effect')]"} if text.startswith("[")} | {
        re.search(r'flux_id += "(.+)"', terraform)[1]  # type: ignore[index]
    }
    assert len(expressions) >= 9
