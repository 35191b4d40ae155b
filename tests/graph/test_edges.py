"""Each kind of attack edge fires on a case and stays silent on the near miss beside it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from seawall.graph.build import build, catalogue
from seawall.graph.model import VertexKind
from seawall.posture.loading import Loaded
from seawall.posture.world import World

RBAC = "rbac.authorization.k8s.io"


def pod(spec: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "acme.azurecr.io/web:1", **container}], "nodeName": "n1"} | (spec or {}),
    }  # fmt: skip


def privileged(value: bool = True, **spec: Any) -> dict[str, Any]:
    return pod(spec, securityContext={"privileged": value})


def capable(*names: str, **spec: Any) -> dict[str, Any]:
    return pod(spec, securityContext={"capabilities": {"add": list(names)}})


def host(path: str, read_only: bool = False, **container: Any) -> dict[str, Any]:
    mounts = [{"name": "h", "mountPath": "/h", "readOnly": read_only}]
    return pod({"volumes": [{"name": "h", "hostPath": {"path": path}}]}, volumeMounts=mounts, **container)


def role(*rules: tuple[str, str, str], wide: bool = True, names: list[str] | None = None) -> list[dict[str, Any]]:
    """A role with rules (group, resource, verb) bound to the pod's service account."""
    kind = "ClusterRole" if wide else "Role"
    meta = {"name": "r"} | ({} if wide else {"namespace": "shop"})
    limit = {"resourceNames": names} if names else {}
    return [
        {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": meta,
         "rules": [{"apiGroups": [g], "resources": [r], "verbs": [v], **limit} for g, r, v in rules]},
        {"apiVersion": f"{RBAC}/v1", "kind": f"{kind}Binding", "metadata": {**meta, "name": "b"},
         "roleRef": {"kind": kind, "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "shop"}]},
    ]  # fmt: skip


def service(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {"app": "web"}, **spec}}  # fmt: skip


def secret(kind: str = "Opaque", key: str = "token", **notes: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop", "annotations": notes}, "type": kind, "data": {key: "eA=="}}  # fmt: skip


def account(**notes: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "shop", "annotations": notes}}  # fmt: skip


def node(version: str = "v1.30.1", **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": labels}, "status": {"nodeInfo": {"kubeletVersion": version}}}  # fmt: skip


def deny(direction: str) -> dict[str, Any]:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "d", "namespace": "shop"}, "spec": {"podSelector": {}, "policyTypes": [direction]}}  # fmt: skip


CLUSTER = "/subscriptions/1/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/k"
REGISTRY = "/subscriptions/1/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/acme"


def azure(kind: str, identity: str, **properties: Any) -> dict[str, Any]:
    return {"id": identity, "name": identity.rsplit("/", 1)[-1], "type": kind, "properties": properties}


def assigned(role_id: str, scope: str) -> dict[str, Any]:
    return azure("Microsoft.Authorization/roleAssignments", f"{scope}/providers/Microsoft.Authorization/roleAssignments/a", principalId="p", roleDefinitionId=f"/x/{role_id}", scope=scope)  # fmt: skip


OWNER, READER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "acdd72a7-3385-48ef-bd42-f606fba81ae7"
ACR, AKS = "Microsoft.ContainerRegistry/registries", "Microsoft.ContainerService/managedClusters"
TWO = {"containers": [{"name": "a", "image": "a"}, {"name": "b", "image": "b"}]}
NO_TOKEN = {"automountServiceAccountToken": False}
CSR = [("certificates.k8s.io", "certificatesigningrequests", "create"), ("certificates.k8s.io", "certificatesigningrequests/approval", "update")]  # fmt: skip
TRACE = ("SYS_PTRACE", "SYS_ADMIN")
MUTATING = ("admissionregistration.k8s.io", "mutatingwebhookconfigurations")
CASES: dict[str, tuple[list[Any], list[Any]]] = {
    "CE_MODULE_LOAD": ([capable("SYS_MODULE")], [capable("NET_ADMIN")]),
    "CE_NSENTER": ([privileged(hostPID=True)], [privileged()]),
    "CE_PRIV_MOUNT": ([privileged()], [privileged(False)]),
    "CE_SYS_PTRACE": ([capable(*TRACE, hostPID=True), node()], [capable(*TRACE, hostPID=True), node("v1.31.0")]),
    "CE_UMH_CORE_PATTERN": ([host("/proc/sys")], [host("/proc/sys", read_only=True)]),
    "CE_VAR_LOG_SYMLINK": ([host("/var/log"), *role(("", "pods/log", "get"))], [host("/var/log"), *role(("", "pods", "get"))]),
    "EXPLOIT_HOST_READ": ([host("/root/.ssh", True)], [host("/usr/share/zoneinfo", True)]),
    "EXPLOIT_HOST_WRITE": ([host("/opt")], [host("/opt", True)]),
    "EXPLOIT_HOST_TRAVERSE": ([host("/var/lib/kubelet")], [host("/var/lib/other")]),
    "EXPLOIT_CONTAINERD_SOCK": ([host("/run/containerd/containerd.sock")], [host("/run/systemd/notify")]),
    "CONTAINER_ATTACH": ([pod()], [pod({"containers": []})]),
    "POD_ATTACH": ([pod()], [pod({"nodeName": ""})]),
    "POD_EXEC": ([pod(), *role(("", "pods/exec", "create"))], [pod(), *role(("", "pods", "get"))]),
    "POD_PATCH": ([pod(), *role(("apps", "deployments", "patch"))], [pod(), *role(("apps", "deployments", "get"))]),
    "POD_CREATE": ([pod(), *role(("", "pods", "create"))], [pod(), *role(("", "services", "create"))]),
    "ROLE_BIND": ([*role((RBAC, "clusterrolebindings", "create"), (RBAC, "clusterroles", "bind"))], [*role((RBAC, "clusterrolebindings", "create"))]),
    "IDENTITY_ASSUME": ([pod()], [pod(NO_TOKEN)]),
    "IDENTITY_IMPERSONATE": ([*role(("", "groups", "impersonate"))], [*role(("", "groups", "get"))]),
    "PERMISSION_DISCOVER": ([*role(("", "pods", "get"))], [role(("", "pods", "get"))[0]]),
    "TOKEN_STEAL": ([pod()], [pod(NO_TOKEN)]),
    "TOKEN_LIST": ([*role(("", "secrets", "list"))], [*role(("", "secrets", "get"))]),
    "TOKEN_BRUTEFORCE": ([*role(("", "secrets", "get"))], [*role(("", "secrets", "get"), names=["one"])]),
    "SHARE_PS_NAMESPACE": ([pod({**TWO, "shareProcessNamespace": True})], [pod(TWO)]),
    "VOLUME_ACCESS": ([pod()], [pod(NO_TOKEN)]),
    "VOLUME_DISCOVER": ([host("/opt")], [pod(NO_TOKEN)]),
    "ENDPOINT_EXPLOIT": ([pod(ports=[{"containerPort": 80}])], [pod()]),
    "INTERNET_EXPOSE": ([pod(), service(type="LoadBalancer")], [pod(), service(type="LoadBalancer", loadBalancerSourceRanges=["10.0.0.0/8"])]),
    "VULN_EXPLOIT": ([pod(ports=[{"containerPort": 80}], image="bad:1")], [pod(image="bad:1")]),
    "NET_REACH": ([pod(ports=[{"containerPort": 80}])], [pod(ports=[{"containerPort": 80}]), deny("Egress"), deny("Ingress")]),
    "METADATA_STEAL": ([pod(), node(**{"kubernetes.azure.com/cluster": "x"})], [pod(), deny("Egress"), node(**{"kubernetes.azure.com/cluster": "x"})]),
    "WORKLOAD_IDENTITY": ([account(**{"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"})], [account(note="x")]),
    "CLOUD_PRIV": ([assigned(READER, REGISTRY)], [azure(ACR, REGISTRY)]),
    "REGISTRY_PUSH": ([pod(), azure(ACR, REGISTRY), assigned(OWNER, REGISTRY)], [pod(), azure(ACR, REGISTRY), assigned(READER, REGISTRY)]),
    "IMAGE_RUN": ([pod()], [pod(image="a@sha256:" + "0" * 64)]),
    "SECRET_READ": ([*role(("", "secrets", "get"))], [*role(("", "configmaps", "get"))]),
    "SECRET_GIVES": ([secret("kubernetes.io/service-account-token", **{"kubernetes.io/service-account.name": "default"})], [secret(key="password")]),
    "CSR_APPROVE": ([*role(*CSR, ("certificates.k8s.io", "signers", "approve"))], [*role(*CSR)]),
    "TOKEN_REQUEST": ([*role(("", "serviceaccounts/token", "create"))], [*role(("", "serviceaccounts", "create"))]),
    "ESCALATE": ([*role((RBAC, "clusterroles", "escalate"), (RBAC, "clusterroles", "update"))], [*role((RBAC, "clusterroles", "update"))]),
    "NODE_PROXY": ([*role(("", "nodes/proxy", "get"))], [*role(("", "nodes/metrics", "get"))]),
    "WEBHOOK_TAMPER": ([*role((*MUTATING, "patch"))], [*role((*MUTATING, "get"))]),
    "DNS_POISON": ([*role(("", "configmaps", "update"))], [*role(("", "configmaps", "update"), wide=False)]),
    "AKS_COMMAND_INVOKE": ([azure(AKS, CLUSTER), assigned(OWNER, CLUSTER)], [azure(AKS, CLUSTER, disableLocalAccounts=True, apiServerAccessProfile={"disableRunCommand": True}), assigned(OWNER, CLUSTER)]),
}  # fmt: skip


def steps(edge: str, documents: list[Any]) -> int:
    loaded = Loaded()
    for item in documents:
        loaded.add(item, "test")
    graph = build(World(loaded.objects, today=date(2026, 11, 1)), exploitable={"bad:1": "CVE-2021-44228"})
    assert not graph.partial
    # Every cluster has a node that acts as system:nodes; the near miss is about containers.
    return sum(1 for step in graph.of(edge) if edge != "IDENTITY_ASSUME" or step.source.kind is VertexKind.CONTAINER)


def test_every_edge_has_a_case() -> None:
    assert set(CASES) == set(catalogue())
    assert len(CASES) == 43


@pytest.mark.parametrize("edge", sorted(CASES))
def test_fires(edge: str) -> None:
    assert steps(edge, CASES[edge][0]) > 0


@pytest.mark.parametrize("edge", sorted(CASES))
def test_near_miss(edge: str) -> None:
    assert steps(edge, CASES[edge][1]) == 0


@pytest.mark.parametrize(
    ("edge", "documents", "target"),
    [
        pytest.param("POD_CREATE", role(("", "pods", "create"), wide=False), "service accounts", id="any account of the namespace"),
        pytest.param("ESCALATE", role((RBAC, "roles", "escalate"), (RBAC, "roles", "patch"), wide=False), "secrets", id="rules the namespace"),
        pytest.param("ROLE_BIND", role((RBAC, "clusterrolebindings", "patch"), (RBAC, "clusterroles", "bind")), "ClusterAdmin", id="joins a binding that is there"),
    ],
)  # fmt: skip
def test_rights_lead_to(edge: str, documents: list[Any], target: str) -> None:
    loaded = Loaded()
    for item in documents:
        loaded.add(item, "test")
    graph = build(World(loaded.objects, today=date(2026, 11, 1)))
    assert any(target in str(step.target) for step in graph.of(edge))
