"""The sensor's chart, by the real helm."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from seawall_sensor.cli import app
from seawall_sensor.policy import read_policies

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


DELIVERS = ("server.url=https://seawall.example:8440,server.caConfigMap.name=seawall-ca,server.proxy=http://proxy:3128,"
            "cluster=prod,eventHub.name=sensors,eventHub.namespace=hub.servicebus.windows.net,eventHub.webSockets=true,"
            "eventHub.credential=certificate,eventHub.certificateSecret.name=hub,pods.source=kubelet,pods.kubeletVerify=false,"
            "policy.policies[0].name=shop,policy.policies[0].select.namespaces={shop},policy.policies[0].drift.action=audit")  # fmt: skip


@pytest.mark.parametrize("values", ["cluster=x", DELIVERS, "server.url=https://s.example", "pods.source=none"])
def test_the_sensor_takes_what_the_chart_gives(values, tmp_path):
    """Options by the real command line, the policy by its real reader, manifests by the schema of Kubernetes."""
    objects = rendered("--set", values)
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(objects))
    done = subprocess.run(
        [sys.executable, "-m", "kubernetes_validate", "--strict", str(tmp_path / "all.yaml")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    container = pod_of(objects)["containers"][0]
    command, *options = container["args"]
    command_line = typer.main.get_command(app).commands[command]
    with command_line.make_context(command, list(options)) as context:
        given = context.params
    mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
    for name in ("enrolment_token_file", "ca_file", "event_hub_certificate", "policy"):
        assert given[name] is None or any(str(given[name]).startswith(f"{path}/") for path in mounted), name
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        each["name"] for each in pod_of(objects)["volumes"]
    }
    if values == DELIVERS:
        assert given["kubelet"] == "$(NODE_IP)"
        assert given["kubelet_unverified"]
        assert given["event_hub_websockets"]
        policy = next(item for item in objects if item["kind"] == "ConfigMap")["data"]["policy.yaml"]
        (tmp_path / "policy.yaml").write_text(policy)
        assert read_policies(tmp_path / "policy.yaml").policies[0].name == "shop"


def test_no_other_pod_is_taken_for_one_of_the_daemonset():
    """A DaemonSet takes every pod with its labels for its own, and ends all but one on a node."""
    objects = rendered(
        "--set", "cluster=x,inventory.enabled=true,inventory.server=https://s.example,inventory.secretName=doors"
    )
    daemons = next(item for item in objects if item["kind"] == "DaemonSet")
    wanted = daemons["spec"]["selector"]["matchLabels"].items()
    job = next(item for item in objects if item["kind"] == "CronJob")["spec"]["jobTemplate"]["spec"]["template"]
    for pod in (next(item for item in objects if item["kind"] == "Pod"), job):
        assert not wanted <= pod["metadata"]["labels"].items()


@pytest.mark.parametrize("values", VALUES, ids=lambda value: value.stem)
def test_the_check_runs_where_and_as_the_sensor_runs(values):
    objects = rendered("--values", str(values), "--set", "imagePullSecrets[0].name=pull")
    sensor, check = pod_of(objects), next(item for item in objects if item["kind"] == "Pod")["spec"]
    for name in ("serviceAccountName", "tolerations", "nodeSelector", "affinity", "imagePullSecrets"):
        assert check[name] == sensor[name], name
    assert check["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert check["containers"][0]["securityContext"] == sensor["containers"][0]["securityContext"]


def test_no_pod_waits_for_a_node_that_is_none():
    terms = pod_of(rendered())["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    out = {item["key"]: item["values"] for item in terms["nodeSelectorTerms"][0]["matchExpressions"]}
    assert out == {"type": ["virtual-kubelet"], "eks.amazonaws.com/compute-type": ["fargate"]}


@pytest.mark.parametrize("values", [None, *VALUES], ids=lambda value: value.stem if value else "default")
def test_the_sensor_sheds_load_before_the_kernel_ends_it(values):
    container = pod_of(rendered(*(["--values", str(values)] if values else [])))["containers"][0]
    ceiling = next(int(item.partition("=")[2]) for item in container["args"] if item.startswith("--memory-mb="))
    assert ceiling < int(container["resources"]["limits"]["memory"].removesuffix("Mi"))


@pytest.mark.parametrize("limit", ["150Mi", "200Mi", "1Gi"])
def test_a_ceiling_above_the_limit_is_refused_and_says_which(limit):
    done = helm("template", "s", str(CHART), "--set", f"resources.limits.memory={limit},limits.memoryMegabytes=200")
    assert (done.returncode == 0) is (limit == "1Gi")
    if done.returncode:
        assert f"limits.memoryMegabytes (200) must be below resources.limits.memory ({limit})" in done.stderr


def test_a_federated_token_is_asked_for():
    hub = "server.url=https://s.example,eventHub.name=sensor,eventHub.namespace=n.servicebus.windows.net"
    objects = rendered("--set", f"{hub},eventHub.credential=workload,eventHub.clientId=abc,pods.source=none")
    template = next(item for item in objects if item["kind"] == "DaemonSet")["spec"]["template"]
    assert template["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    account = next(item for item in objects if item["kind"] == "ServiceAccount")
    assert account["metadata"]["annotations"] == {"azure.workload.identity/client-id": "abc"}
    assert template["spec"]["automountServiceAccountToken"] is False
    other = next(item for item in rendered("--set", hub) if item["kind"] == "DaemonSet")["spec"]["template"]
    assert "azure.workload.identity/use" not in other["metadata"]["labels"]


def test_a_node_whose_root_is_not_shared():
    mounts = pod_of(rendered("--set", "hostMountPropagation=None"))["containers"][0]["volumeMounts"]
    assert next(item for item in mounts if item["name"] == "host")["mountPropagation"] == "None"


def test_no_right_that_is_not_used():
    roles = {source: [item for item in rendered("--set", f"pods.source={source}") if item["kind"] == "ClusterRole"]
             for source in ("api", "kubelet", "none")}  # fmt: skip
    assert roles["none"] == []
    assert roles["kubelet"][0]["rules"] == [{"apiGroups": [""], "resources": ["nodes/pods"], "verbs": ["get"]}]
    verbs = {verb for rule in roles["api"][0]["rules"] for verb in rule["verbs"]}
    assert verbs == {"get", "list", "watch"}
    assert not any("secrets" in rule["resources"] for rule in roles["api"][0]["rules"])


def test_options():
    objects = rendered("--set", "status.port=9400,podMonitor.enabled=true,image.digest=sha256:" + "a" * 64)
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
        "status.port=70000",
        "server.url=http://plain.example",
        "server.deliver=some",
        "pods.source=guess",
        "limits.memoryMegabytes=10",
        "capabilities={sys_admin}",
        "stateHostPath=relative",
        "hostMountPropagation=Bidirectional",
    ],
)
def test_the_schema_refuses(wrong):
    assert helm("template", "s", str(CHART), "--set", wrong).returncode != 0


def test_the_puller_only_reads_and_runs_without_rights_on_the_node():
    values = "cluster=prod,inventory.enabled=true,inventory.server=https://seawall.example,inventory.secretName=doors"
    objects = rendered("--set", values)
    role = next(item for item in objects if item["kind"] == "ClusterRole" and "inventory" in item["metadata"]["name"])
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    job = next(item for item in objects if item["kind"] == "CronJob")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert "hostPID" not in pod
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["args"][:2] == ["assets", "push"]
    assert all("value" not in item or item["name"] != "SEAWALL_WEBHOOK_SECRET" for item in container["env"])
    assert not [item for item in rendered() if item["kind"] == "CronJob"]
