"""What an attacker can choose hides nothing: the client's name, a workload's name, a well-known image made to do something else, escapes."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from seawall.app.detect_logs import detect_logs
from seawall.domain.severity import Severity

from .events import audit, pod, workload

ADMIN = {"kind": "ClusterRole", "metadata": {"name": "x"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}  # fmt: skip
CLIENTS = (
    "kubectl/v1.34.0 (linux/amd64) kubernetes/abc",
    "Helm/3.19",
    "HashiCorp/1.0 Terraform/1.9",
    "kubeadm/v1.34.0",
    "cron/v0.0.0 (linux/amd64) kubernetes/$Format",
)
ROBOT = "system:serviceaccount:ci:robot"


def severities(event: dict[str, Any]) -> dict[str, Severity]:
    found = detect_logs([("log", io.BytesIO(json.dumps(event).encode()))])
    return {alert.analytic: alert.severity for alert in found.alerts}


@pytest.mark.parametrize(
    "call",
    [
        pytest.param({"resource": "clusterroles", "body": ADMIN}, id="role"),
        pytest.param({"verb": "delete", "resource": "networkpolicies", "ns": "shop", "group": "networking.k8s.io"}, id="network policy"),
        pytest.param({"resource": "secrets", "ns": "kube-system", "name": "bootstrap-token-abcdef", "body": {"type": "bootstrap.kubernetes.io/token"}}, id="bootstrap token"),
        pytest.param({"verb": "list", "resource": "secrets", "name": "", "user": ROBOT}, id="all secrets"),
    ],
)  # fmt: skip
def test_the_client_s_name_lowers_no_call(call: dict[str, Any]) -> None:
    by_hand = severities(audit(agent=CLIENTS[0], **call))
    assert max(by_hand.values()) >= Severity.MEDIUM
    for client in CLIENTS[1:]:
        claimed = severities(audit(agent=client, **call))
        assert all(claimed.get(analytic, Severity.UNKNOWN) >= severity for analytic, severity in by_hand.items()), (
            client
        )


def daemon_set(name: str, image: str, *command: str) -> dict[str, Any]:
    body = workload(
        pod({"hostPID": True}, image=image, command=list(command), securityContext={"privileged": True}), "DaemonSet"
    )
    body["metadata"] = {"name": name, "namespace": "monitoring"}
    return audit(resource="daemonsets", ns="monitoring", name=name, body=body)


AGENT = "docker.io/fluent/fluentd:v1.17"


def test_a_node_agent_from_its_maker_is_low() -> None:
    assert severities(daemon_set("logs", AGENT))["AU-0101"] == Severity.LOW


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("node-exporter", ("sh", "-c", "nsenter -t 1 -m id")),
        ("logs", ("ruby", "-e", "system 'id'")),
        ("logs", ("/bin/busybox", "nc", "-l")),
        ("logs", ("/usr/bin/env", "bash")),
    ],
)
def test_its_image_made_to_do_something_else_is_not(name: str, command: tuple[str, ...]) -> None:
    assert severities(daemon_set(name, AGENT, *command))["AU-0101"] >= Severity.MEDIUM


def test_names_written_with_escapes_are_read() -> None:
    spec = {"containers": [{"name": "c", "image": "acme.example/app:1", "securityContext": {"privileged": True}}]}
    event = audit("patch", "deployments", ns="shop", body={"spec": {"template": {"spec": spec}}})
    line = json.dumps(event).replace('"privileged"', '"privile\\u0067ed"')
    found = detect_logs([("log", io.BytesIO(line.encode()))])
    assert "AU-0101" in {alert.analytic for alert in found.alerts}
