"""A real API server asks `seawall serve`, which looks into a real registry: signed images run, others do not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from seawall.domain.findings import Finding
from seawall.domain.severity import Severity

from tests.support.admission import push
from tests.support.kube import KubeApi
from tests.support.kube import running as running_kube
from tests.support.ports import wait_until
from tests.support.registry import running_registry
from tests.support.server import RunningServer

TOKEN = "an admission token"
POLICY = {
    "exempt": {"users": ["system:serviceaccount:flux-system:*"]},
    "rules": [
        {"name": "signed", "max_severity": "high"},
        {"name": "pinned", "digest": True, "signed": False, "mode": "warn"},
    ],
}
CRITICAL = Finding("CVE-2026-1", "pkg:deb/debian/zlib", "zlib", "1", Severity.CRITICAL, fixed_version="2")
PODS = "/api/v1/namespaces/default/pods"


@dataclass
class Place:
    """A registry with three images, and the server that judges them."""

    server: RunningServer
    images: dict[str, str]
    ca: bytes


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("admission")
    (folder / "data").mkdir()
    key = folder / "data" / "signing-key.pem"
    with running_registry(folder / "registry") as registry:
        images = {
            "clean": str(push(registry.host, "clean", (), key)),
            "critical": str(push(registry.host, "critical", (CRITICAL,), key)),
            "unsigned": str(push(registry.host, "unsigned", None, key)),
            "stranger": str(push(registry.host, "stranger", (), folder / "another-key.pem")),
            "by tag": f"{registry.host}/team/app:clean",
            "gone": f"{registry.host}/team/app:gone",
        }
        settings = {
            "data_dir": str(folder / "data"),
            "registries": {registry.host: {"plain_http": True}},
            "admission": {
                "policy": json.dumps(POLICY),
                "token": TOKEN,
                "unknown": "closed",
                "missing_s": 0.1,
                "answer_s": 20,
            },
        }
        server = RunningServer(folder, settings, tls=True)
        with server:
            yield Place(server, images, (folder / "tls.pem").read_bytes())


@pytest.fixture(scope="module")
def kube(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    webhook = {
        "name": "images.seawall.example",
        "rules": [{"apiGroups": ["", "apps", "batch"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                   "resources": ["pods", "pods/ephemeralcontainers", "deployments", "cronjobs"]}],
        "clientConfig": {"url": f"{place.server.url}/v1/admission/{TOKEN.replace(' ', '%20')}", "caBundle": base64.b64encode(place.ca).decode()},
        "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 30,
    }  # fmt: skip
    with running_kube(tmp_path_factory.mktemp("kube")) as api:
        kind = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
        body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
                "metadata": {"name": "seawall"}, "webhooks": [webhook]}  # fmt: skip
        assert api.create(kind, body).status_code == 201
        wait_until(
            lambda: api.create(PODS, pod(place.images["unsigned"]), dry_run=True).status_code == 403,
            60,
            "the webhook did not come into force",
        )
        yield api


def pod(image: str, name: str = "probe") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": image}]}}  # fmt: skip


@pytest.mark.real("kube-apiserver")
@pytest.mark.real("registry")
@pytest.mark.parametrize(
    ("image", "status", "says"),
    [
        ("clean", 201, ""),
        ("by tag", 201, "must be named by digest"),
        ("critical", 403, "1 vulnerabilities above high: CVE-2026-1 in zlib"),
        ("unsigned", 403, "no signed findings"),
        ("stranger", 403, "not signed by the expected key"),
        ("gone", 403, "gone"),
    ],
)
def test_pods_are_admitted_by_what_is_signed(place: Place, kube: KubeApi, image: str, status: int, says: str) -> None:
    answer = kube.create(PODS, pod(place.images[image]), dry_run=True)
    assert answer.status_code == status, answer.text
    if status == 201:
        assert says in answer.headers.get("Warning", "")
    else:
        assert says in answer.json()["message"]


@pytest.mark.real("kube-apiserver")
@pytest.mark.real("registry")
def test_workloads_are_judged_and_edits_of_what_runs_are_not(place: Place, kube: KubeApi) -> None:
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": place.images["critical"]}]},
    }
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
                  "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}  # fmt: skip
    path = "/apis/apps/v1/namespaces/default/deployments"
    assert kube.create(path, deployment, dry_run=True).status_code == 403
    created = kube.create(PODS, pod(place.images["clean"], "running"))
    assert created.status_code == 201, created.text
    label = {"metadata": {"labels": {"edited": "yes"}}}
    patch = {"Content-Type": "application/merge-patch+json"}
    edited = kube.client.patch(f"{PODS}/running", content=json.dumps(label), headers=patch)
    assert edited.status_code == 200, edited.text
    debug = {"spec": {"ephemeralContainers": [{"name": "debug", "image": place.images["unsigned"]}]}}
    path, patch = f"{PODS}/running/ephemeralcontainers", {"Content-Type": "application/strategic-merge-patch+json"}
    assert kube.client.patch(path, content=json.dumps(debug), headers=patch).status_code == 403


@pytest.mark.real("registry")
def test_the_door_lets_in_who_knows_the_token(place: Place) -> None:
    def post(path: str, token: str = "", body: bytes = b"{}") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return place.server.client.post(path, content=body, headers=headers)

    assert post("/v1/admission").status_code == 401
    assert post("/v1/admission/guess").status_code == 401
    assert post("/v1/admission", "guess").status_code == 401
    assert post("/v1/admission", TOKEN).status_code == 400
    assert post(f"/v1/admission/{TOKEN}").status_code == 400
    assert post("/v1/admission", TOKEN, b" " * (9 << 20)).status_code == 413
    assert place.server.client.get(f"/v1/admission/{TOKEN}").status_code == 400
    assert post("/v1/admissions").status_code in (404, 405)


@pytest.mark.real("registry")
def test_decisions_from_the_cache_are_counted(place: Place) -> None:
    request = {"uid": "u", "kind": {"group": "", "kind": "Pod"}, "operation": "CREATE", "namespace": "x", "object": pod(place.images["clean"])}  # fmt: skip
    body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()
    for _ in range(20):
        answer = place.server.client.post(f"/v1/admission/{TOKEN}", content=body).json()
        assert answer["response"]["allowed"], answer
    text = place.server.client.get("/metrics").text
    allowed = next(
        line for line in text.splitlines() if line.startswith('seawall_admission_reviews_total{outcome="allowed"}')
    )
    assert float(allowed.split()[-1]) >= 20
