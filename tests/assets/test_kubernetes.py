"""Kubernetes objects as assets."""

from __future__ import annotations

from typing import Any

import pytest
from seawall.assets.ids import described, image_id, object_id
from seawall.assets.kubernetes import states_of, vcpus
from seawall.assets.reduce import reduced
from seawall.posture.objects import Obj

DIGEST = "sha256:" + "a" * 64


def obj(kind: str, name: str, api: str = "v1", namespace: str = "shop", **body: Any) -> Obj:
    return Obj({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **body})


def relations(*objects: Obj) -> set[tuple[str, str, str]]:
    return {
        (relation.source.removeprefix("k8s://prod/"), relation.kind, relation.target.removeprefix("k8s://prod/"))
        for state in states_of(objects, "prod")
        for relation in state.relations
    }


POD = obj(
    "Pod",
    "web-1",
    spec={
        "nodeName": "n1",
        "serviceAccountName": "web",
        "containers": [
            {
                "name": "c",
                "image": "registry.example.com/web:1",
                "env": [
                    {"name": "PASSWORD", "value": "hunter2"},
                    {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "db", "key": "t"}}},
                ],
            }
        ],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}],
    },
    status={
        "phase": "Running",
        "conditions": [{"type": "Ready", "lastProbeTime": "2026-11-23T00:00:00Z"}],
        "containerStatuses": [
            {
                "name": "c",
                "imageID": f"registry.example.com/web@{DIGEST}",
                "containerID": "containerd://ab12",
                "state": {"running": {"startedAt": "2026-11-23T00:00:00Z"}},
            }
        ],
    },
)


def test_a_pod_names_what_it_uses() -> None:
    assert relations(POD) == {
        ("shop/Pod/web-1", "runs-as", "shop/ServiceAccount/web"),
        ("shop/Pod/web-1", "runs-on", "-/Node/n1"),
        ("shop/Pod/web-1", "uses-secret", "shop/Secret/db"),
        ("shop/Pod/web-1", "mounts", "shop/PersistentVolumeClaim/data"),
        ("shop/Pod/web-1/containers/c", "runs", f"image:{DIGEST}"),
        ("shop/Pod/web-1/containers/c", "from", "registry:registry.example.com"),
    }
    container = next(state for state in states_of([POD], "prod") if state.asset.kind == "Container")
    assert container.asset.properties["container_id"] == "ab12"
    assert container.asset.properties["running"] is True


def test_no_value_is_kept() -> None:
    kept = str(reduced(POD.body))
    assert "hunter2" not in kept
    assert "lastProbeTime" not in kept
    assert "PASSWORD" in kept
    secret = reduced({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "dmFsdWU="}})
    assert secret["data"] == {"k": None}
    settings = reduced(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "s", "resourceVersion": "7", "annotations": {"a": "b" * 5000, "c": "d"}},
            "data": {"k": "value"},
        }
    )
    assert settings["data"] == {"k": None}
    assert settings["metadata"] == {"name": "s", "resourceVersion": "7", "annotations": {"c": "d"}}


def test_heartbeats_change_nothing() -> None:
    node: dict[str, Any] = {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "resourceVersion": "1", "managedFields": []},
        "status": {"capacity": {"cpu": "4"}, "conditions": [{"lastHeartbeatTime": "1"}], "images": [1]},
    }  # fmt: skip
    later = {**node, "metadata": {"name": "n", "resourceVersion": "2"}, "status": {**node["status"], "conditions": []}}
    assert reduced(node) == reduced(later)
    (state,) = states_of([Obj(node)], "prod")
    assert state.asset.properties["vcpu"] == 4.0


def test_bindings_name_roles_and_identities() -> None:
    binding = obj(
        "RoleBinding", "b", "rbac.authorization.k8s.io/v1",
        roleRef={"kind": "ClusterRole", "name": "edit"},
        subjects=[
            {"kind": "User", "name": "alice@example.com"},
            {"kind": "ServiceAccount", "name": "ci", "namespace": "build"},
            {"kind": "Group"},
        ],
    )  # fmt: skip
    assert relations(binding) == {
        ("shop/RoleBinding/b", "grants", "-/ClusterRole/edit"),
        ("shop/RoleBinding/b", "to", "-/User/alice@example.com"),
        ("shop/RoleBinding/b", "to", "build/ServiceAccount/ci"),
    }
    assert "User" in {state.asset.kind for state in states_of([binding], "prod")}


@pytest.mark.parametrize(
    ("annotation", "value", "target"),
    [
        ("eks.amazonaws.com/role-arn", "arn:aws:iam::1:role/r", "arn:aws:iam::1:role/r"),
        ("azure.workload.identity/client-id", "ABC", "azure-client:abc"),
        ("iam.gke.io/gcp-service-account", "a@p.iam.x", "//iam.googleapis.com/serviceAccounts/a@p.iam.x"),
    ],
)
def test_service_accounts_name_cloud_identities(annotation: str, value: str, target: str) -> None:
    account = Obj(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "a", "namespace": "n", "annotations": {annotation: value}},
        }
    )
    assert relations(account) == {("n/ServiceAccount/a", "assumes", target)}


def test_routes_reach_services() -> None:
    ingress = obj(
        "Ingress", "i", "networking.k8s.io/v1",
        spec={
            "tls": [{"secretName": "tls"}, {"secretName": None}],
            "rules": [{"http": {"paths": [{"backend": {"service": {"name": "web"}}}, {"backend": None}]}}, None],
        },
    )  # fmt: skip
    route = obj(
        "HTTPRoute", "r", "gateway.networking.k8s.io/v1",
        spec={"parentRefs": [{"name": "g", "namespace": "edge"}], "rules": [{"backendRefs": [{"name": "web"}, 3]}]},
    )  # fmt: skip
    assert relations(ingress, route) == {
        ("shop/Ingress/i", "uses-secret", "shop/Secret/tls"),
        ("shop/Ingress/i", "routes-to", "shop/Service/web"),
        ("shop/HTTPRoute/r", "attached-to", "edge/Gateway/g"),
        ("shop/HTTPRoute/r", "routes-to", "shop/Service/web"),
    }


@pytest.mark.parametrize(
    "broken",
    [
        {"spec": None},
        {"spec": {"containers": "no"}},
        {"spec": {"containers": [None, {"name": 7}]}, "status": {"containerStatuses": [None, {"imageID": 4}]}},
        {"subjects": {}, "roleRef": []},
        {"spec": {"rules": {}, "tls": 1, "volumes": [{"secret": "x"}]}},
    ],
)
def test_wrong_types_cost_nothing(broken: dict[str, Any]) -> None:
    for kind in ("Pod", "Deployment", "RoleBinding", "Ingress", "Service", "Secret", "Node", "HTTPRoute"):
        assert list(states_of([obj(kind, "x", **broken)], "prod"))


@pytest.mark.parametrize(
    ("text", "cores"), [("4", 4.0), ("1930m", 1.93), (2, 2.0), ("", None), ("x", None), (None, None), (True, None)]
)
def test_cpu_quantities(text: object, cores: float | None) -> None:
    assert vcpus(text) == cores


def test_ids_say_what_they_are_of() -> None:
    arm = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c"
    assert described(object_id(arm, "Pod", "n", "p")) == ("Pod", "p")
    assert described(image_id("nginx")) == ("Image", "docker.io/library/nginx:latest")
    assert described(image_id("nginx@" + DIGEST)) == ("Image", DIGEST)
    assert described("k8s://prod") == ("Cluster", "prod")
    assert object_id("a", "K", "b/c", "d") != object_id("a", "K", "b", "c/d")
