"""The node's pods: from a double that speaks the API's protocol with its faults, and from a real API server."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from seawall.domain.errors import ConfigError
from seawall_sensor.containers import _POD_UID
from seawall_sensor.pod_sources import ApiPods, KubeletPods, kubelet_url
from seawall_sensor.pods import PodDirectory, parse_pod

from tests.support.kube import running
from tests.support.ports import wait_until

from .conftest import HIDE_V2, PODMAN, Running

A, B = "a" * 64, "b" * 64
UID = "11111111-2222-3333-4444-555555555555"


def pod(name="web-7d9-x", *, uid=UID, version="5", containers=((A, "web"),), owner=("ReplicaSet", "web-7d9"), **labels):
    return {
        "metadata": {
            "name": name, "namespace": "shop", "uid": uid, "resourceVersion": version,
            "labels": {"app": "web", "pod-template-hash": "7d9"} | labels,
            "ownerReferences": [{"kind": owner[0], "name": owner[1], "controller": True}] if owner else [],
        },
        "spec": {
            "nodeName": "n1", "serviceAccountName": "web", "hostNetwork": True,
            "containers": [{"name": called, "image": f"r.example/{called}:1"} for _, called in containers],
        },
        "status": {
            "podIP": "10.0.0.7",
            "containerStatuses": [
                {"name": called, "containerID": f"containerd://{identity}", "image": "sha256:0",
                 "imageID": f"r.example/{called}@sha256:{'1' * 64}"}
                for identity, called in containers
            ],
        },
    }  # fmt: skip


class Api:
    """Answers lists from `items`; a watch says what is put in `events` (None ends it) and takes `resourceVersion` as asked."""

    def __init__(self) -> None:
        self.items: list[dict] = []
        self.events: queue.Queue = queue.Queue()
        self.asked: list[str] = []
        self.plan: list[int] = []
        self.replicasets: dict[str, dict] = {}
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                api.asked.append(self.path)
                parts = urlsplit(self.path)
                if api.plan and (status := api.plan.pop(0)):
                    return self.answer(status, {"kind": "Status", "code": status})
                if "replicasets" in parts.path:
                    found = api.replicasets.get(parts.path.rpartition("/")[2])
                    return self.answer(200 if found else 403, found or {"kind": "Status", "code": 403})
                if parse_qs(parts.query).get("watch"):
                    return self.watch()
                return self.answer(200, {"items": api.items, "metadata": {"resourceVersion": "10"}})

            def answer(self, status: int, body: dict) -> None:
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def watch(self) -> None:
                self.send_response(200)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                while (event := api.events.get()) is not None:
                    raw = event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n"
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def api():
    found = Api()
    yield found
    found.events.put(None)
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def source(api):
    found = ApiPods(api.url, PodDirectory(), node="n1", timeout_s=5)
    yield found
    found.close()


def test_a_pod_s_facts():
    found = parse_pod(pod()).facts(A)
    assert (found["pod"], found["namespace"], found["service_account"], found["pod_ip"]) == (
        "web-7d9-x",
        "shop",
        "web",
        "10.0.0.7",
    )
    assert (found["name"], found["image"], found["image_digest"]) == ("web", "r.example/web:1", f"sha256:{'1' * 64}")
    assert found["host_network"] is True
    assert parse_pod({"metadata": {}}) is None
    assert parse_pod(pod(containers=())).facts(A).get("image") is None


@pytest.mark.parametrize(
    ("path", "uid"),
    [
        (
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID.replace('-', '_')}.slice/cri-containerd-{A}.scope",
            UID,
        ),
        (f"/kubepods/besteffort/pod{UID}/{A}", UID),
        (f"/kubepods.slice/kubepods-pod{'c' * 32}.slice/crio-{A}.scope", "c" * 32),
        (f"/libpod_parent/libpod-{A}", ""),
    ],
)
def test_the_pod_of_a_cgroup(path, uid):
    match = _POD_UID.search(path)
    assert (match[1].replace("_", "-") if match else "") == uid


def test_list_watch_and_owners(api, source):
    api.items = [pod()]
    api.replicasets["web-7d9"] = {
        "metadata": {"ownerReferences": [{"kind": "Rollout", "name": "web", "controller": True}]}
    }
    source.start()
    wait_until(lambda: source.directory.find(A), what="the list")
    assert source.directory.find(A)["owner"] == "Rollout/web"
    assert "fieldSelector=spec.nodeName%3Dn1" in api.asked[0]
    api.events.put({"type": "ADDED", "object": pod("b", uid="u-b", version="11", containers=((B, "b"),), owner=None)})
    wait_until(lambda: source.directory.find(B), what="the watch")
    api.events.put({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "40"}}})
    api.events.put({"type": "DELETED", "object": pod("b", uid="u-b", version="41")})
    api.events.put(None)
    wait_until(lambda: any("resourceVersion=41" in path for path in api.asked), what="the watch goes on where it was")
    assert source.directory.find(B)["pod"] == "b"  # its last events may still come


def test_owner_without_permission_is_told_by_the_pod(api, source):
    api.items = [pod()]
    source.start()
    wait_until(lambda: source.directory.find(A), what="the list")
    assert source.directory.find(A)["owner"] == "Deployment/web"


@pytest.mark.parametrize("fault", ["gone", "cut line", "refused", "not JSON"])
def test_faults_are_survived(api, source, fault):
    if fault == "refused":
        api.plan = [403, 500]
    api.items = [pod()]
    source.start()
    wait_until(lambda: source.directory.find(A), what="the list", timeout_s=20)
    api.items = [pod(), pod("b", uid="u-b", containers=((B, "b"),))]
    if fault == "gone":
        api.events.put({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}})
        wait_until(lambda: source.directory.find(B), what="the new list", timeout_s=20)
    elif fault in ("cut line", "not JSON"):
        api.events.put(b'{"type": "ADDED", "obj' if fault == "cut line" else b"<html>\n")
        api.events.put(None)
        api.events.put({"type": "ADDED", "object": api.items[1]})
        wait_until(lambda: source.directory.find(B), what="the next watch", timeout_s=20)
    assert source.failures == {"gone": 1, "cut line": 1, "refused": 2, "not JSON": 1}[fault]


def test_the_kubelet_s_list(api):
    source = KubeletPods(api.url, PodDirectory())
    source.interval_s = 0.05
    api.items = [pod()]
    source.start()
    wait_until(lambda: source.directory.find(A), what="the list")
    assert source.directory.find("", UID)["owner"] == "Deployment/web"
    source.close()


def test_the_directory_is_bounded():
    directory = PodDirectory(limit=10)
    for number in range(50):
        directory.put(parse_pod(pod(uid=f"u{number}", containers=((f"{number:064}", "c"),))))
    assert len(directory) == 10
    assert not directory.find(f"{1:064}")
    assert directory.find(f"{49:064}")


def test_a_wrong_address_is_said():
    with pytest.raises(ConfigError, match="not an address"):
        ApiPods("kubelet:10250", PodDirectory())


@pytest.mark.real("kube-apiserver")
@pytest.mark.real("ebpf")
@pytest.mark.real("podman")
@pytest.mark.bpf
def test_a_container_of_a_real_api_server_s_pod(programs, image, tmp_path):
    """The container is met before the API server names it: its events wait, then go out with pod, labels and owner."""
    folder = tmp_path / "kube"
    folder.mkdir()
    with running(folder) as kube:
        deployment = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web-7d9", "namespace": "default",
                      "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": UID, "controller": True}]},
                      "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
                      "spec": {"containers": [{"name": "web", "image": "r.example/web:1"}]}}}}  # fmt: skip
        made = kube.create("/apis/apps/v1/namespaces/default/replicasets", deployment)
        assert made.status_code == 201, made.text
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-7d9-x", "labels": {"app": "web"}, "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d9", "uid": made.json()["metadata"]["uid"], "controller": True}]},
                "spec": {"nodeName": "node-k", "containers": [{"name": "web", "image": "r.example/web:1"}]}}  # fmt: skip
        created = kube.create("/api/v1/namespaces/default/pods", body)
        assert created.status_code == 201, created.text
        uid = created.json()["metadata"]["uid"]
        token = kube.client.headers["authorization"].removeprefix("Bearer ")
        (tmp_path / "token").write_text(token)
        sensor = Running("--kube-api", kube.url, "--kube-token-file", str(tmp_path / "token"), "--kube-ca-file",
                         str(folder / "apiserver.crt"), "--node", "node-k")  # fmt: skip
        name = f"seawall-test-pod-{time.monotonic_ns()}"
        try:
            sensor.wait_for(lambda line: line["kind"] == "heartbeat" and line["state"] == "ready", 30)
            command = ["podman", "run", "-d", *PODMAN, "--network", "none", "--name", name, "--cgroup-parent",
                       f"/kubepods/burstable/pod{uid}", image, "sh", "-c", "cp /bin/busybox /tmp/xmrig; /tmp/xmrig true; sleep 60"]  # fmt: skip
            done = subprocess.run(
                ["unshare", "-m", "sh", "-c", HIDE_V2, "sh", *command], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            identity = done.stdout.strip().splitlines()[-1]
            event = sensor.wait_for(
                lambda line: (
                    line.get("event") == "process_exec"
                    and line["process"]["exe"] == "/tmp/xmrig"
                    and line["container"]["id"] == identity
                )
            )
            container = event["container"]
            assert (container["pod"], container["namespace"], container["owner"]) == (
                "web-7d9-x",
                "default",
                "Deployment/web",
            )
            assert container["labels"] == {"app": "web"}
            assert container["pod_uid"] == uid
            assert event.get("complete", True)
            status = {"status": {"containerStatuses": [{"name": "web", "containerID": f"cri-o://{identity}", "ready": True,
                      "restartCount": 0, "image": "r.example/web:1", "state": {"running": {}},
                      "imageID": f"r.example/web@sha256:{'1' * 64}"}]}}  # fmt: skip
            answer = kube.client.patch("/api/v1/namespaces/default/pods/web-7d9-x/status", json=status,
                                       headers={"content-type": "application/strategic-merge-patch+json"})  # fmt: skip
            assert answer.status_code == 200, answer.text
        finally:
            subprocess.run(["podman", "rm", "-f", "-t", "0", name], capture_output=True, check=False)
            sensor.stop()


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://node:10250", "https://node:10250"),
        ("10.0.0.4", "https://10.0.0.4:10250"),
        ("fd00::4", "https://[fd00::4]:10250"),
        ("[fd00::4]", "https://[fd00::4]:10250"),
    ],
)
def test_a_kubelet_is_named_by_url_or_by_its_node_s_address(given, url):
    assert kubelet_url(given) == url
