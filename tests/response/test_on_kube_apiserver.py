"""Responses against a real API server, through the command line: what is made, taken back, refused and recorded."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from seawall.adapters.blobs import FolderBlobs
from seawall.adapters.kubernetes.access import from_kubeconfig
from seawall.adapters.kubernetes.changing import KubeChanger
from seawall.adapters.sql.store import SqlStore, open_store
from seawall.app.respond import Responder
from seawall.cli.main import build
from seawall.detection.folding import fold
from seawall.domain.alerts import Alert, Entity, EntityKind, Incident
from seawall.domain.errors import Denied, InputError, SeawallError, Unavailable
from seawall.domain.responses import Request, ResponseState
from seawall.domain.severity import Severity
from seawall.incidents.correlate import with_state
from seawall.response.action import cluster_role
from seawall.response.offers import actions
from seawall.response.pods import LABEL
from seawall.settings import Settings
from typer.testing import CliRunner

from tests.support.kube import KubeApi, running

pytestmark = pytest.mark.real("kube-apiserver")
SHOP = "/api/v1/namespaces/shop"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
DIGEST = "sha256:" + "a" * 64
ROOT = build()


@pytest.fixture(scope="module")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    users = ("nobody", "only-without-logs", *(f"only-{name}" for name in actions()))
    with running(tmp_path_factory.mktemp("respond"), users=users) as api:
        api.create("/api/v1/namespaces", {"metadata": {"name": "shop"}})
        without_logs = replace(actions()["terminate-pod"], id="without-logs", keeps_evidence=False)
        for action in (*actions().values(), without_logs):
            role = cluster_role(action)
            assert api.create(f"{RBAC}/clusterroles", role).status_code == 201
            binding = {
                "metadata": {"name": action.id},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role["metadata"]["name"]},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"only-{action.id}"}],
            }  # fmt: skip
            assert api.create(f"{RBAC}/clusterrolebindings", binding).status_code == 201
        yield api


@dataclass
class Desk:
    """An analyst's machine: the command, the store it writes to, the API server it acts on."""

    kube: KubeApi
    folder: Path
    store: SqlStore

    def run(self, *words: str, user: str = "") -> Result:
        """Run `seawall respond`; with `user` as one who may do nothing but what their role says."""
        config = yaml.safe_load(self.kube.kubeconfig.read_text())
        if user:
            config["users"][0]["user"]["token"] = f"{user}-token"
        path = self.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        environment = {"SEAWALL_DATA_DIR": str(self.folder / "data"), "KUBECONFIG": str(path)}
        return CliRunner().invoke(ROOT, ["respond", *words], env=environment)

    def done(self, *words: str, user: str = "") -> dict[str, Any]:
        """Run it with --apply and return the one response."""
        answer = self.run(*words, "--apply", "--format", "json", user=user)
        assert answer.exit_code == 0, (answer.output, answer.exception)
        (response,) = json.loads(answer.stdout)["responses"]
        return response  # type: ignore[no-any-return]

    def failed(self, *words: str, user: str = "") -> SeawallError:
        """Run it with --apply and return the error."""
        answer = self.run(*words, "--apply", user=user)
        assert isinstance(answer.exception, SeawallError), answer.output
        return answer.exception

    def get(self, path: str) -> dict[str, Any]:
        return self.kube.client.get(path).json()  # type: ignore[no-any-return]

    def pod(self, name: str, **spec: Any) -> str:
        """Make a pod that no scheduler ever sees; return its uid."""
        body = {
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"containers": [{"name": "c", "image": "r.example/web:1"}], **spec},
        }
        answer = self.kube.create(f"{SHOP}/pods", body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["metadata"]["uid"])

    def evidence(self, response: dict[str, Any]) -> dict[str, Any]:
        return json.loads((self.folder / "data" / "blobs" / response["evidence"]).read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    open_store(Settings(data_dir=folder)).close()
    return folder


@pytest.fixture
def desk(kube: KubeApi, empty_store: Path, tmp_path: Path) -> Iterator[Desk]:
    shutil.copytree(empty_store, tmp_path / "data")
    store = open_store(Settings(data_dir=tmp_path / "data"))
    yield Desk(kube, tmp_path, store)
    store.close()


def test_isolating_a_pod_and_taking_it_back(desk: Desk) -> None:
    uid = desk.pod("iso")
    words = ("--action", "isolate-pod", "--pod", "shop/iso")
    shown = desk.run(*words)
    assert shown.exit_code == 0, shown.exception
    assert LABEL.replace("/", "~1") in shown.stdout
    assert LABEL not in desk.get(f"{SHOP}/pods/iso")["metadata"]["labels"]
    response = desk.done(*words, user="only-isolate-pod")
    assert response["history"][-1]["actor"] == "only-isolate-pod"
    assert desk.get(f"{SHOP}/pods/iso")["metadata"]["labels"] == {"app": "iso", LABEL: uid}
    policy = desk.get(f"{POLICIES}/seawall-isolate-{uid}")
    assert policy["spec"] == {"podSelector": {"matchLabels": {LABEL: uid}}, "policyTypes": ["Ingress", "Egress"]}
    again = desk.run(*words, "--apply", "--format", "json")
    assert json.loads(again.stdout) == {"responses": []}
    desk.run("--undo", response["id"])
    assert desk.kube.client.get(f"{POLICIES}/seawall-isolate-{uid}").status_code == 200
    assert desk.done("--undo", response["id"], user="only-isolate-pod")["history"][-1]["state"] == "undone"
    assert desk.kube.client.get(f"{POLICIES}/seawall-isolate-{uid}").status_code == 404
    assert desk.get(f"{SHOP}/pods/iso")["metadata"]["labels"] == {"app": "iso"}
    assert "nothing is left" in str(desk.failed("--undo", response["id"]))


def test_the_plan_as_commands_does_the_same(desk: Desk) -> None:
    kubectl = shutil.which("kubectl")
    assert kubectl
    uid = desk.pod("by-hand")
    for action in ("isolate-pod", "terminate-pod"):
        script = desk.run("--action", action, "--pod", "shop/by-hand", "--format", "kubectl").stdout
        done = subprocess.run(["bash", "-ec", script], env={"KUBECONFIG": str(desk.folder / "kubeconfig"), "HOME": str(desk.folder), "PATH": str(Path(kubectl).parent)}, capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
        if action == "isolate-pod":
            assert desk.get(f"{SHOP}/pods/by-hand")["metadata"]["labels"][LABEL] == uid
            assert desk.kube.client.get(f"{POLICIES}/seawall-isolate-{uid}").status_code == 200
    assert desk.kube.client.get(f"{SHOP}/pods/by-hand").status_code == 404


def test_a_quarantined_pod_stays_without_its_labels(desk: Desk) -> None:
    uid = desk.pod("held")
    event = {
        "metadata": {"name": "held.1"}, "involvedObject": {"kind": "Pod", "name": "held", "namespace": "shop", "uid": uid},
        "reason": "Pulled", "message": "pulled it",
    }  # fmt: skip
    assert desk.kube.create(f"{SHOP}/events", event).status_code == 201
    response = desk.done("--action", "quarantine-pod", "--pod", "shop/held", user="only-quarantine-pod")
    assert desk.get(f"{SHOP}/pods/held")["metadata"]["labels"] == {LABEL: uid}
    kept = desk.evidence(response)
    assert kept["pod"]["metadata"]["labels"] == {"app": "held"}
    assert [item["reason"] for item in kept["events"]] == ["Pulled"]
    assert (kept["logs"], kept["missing"]) == ({"c": ""}, [])  # it never ran
    desk.done("--undo", response["id"])
    assert desk.get(f"{SHOP}/pods/held")["metadata"]["labels"] == {"app": "held"}


def test_terminating_ends_that_pod_and_keeps_its_manifest(desk: Desk) -> None:
    uid = desk.pod("bad")
    response = desk.done("--action", "terminate-pod", "--pod", "shop/bad", user="only-terminate-pod")
    assert desk.kube.client.get(f"{SHOP}/pods/bad").status_code == 404
    assert desk.evidence(response)["pod"]["metadata"]["uid"] == uid
    assert "cannot be undone" in str(desk.failed("--undo", response["id"]))


def test_evidence_that_may_not_be_read_is_listed_as_missing(desk: Desk) -> None:
    desk.pod("silent")
    response = desk.done("--action", "terminate-pod", "--pod", "shop/silent", user="only-without-logs")
    kept = desk.evidence(response)
    assert kept["pod"]["metadata"]["name"] == "silent"
    assert [line.partition(":")[0] for line in kept["missing"]] == ["events", "log of c"]
    assert all("is forbidden" in line for line in kept["missing"])


@contextmanager
def responder(desk: Desk, kind: type[KubeChanger] = KubeChanger) -> Iterator[tuple[Responder, KubeChanger]]:
    """The use case by itself, so that something can happen between plan and act."""
    cluster = kind(from_kubeconfig(desk.kube.kubeconfig))
    room = FolderBlobs(desk.folder / "evidence")
    yield Responder(desk.store.responses, lambda: room, lambda: datetime.now(UTC), cluster=cluster), cluster
    cluster.close()


def test_a_later_pod_of_the_same_name_is_not_touched(desk: Desk) -> None:
    desk.pod("again")
    with responder(desk) as (acting, _):
        target = Entity(EntityKind.POD, "shop/again")
        plans = [acting.plan(actions()[name], target) for name in ("terminate-pod", "isolate-pod", "quarantine-pod")]
        gone = desk.kube.client.request("DELETE", f"{SHOP}/pods/again", json={"gracePeriodSeconds": 0})
        assert gone.status_code == 200
        later = desk.pod("again")
        for item in plans:
            with pytest.raises(InputError, match="changed meanwhile"):
                list(acting.apply([item]))
    found = desk.get(f"{SHOP}/pods/again")["metadata"]
    assert (found["uid"], found["labels"]) == (later, {"app": "again"})
    assert desk.store.responses.newest() == []


def test_a_dry_run_of_ending_a_pod_ends_nothing(desk: Desk) -> None:
    desk.pod("stays")
    with responder(desk) as (acting, cluster):
        made = acting.plan(actions()["terminate-pod"], Entity(EntityKind.POD, "shop/stays"))
        cluster.send(made.changes[0].do, dry_run=True)
    assert "deletionTimestamp" not in desk.get(f"{SHOP}/pods/stays")["metadata"]


def test_what_fails_half_way_is_taken_back(desk: Desk) -> None:
    """Between the dry run and the act somebody takes the policy's name."""

    class Raced(KubeChanger):
        def send(self, request: Request, *, dry_run: bool) -> None:
            if request.method == "POST" and not dry_run:
                assert desk.kube.create(POLICIES, request.body).status_code == 201
            super().send(request, dry_run=dry_run)

    uid = desk.pod("half")
    with responder(desk, Raced) as (acting, _):
        item = acting.plan(actions()["isolate-pod"], Entity(EntityKind.POD, "shop/half"))
        with pytest.raises(InputError, match="already exists"):
            list(acting.apply([item]))
    assert desk.get(f"{SHOP}/pods/half")["metadata"]["labels"] == {"app": "half"}
    (record,) = desk.store.responses.newest()
    assert (record.state, record.uid) == (ResponseState.FAILED, uid)
    assert "already exists" in record.history[-1].note


@pytest.mark.parametrize("arrived", [True, False])
def test_a_response_that_broke_off_can_be_taken_back(desk: Desk, arrived: bool) -> None:
    """The connection ends with the policy's request: whether that came through nobody knows."""

    class Lost(KubeChanger):
        def send(self, request: Request, *, dry_run: bool) -> None:
            if arrived or request.method != "POST" or dry_run:
                super().send(request, dry_run=dry_run)
            if request.method == "POST" and not dry_run:
                raise Unavailable("the connection ended")

    name = f"lost-{arrived}".lower()
    uid = desk.pod(name)
    with responder(desk, Lost) as (acting, _):
        item = acting.plan(actions()["isolate-pod"], Entity(EntityKind.POD, f"shop/{name}"))
        with pytest.raises(Unavailable, match="broke off"):
            list(acting.apply([item]))
    (record,) = desk.store.responses.newest()
    assert record.state is ResponseState.STARTED
    assert desk.get(f"{SHOP}/pods/{name}")["metadata"]["labels"][LABEL] == uid
    assert desk.done("--undo", record.id)["history"][-1]["state"] == "undone"
    assert desk.get(f"{SHOP}/pods/{name}")["metadata"]["labels"] == {"app": name}
    assert desk.kube.client.get(f"{POLICIES}/seawall-isolate-{uid}").status_code == 404


@pytest.mark.parametrize(
    "name",
    ["web", "shop/", "shop/..", "shop/a?x=1", "shop/a#b", "shop/../../nodes", "shop/%2e%2e", "shop/a b", "a/b/c"],
)
def test_what_is_no_name_of_a_pod_reaches_no_server(desk: Desk, name: str) -> None:
    assert "does not name a pod" in str(desk.failed("--action", "terminate-pod", "--pod", name))


def test_a_workload_is_stopped_and_started(desk: Desk) -> None:
    path = "/apis/apps/v1/namespaces/shop/deployments"
    labels = {"app": "shop"}
    body = {
        "metadata": {"name": "shop"},
        "spec": {"replicas": 3, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}},
    }  # fmt: skip
    assert desk.kube.create(path, body).status_code == 201
    response = desk.done("--action", "stop-workload", "--workload", "shop/shop", user="only-stop-workload")
    assert desk.get(f"{path}/shop")["spec"]["replicas"] == 0
    desk.done("--undo", response["id"], user="only-stop-workload")
    assert desk.get(f"{path}/shop")["spec"]["replicas"] == 3
    response = desk.done("--action", "stop-workload", "--workload", "deployment/shop/shop")
    scale = desk.kube.client.patch(f"{path}/shop/scale", json={"spec": {"replicas": 5}}, headers={"Content-Type": "application/merge-patch+json"})  # fmt: skip
    assert scale.status_code == 200
    assert "changed meanwhile" in str(desk.failed("--undo", response["id"]))
    assert desk.get(f"{path}/shop")["spec"]["replicas"] == 5


def test_a_cron_job_is_suspended(desk: Desk) -> None:
    path = "/apis/batch/v1/namespaces/shop/cronjobs"
    template = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}
    body = {"metadata": {"name": "nightly"}, "spec": {"schedule": "0 3 * * *", "jobTemplate": template}}
    assert desk.kube.create(path, body).status_code == 201
    response = desk.done("--action", "stop-workload", "--workload", "shop/nightly", user="only-stop-workload")
    assert desk.get(f"{path}/nightly")["spec"]["suspend"] is True
    desk.done("--undo", response["id"])
    assert desk.get(f"{path}/nightly")["spec"]["suspend"] is False


def test_a_node_is_cordoned(desk: Desk) -> None:
    assert desk.kube.create("/api/v1/nodes", {"metadata": {"name": "node-1"}}).status_code == 201
    response = desk.done("--action", "cordon-node", "--node", "node-1", user="only-cordon-node")
    assert desk.get("/api/v1/nodes/node-1")["spec"]["unschedulable"] is True
    desk.done("--undo", response["id"])
    assert "unschedulable" not in desk.get("/api/v1/nodes/node-1")["spec"]


@pytest.mark.parametrize(
    ("user", "action", "missing"),
    [
        pytest.param("nobody", "isolate-pod", 'cannot get resource "pods"', id="no right at all"),
        pytest.param("only-isolate-pod", "terminate-pod", 'cannot delete resource "pods"', id="another action's role"),
    ],
)
def test_a_missing_right_is_named(desk: Desk, user: str, action: str, missing: str) -> None:
    desk.kube.create(
        f"{SHOP}/pods", {"metadata": {"name": "kept"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    )
    error = desk.failed("--action", action, "--pod", "shop/kept", user=user)
    assert isinstance(error, Denied)
    assert missing in error.message
    assert "seawall respond --rbac" in error.hint
    assert desk.store.responses.newest() == []


def test_the_platform_is_refused_without_a_reason(desk: Desk) -> None:
    body = {"metadata": {"name": "dns"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    assert desk.kube.create("/api/v1/namespaces/kube-system/pods", body).status_code == 201
    words = ("--action", "terminate-pod", "--pod", "kube-system/dns")
    assert "--force" in desk.failed(*words).hint
    assert desk.kube.client.get("/api/v1/namespaces/kube-system/pods/dns").status_code == 200
    assert desk.done(*words, "--force", "it mines coins")["reason"] == "it mines coins"
    assert desk.kube.client.get("/api/v1/namespaces/kube-system/pods/dns").status_code == 404


def test_from_an_incident_to_its_record(desk: Desk) -> None:
    desk.pod("seen")
    now = datetime.now(UTC) + timedelta(minutes=1)
    entities = (Entity(EntityKind.POD, "shop/seen", "test"),)
    alert = Alert("alert-1", "RT-1", "t", "m", Severity.HIGH, (), now, now, "runtime", entities=entities, context={"image_digest": DIGEST})  # fmt: skip
    desk.store.alerts.merge([alert], fold)
    incident = Incident("incident-1", "t", Severity.HIGH, now, now, ("alert-1",), entities=entities)
    desk.store.incidents.save([incident], with_state)
    offers = json.loads(desk.run("incident-1", "--format", "json").stdout)["offers"]
    assert {offer["action"] for offer in offers} == {"isolate-pod", "quarantine-pod", "terminate-pod", "deny-image"}
    assert desk.done("incident-1", "--action", "isolate-pod")["subject"] == "incident-1"
    assert "isolate-pod on pod shop/seen by admin" in desk.run("incident-1").stdout
    merged = Incident("incident-0", "t", Severity.HIGH, now, now, ("alert-1",), entities=entities)
    desk.store.incidents.save([merged, replace(incident, merged_into="incident-0")], with_state)
    assert "isolate-pod on pod shop/seen by admin" in desk.run("incident-0").stdout
    assert desk.done("incident-1", "--action", "deny-image")["subject"] == "incident-0"
    assert desk.store.responses.denied() == {DIGEST}
    assert "not about that pod" in str(desk.failed("incident-1", "--action", "isolate-pod", "--pod", "shop/other"))
    elsewhere = Incident("incident-2", "t", Severity.HIGH, now, now, (), entities=(Entity(EntityKind.POD, "shop/seen", "prod"),))  # fmt: skip
    desk.store.incidents.save([elsewhere], with_state)
    assert "which cluster is prod?" in str(desk.failed("incident-2", "--action", "isolate-pod"))
