"""Agentless discovery against a real API server: lists, rights that are missing, watches, the job and the commands."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from seawall.adapters.kubernetes.access import from_kubeconfig
from seawall.adapters.kubernetes.client import KubeClient
from seawall.adapters.kubernetes.listing import ClusterSource
from seawall.adapters.kubernetes.watching import ClusterWatch, WatchedChange
from seawall.adapters.sql.store import SqlStore
from seawall.assets.rights import BY_KIND, KUBERNETES, cluster_role
from seawall.bootstrap import bootstrap
from seawall.cli.main import build
from seawall.domain.errors import Denied, NotFound
from seawall.formats.inventory_snapshot import encode_snapshot
from seawall.settings import load_settings
from typer.testing import CliRunner

from tests.support.kube import KubeApi, running

pytestmark = pytest.mark.real("kube-apiserver")
DEPLOYMENTS = "/apis/apps/v1/namespaces/shop/deployments"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def deployment(name: str, image: str = "registry.example.com/web:1") -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}}},
    }  # fmt: skip


@pytest.fixture(scope="module")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    with running(tmp_path_factory.mktemp("discovery")) as api:
        api.create("/api/v1/namespaces", {"metadata": {"name": "shop", "labels": {"team": "blue"}}})
        for number in range(7):
            assert api.create(DEPLOYMENTS, deployment(f"web-{number}")).status_code == 201
        secret = {"metadata": {"name": "db", "labels": {"a": "b"}}, "stringData": {"password": "hunter2"}}
        assert api.create("/api/v1/namespaces/shop/secrets", secret).status_code == 201
        assert api.create(f"{RBAC}/clusterroles", cluster_role()).status_code == 201
        limited = cluster_role() | {"metadata": {"name": "limited"}}
        limited["rules"] = [
            {**rule, "resources": [name for name in rule["resources"] if name not in {"secrets", "networkpolicies"}]}  # type: ignore[index]
            for rule in limited["rules"]  # type: ignore[attr-defined]
            if "resources" in rule and rule["resources"] != ["secrets"]
        ]
        assert api.create(f"{RBAC}/clusterroles", limited).status_code == 201
        for name in ("seawall-discovery", "limited"):
            binding = {
                "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
            }
            assert api.create(f"{RBAC}/clusterrolebindings", binding).status_code == 201
        yield api


def config_of(kube: KubeApi, folder: Path, user: str = "") -> Path:
    """A kubeconfig that acts as `user`."""
    document = yaml.safe_load(kube.kubeconfig.read_text())
    if user:
        document["users"][0]["user"]["as"] = user
    path = folder / f"{user or 'admin'}.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def source_of(kube: KubeApi, folder: Path, user: str = "", **options: Any) -> ClusterSource:
    access = from_kubeconfig(config_of(kube, folder, user))
    return ClusterSource("prod", lambda: KubeClient(access), **options)


def test_the_listed_rights_are_enough_and_nothing_secret_comes(kube: KubeApi, tmp_path: Path) -> None:
    collected = source_of(kube, tmp_path, "seawall-discovery", page=3).collect()
    assert collected.notes == []
    assert collected.unread == set()
    assert collected.complete == {kind.kind for kind in KUBERNETES}
    names = [obj.name for obj in collected.objects if obj.kind == "Deployment"]
    assert sorted(names) == [f"web-{number}" for number in range(7)]
    secret = next(obj for obj in collected.objects if obj.kind == "Secret" and obj.name == "db")
    assert set(secret.body) == {"apiVersion", "kind", "metadata"}
    assert secret.labels == {"a": "b"}
    assert "hunter2" not in str([obj.body for obj in collected.objects])


def test_the_rights_allow_no_write(kube: KubeApi, tmp_path: Path) -> None:
    headers = {"Impersonate-User": "seawall-discovery"}
    for method, path in (("POST", DEPLOYMENTS), ("DELETE", f"{DEPLOYMENTS}/web-0"), ("GET", "/api/v1/nodes/n/proxy/")):
        answer = kube.client.request(method, path, headers=headers, json=deployment("x") if method == "POST" else None)
        assert answer.status_code == 403


def test_kinds_that_may_not_be_listed_are_told(kube: KubeApi, tmp_path: Path) -> None:
    collected = source_of(kube, tmp_path, "limited").collect()
    assert collected.unread == {"Secret", "NetworkPolicy"}
    assert {note.where for note in collected.notes} == {"Secret", "NetworkPolicy"}
    assert all("403" in note.reason and "limited" in note.reason for note in collected.notes)
    assert "Deployment" in collected.complete


def test_nobody_and_nothing_are_errors(kube: KubeApi, tmp_path: Path) -> None:
    with pytest.raises(Denied, match="403"):
        source_of(kube, tmp_path, "stranger").collect()
    document = yaml.safe_load(kube.kubeconfig.read_text())
    document["users"][0]["user"]["token"] = "wrong"
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(Denied, match="401"):
        ClusterSource("prod", lambda: KubeClient(from_kubeconfig(path))).collect()


def test_one_object_is_read_again(kube: KubeApi, tmp_path: Path) -> None:
    source = source_of(kube, tmp_path)
    found = source.read("Deployment", "shop", "web-1")
    assert found is not None
    assert found.spec["selector"] == {"matchLabels": {"app": "web-1"}}
    assert source.read("Deployment", "shop", "none") is None
    secret = source.read("Secret", "shop", "db")
    assert secret is not None
    assert set(secret.body) == {"apiVersion", "kind", "metadata"}
    with pytest.raises(NotFound):
        source.client.read(BY_KIND["Gateway"], "shop", "none")


def test_a_watch_tells_of_changes(kube: KubeApi, tmp_path: Path) -> None:
    source = source_of(kube, tmp_path, "seawall-discovery")
    source.collect()
    told: queue.Queue[WatchedChange] = queue.Queue()
    stale: list[str] = []
    watch = ClusterWatch(source, told.put, stale.append)
    watch.start()
    try:
        kube.create(DEPLOYMENTS, deployment("fresh"))
        first = told.get(timeout=30)
        assert (first.obj.kind, first.obj.name, first.deleted) == ("Deployment", "fresh", False)
        kube.client.delete(f"{DEPLOYMENTS}/fresh")
        last = told.get(timeout=30)
        assert (last.obj.name, last.deleted) == ("fresh", True)
        kube.create("/api/v1/namespaces/shop/secrets", {"metadata": {"name": "late"}, "stringData": {"k": "hunter3"}})
        secret = told.get(timeout=30)
        assert set(secret.obj.body) == {"apiVersion", "kind", "metadata"}
    finally:
        watch.stop()
    assert stale == []
    assert watch.notes == {}


def test_the_job_keeps_assets_results_and_history(
    kube: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "seawall.yaml"
    cluster = {"kubeconfig": str(config_of(kube, tmp_path, "limited"))}
    settings.write_text(
        yaml.safe_dump({"data_dir": str(tmp_path / "data"), "discovery": {"clusters": {"prod": cluster}}})
    )
    monkeypatch.setenv("SEAWALL_CONFIG", str(settings))
    runner = CliRunner()
    first = runner.invoke(build(), ["assets", "discover", "--format", "json"])
    assert first.exit_code == 0, first.output
    (found,) = json.loads(first.stdout)["discovered"]
    assert found["added"] > 50
    assert len(found["notes"]) == 2
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "registry.example.com/web:2"}]
    headers = {"Content-Type": "application/json-patch+json"}
    assert kube.client.patch(f"{DEPLOYMENTS}/web-3", content=json.dumps(patch), headers=headers).status_code == 200
    second = json.loads(runner.invoke(build(), ["assets", "discover", "--format", "json"]).stdout)["discovered"][0]
    assert (second["added"], second["changed"], second["removed"]) == (0, 1, 0)
    web = "k8s://prod/shop/Deployment/web-3"
    history = json.loads(runner.invoke(build(), ["assets", "history", web, "--format", "json"]).stdout)["history"]
    assert [(field["path"], field["after"]) for field in history[0]["fields"]] == [
        ("spec.template.spec.containers[0].image", "registry.example.com/web:2")
    ]
    shown = runner.invoke(build(), ["assets", "show", web]).stdout
    assert "image:registry.example.com/web:2" in shown
    assert "WL-003" in shown
    diff = json.loads(runner.invoke(build(), ["assets", "diff", "1h", "--format", "json"]).stdout)["changes"]
    assert {item["change"] for item in diff} == {"added"}
    trend = json.loads(runner.invoke(build(), ["posture", "trend", "--format", "json"]).stdout)["trend"]
    assert {item["team"] for item in trend} >= {"", "blue"}
    assert len({item["assessed_at"] for item in trend}) == 2
    store = SqlStore(f"sqlite:///{tmp_path / 'data' / 'seawall.sqlite'}")
    try:
        before = {item.id for item in store.assessments.find(scope="prod")}
        runner.invoke(build(), ["assets", "discover"])
        assert {item.id for item in store.assessments.find(scope="prod")} == before, "a finding is the same next time"
    finally:
        store.close()


def test_a_live_cluster_is_judged_from_the_command_line(kube: KubeApi, tmp_path: Path) -> None:
    config = config_of(kube, tmp_path, "limited")
    done = CliRunner().invoke(build(), ["posture", "assess", "--kubeconfig", str(config), "--format", "json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert {item["where"] for item in report["partial"]} >= {"Secret", "NetworkPolicy"}
    uncovered = [item for item in report["results"] if item["control"] == "NW-002"]
    assert uncovered
    assert {item["status"] for item in uncovered} == {"unknown"}, "unread policies are never a failure or a pass"


def test_a_private_cluster_sends_its_listing(kube: KubeApi, tmp_path: Path) -> None:
    collected = source_of(kube, tmp_path, "limited").collect()
    application = bootstrap(load_settings(data_dir=tmp_path / "server"))
    body = encode_snapshot(collected)
    accepted = application.doors.posture("prod", body)
    assert accepted["objects"] == len(collected.objects)
    assert application.store.assets.get("k8s://prod/shop/Deployment/web-1") is not None
    listed = {item.kind for item in application.store.assets.scopes()}
    assert "Deployment" in listed
    assert "Secret" not in listed, "what could not be read is not taken for absent"
    kube.client.delete(f"{DEPLOYMENTS}/web-1")
    application.doors.posture("prod", encode_snapshot(source_of(kube, tmp_path, "limited").collect()))
    assert application.store.assets.get("k8s://prod/shop/Deployment/web-1") is None
    application.close()
