"""`seawall serve` end to end: a real registry's notifications, faults, and bad input at every door."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from demo import story
from tests.support.ports import free_port
from tests.support.registry import running_registry
from tests.support.server import SECRET, RunningServer

ROOT = Path(__file__).parents[2]
LAYOUT = ROOT / "demo" / "fixtures" / "image"
T0 = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def advisories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("advisories") / "advisories.db"
    sources = [
        word for path in sorted((ROOT / "demo" / "fixtures" / "advisories").iterdir()) for word in ("--from", str(path))
    ]
    subprocess.run(
        [sys.executable, "-m", "seawall.cli.main", "db", "build", *sources, "--output", str(target)],
        check=True,
        capture_output=True,
    )
    return target


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, advisories: Path) -> Iterator[RunningServer]:
    with RunningServer(
        tmp_path_factory.mktemp("serve"), {"advisories": str(advisories), "max_body_bytes": 1_000_000}
    ) as running:
        yield running


def push_of(host: str, digest: str, event: str = "e1") -> bytes:
    target = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest,
        "repository": "shop/api",
        "tag": "1",
    }
    return json.dumps(
        {"events": [{"id": event, "action": "push", "target": target, "request": {"host": host}}]}
    ).encode()


def copy_image(host: str) -> str:
    """Push the demo's image as a user would; return its digest."""
    subprocess.run(
        [
            "skopeo",
            "copy",
            "--quiet",
            "--dest-tls-verify=false",
            f"oci:{LAYOUT}:shop/api:1.4.2",
            f"docker://{host}/shop/api:1",
        ],
        check=True,
    )
    return str(json.loads((LAYOUT / "index.json").read_text())["manifests"][0]["digest"])


def rows(data: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the store, without the times at which it was written."""
    when = {
        "updated_at",
        "scanned_at",
        "assessed_at",
        "created_at",
        "expires_at",
        "due_at",
        "received_at",
        "last_seen_at",
    }
    found: dict[str, list[tuple[Any, ...]]] = {}
    with closing(sqlite3.connect(data / "seawall.sqlite")) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] not in when]
            found[table] = sorted(connection.execute(f"SELECT {', '.join(columns)} FROM {table}"), key=repr)
    return found


@pytest.mark.real("registry")
@pytest.mark.real("skopeo")
def test_a_push_to_a_real_registry_becomes_a_signed_report(tmp_path, advisories) -> None:
    port = free_port()
    server = RunningServer(
        tmp_path / "serve", {"advisories": str(advisories), "registries": {f"127.0.0.1:{port}": {"plain_http": True}}}
    )
    with (
        server,
        running_registry(
            tmp_path / "registry",
            port=port,
            notify=f"{server.url}/v1/events/registry/distribution?token={SECRET.replace(' ', '%20')}",
        ) as registry,
    ):
        digest = copy_image(registry.host)
        server.until(f"/v1/scans/{digest}", lambda answer: answer["state"] == "done")
        report = server.get(f"/v1/images/{digest}")
        assert {"CVE-2023-4911", "CVE-2021-44906"} <= {finding["id"] for finding in report["findings"]}
        assert report["attestation"]["referrer"].startswith("sha256:")
        command = [
            sys.executable,
            "-m",
            "seawall.cli.main",
            "verify",
            f"{registry.host}/shop/api:1",
            "--key",
            str(tmp_path / "serve" / "data" / "signing-key.pub"),
        ]
        verified = subprocess.run(command, env=server.environment(), capture_output=True, text=True, check=False)
        assert verified.returncode == 0, verified.stderr
        server.idle()
        touched = server.get("/v1/vulnerabilities/CVE-2023-4911")
        assert touched["images"] == 1
        assert touched["packages"][0]["images"] == [digest]
        assert digest in server.client.get("/vulnerabilities/CVE-2023-4911").text
        assert server.client.get("/v1/vulnerabilities/CVE-1990-0000").status_code == 404
        before = rows(tmp_path / "serve" / "data")
        for event in ("again", "again", "once more"):
            assert (
                server.post("/v1/events/registry/distribution", push_of(registry.host, digest, event)).status_code
                == 202
            )
        server.idle()
        assert rows(tmp_path / "serve" / "data") == before


@pytest.mark.real("registry")
@pytest.mark.real("skopeo")
def test_kill_9_between_accepting_and_finishing_loses_nothing(tmp_path, advisories) -> None:
    port = free_port()
    host = f"127.0.0.1:{port}"
    server = RunningServer(
        tmp_path / "serve", {"advisories": str(advisories), "registries": {host: {"plain_http": True}}}
    )
    digest = str(json.loads((LAYOUT / "index.json").read_text())["manifests"][0]["digest"])
    with server:
        answer = server.post("/v1/events/registry/distribution", push_of(host, digest))
        assert answer.status_code == 202
        assert server.post("/v1/events/audit", story.aks_envelope(story.attack_on_aks(T0))).status_code == 202
        server.kill()
        with running_registry(tmp_path / "registry", port=port) as registry:
            copy_image(registry.host)
            server.start()
            assert (
                server.until(f"/v1/scans/{digest}", lambda state: state["state"] in ("done", "failed"))["state"]
                == "done"
            )
            server.until("/v1/alerts", lambda found: len(found["alerts"]) >= 4)


def test_the_same_audit_batch_twice_gives_the_same_rows(server) -> None:
    body = story.eks_envelope(T0)
    assert server.post("/v1/events/audit", body).status_code == 202
    server.until("/v1/alerts?cluster=payments", lambda found: bool(found["alerts"]))
    server.idle()
    data = server.folder / "data"
    before = rows(data)
    document = json.loads(body)
    assert server.post("/v1/events/audit", body).status_code == 202
    assert server.post("/v1/events/audit", json.dumps(document, indent=1).encode()).status_code == 202
    server.idle()
    assert rows(data) == before


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        pytest.param("/v1/events/audit", b"{", 400, id="audit not JSON"),
        pytest.param("/v1/events/audit", b"\x1f\x8bgarbage", 400, id="audit broken gzip"),
        pytest.param("/v1/events/audit", b"[" * 50_000, 400, id="audit nested"),
        pytest.param("/v1/events/registry/distribution", b'{"events": 1}', 400, id="push of another form"),
        pytest.param("/v1/events/registry/quay", b"{}", 400, id="unknown registry"),
        pytest.param("/v1/events/posture/shop", b"a: [1", 400, id="posture not YAML"),
        pytest.param("/v1/events/posture/shop", b"", 400, id="posture empty"),
        pytest.param("/v1/events/sensor", b"nonsense", 400, id="not a sensor batch"),
        pytest.param("/v1/events/audit", b"x" * 1_000_001, 413, id="oversized"),
        pytest.param("/v1/nowhere", b"", 404, id="no such door"),
    ],
)
def test_bad_input_gets_a_problem_document(server, path, body, status) -> None:
    answer = server.post(path, body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "path", ["/v1/events/audit", "/v1/events/audit/prod", "/v1/events/registry/acr", "/v1/events/posture/shop"]
)
def test_without_the_secret_nothing_is_read(server, path) -> None:
    answer = server.client.post(path, content=b"{", headers={"Authorization": "Bearer wrong"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["title"] == "Not authenticated"


def test_a_read_only_wait_for_a_scan_that_nobody_asked_for(server) -> None:
    assert server.client.get("/v1/scans/sha256:00").status_code == 404


def test_posture_door(server) -> None:
    manifest = (ROOT / "demo" / "fixtures" / "shop.yaml").read_bytes()
    assert server.post("/v1/events/posture/shop", manifest).status_code == 202
    failed = server.until("/v1/posture?scope=shop&status=fail", lambda answer: bool(answer["results"]))["results"]
    assert {"log-collector"} <= {item["object"]["name"] for item in failed}
    assert any(item["control"] == "WL-001" and item["object"]["name"] == "log-collector" for item in failed)


def test_health_metrics_and_documentation(server) -> None:
    assert server.get("/healthz") == {"status": "ok"}
    assert server.get("/readyz")["checks"] == {"store": "ok", "queue": "ok"}
    metrics = server.client.get("/metrics").text
    assert "seawall_queue_depth" in metrics
    assert "paths" in server.get("/openapi.json")
    docs = server.client.get("/docs").text
    assert "https://" not in docs.replace("https://www.w3.org", ""), "the page must work without internet"


@pytest.mark.parametrize("path", ["/", "/incidents", "/images", "/posture"])
def test_console_pages(server, path) -> None:
    answer = server.client.get(path)
    assert answer.status_code == 200
    assert "<main" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_console_escapes_what_attackers_write(server) -> None:
    event = story.attack_on_aks(T0)[1]
    event["user"]["username"] = "<script>alert(1)</script>"
    event["auditID"] = "hostile"
    assert server.post("/v1/events/audit/hostile", json.dumps(event).encode()).status_code == 202
    server.until("/v1/alerts?cluster=hostile", lambda found: bool(found["alerts"]))
    server.idle()
    for path in ("/", "/incidents"):
        assert "<script>" not in server.client.get(path).text


def test_a_taken_port_is_one_clear_line(server) -> None:
    command = [sys.executable, "-m", "seawall.cli.main", "serve", "--port", str(server.port)]
    done = subprocess.run(command, env=server.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "cannot listen" in done.stderr


def test_ctrl_c_ends_cleanly(tmp_path) -> None:
    import signal

    with RunningServer(tmp_path) as running:
        assert running.process is not None
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(20) in (0, 130)
        assert "Traceback" not in running.log.read_text()
