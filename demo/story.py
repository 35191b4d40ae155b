"""What the demo sends: one attack among ordinary work, in the forms that clouds deliver.

The token of a build service account is stolen. From one address the thief reads every secret of an AKS cluster, takes
cluster-admin, starts a privileged pod on the node's root, steps into it, mines, and wipes the events; then tries the same
credentials in an EKS and a GKE cluster. Around it people and controllers do their usual work.
"""

from __future__ import annotations

import base64
import gzip
import json
import uuid
from datetime import datetime, timedelta
from typing import Any

THIEF = "203.0.113.66"
TOKEN = "system:serviceaccount:ci:deployer"
AKS = "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000001/RESOURCEGROUPS/SHOP/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/AKS-PROD"
CLUSTER = "aks-prod"
MINER_POD = "node-debugger-x2k"
_NAMESPACE = uuid.UUID("7d1b4f5e-5f0f-4a52-9a3f-0f4b8f7f2f10")


def _event(
    at: datetime,
    verb: str,
    uri: str,
    user: str,
    ip: str,
    reference: dict[str, str],
    code: int = 200,
    agent: str = "kubectl/v1.36.1",
    **more: Any,
) -> dict[str, Any]:
    stamp = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    groups = ["system:authenticated"]
    if user.startswith("system:serviceaccount:"):
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{user.split(':')[2]}", *groups]
    elif user.startswith("system:node:"):
        groups = ["system:nodes", *groups]
    return {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "stage": "ResponseComplete",
        "auditID": str(uuid.uuid5(_NAMESPACE, f"{stamp} {verb} {uri} {user}")), "requestURI": uri, "verb": verb,
        "user": {"username": user, "groups": groups}, "sourceIPs": [ip], "userAgent": agent, "objectRef": reference,
        "responseStatus": {"metadata": {}, "code": code}, "requestReceivedTimestamp": stamp, "stageTimestamp": stamp,
        "annotations": {"authorization.k8s.io/decision": "allow" if code < 400 else "forbid", "authorization.k8s.io/reason": ""},
        **more,
    }  # fmt: skip


def _object(
    resource: str, namespace: str = "", name: str = "", group: str = "", subresource: str = ""
) -> dict[str, str]:
    parts = {
        "resource": resource,
        "namespace": namespace,
        "name": name,
        "apiGroup": group,
        "subresource": subresource,
        "apiVersion": "v1",
    }
    return {key: value for key, value in parts.items() if value}


def ordinary(start: datetime) -> list[dict[str, Any]]:
    """Ten minutes of a working cluster: kubelets, controllers, a roll-out, a developer who looks."""
    events = []
    for minute in range(10):
        at = start + timedelta(minutes=minute)
        node = f"system:node:aks-nodes-{minute % 3}"
        lease = _object("leases", "kube-node-lease", node.removeprefix("system:node:"), "coordination.k8s.io")
        events.append(
            _event(
                at,
                "update",
                "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n",
                node,
                "10.224.0.4",
                lease,
                agent="kubelet/v1.36.1",
            )
        )
        events.append(
            _event(
                at + timedelta(seconds=7), "get", f"/api/v1/namespaces/shop/pods/api-{minute}", "anna@shop.example", "198.51.100.20",
                _object("pods", "shop", f"api-{minute}"),
            )
        )  # fmt: skip
    controller = "system:serviceaccount:kube-system:replicaset-controller"
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"generateName": "api-", "namespace": "shop"},
           "spec": {"containers": [{"name": "api", "image": "registry.shop.example/api:1.4.2", "securityContext": {"allowPrivilegeEscalation": False}}]}}  # fmt: skip
    events.append(
        _event(start + timedelta(minutes=3), "create", "/api/v1/namespaces/shop/pods", controller, "10.224.0.2", _object("pods", "shop"), 201,
               "kube-controller-manager/v1.36.1", requestObject=pod)
    )  # fmt: skip
    events.append(
        _event(start + timedelta(minutes=2), "patch", "/apis/apps/v1/namespaces/shop/deployments/api", "system:serviceaccount:argocd:argocd-application-controller",
               "10.244.1.9", _object("deployments", "shop", "api", "apps"), agent="argocd-application-controller/v3.2.0",
               requestObject={"spec": {"template": {"spec": {"containers": [{"name": "api", "image": "registry.shop.example/api:1.4.2"}]}}}})
    )  # fmt: skip
    return events


def attack_on_aks(start: datetime) -> list[dict[str, Any]]:
    """Secrets, cluster-admin, a privileged pod on the host, a shell in it, no events left."""

    def at(seconds: int) -> datetime:
        return start + timedelta(seconds=seconds)

    binding = {"kind": "ClusterRoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "deployer-admin"},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
               "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": "ci"}]}  # fmt: skip
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": MINER_POD, "namespace": "kube-system"},
           "spec": {"hostPID": True, "nodeName": "aks-nodes-1", "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
                    "containers": [{"name": "main", "image": "docker.io/library/alpine:3.20", "command": ["sleep", "86400"],
                                    "securityContext": {"privileged": True}, "volumeMounts": [{"name": "host", "mountPath": "/host"}]}]}}  # fmt: skip
    exec_uri = f"/api/v1/namespaces/kube-system/pods/{MINER_POD}/exec?command=chroot&command=%2Fhost&command=sh&stdin=true&tty=true&container=main"
    return [
        _event(at(0), "list", "/api/v1/secrets?limit=500", TOKEN, THIEF, _object("secrets")),
        _event(at(40), "create", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", TOKEN, THIEF,
               _object("clusterrolebindings", name="deployer-admin", group="rbac.authorization.k8s.io"), 201, requestObject=binding),
        _event(at(75), "create", "/api/v1/namespaces/kube-system/pods", TOKEN, THIEF, _object("pods", "kube-system", MINER_POD), 201, requestObject=pod),
        _event(at(110), "get", exec_uri, TOKEN, THIEF, _object("pods", "kube-system", MINER_POD, subresource="exec"), 101),
        _event(at(300), "deletecollection", "/api/v1/namespaces/kube-system/events", TOKEN, THIEF, _object("events", "kube-system")),
    ]  # fmt: skip


def aks_envelope(events: list[dict[str, Any]]) -> bytes:
    """One Event Hubs message as a diagnostic setting delivers it: `properties.log` is a string, other categories ride along."""
    records = [_aks_record("kube-audit", json.dumps(event) + "\n", event["stageTimestamp"]) for event in events]
    records.append(
        _aks_record(
            "kube-controller-manager",
            "I1102 09:30:00.000000       1 controller.go:10] synced\n",
            events[0]["stageTimestamp"],
        )
    )
    return json.dumps({"records": records}).encode()


def _aks_record(category: str, log: str, time: str) -> dict[str, Any]:
    return {
        "time": time, "category": category, "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
        "resourceId": AKS, "Cloud": "AzureCloud", "properties": {"log": log, "stream": "stdout", "pod": "kube-apiserver-6f7d"},
    }  # fmt: skip


def eks_envelope(start: datetime) -> bytes:
    """A CloudWatch Logs subscription document: base64 of gzip, the thief's tries and a controller's work."""
    user = "arn:aws:iam::123456789012:user/ci-deployer"
    events = [
        _event(start, "list", "/api/v1/secrets", user, THIEF, _object("secrets")),
        _event(start + timedelta(seconds=20), "get", "/api/v1/namespaces/shop/pods/api-1/exec?command=sh&stdin=true&tty=true", user, THIEF,
               _object("pods", "shop", "api-1", subresource="exec"), 101),
        _event(start + timedelta(seconds=25), "update", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/cp", "eks:cloud-controller-manager",
               "10.0.1.17", _object("leases", "kube-system", "cp", "coordination.k8s.io"), agent="aws-cloud-controller-manager/v1.36"),
    ]  # fmt: skip
    document = {
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/aws/eks/payments/cluster",
        "logStream": "kube-apiserver-audit-9f2c", "subscriptionFilters": ["seawall"],
        "logEvents": [
            {"id": f"389{number:05}", "timestamp": int(datetime.fromisoformat(event["stageTimestamp"]).timestamp() * 1000), "message": json.dumps(event)}
            for number, event in enumerate(events)
        ],
    }  # fmt: skip
    return json.dumps(
        {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(document).encode())).decode()}}
    ).encode()


def gke_envelope(start: datetime) -> bytes:
    """Two log entries of a sink: the thief binds cluster-admin to everybody, an operator patches a deployment."""

    def entry(number: int, method: str, resource: str, who: str, ip: str, request: dict[str, Any]) -> dict[str, Any]:
        stamp = (start + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
        return {
            "insertId": f"demo-{stamp}-{number}", "logName": "projects/acme-prod/logs/cloudaudit.googleapis.com%2Factivity", "timestamp": stamp,
            "resource": {"type": "k8s_cluster", "labels": {"project_id": "acme-prod", "location": "europe-west1", "cluster_name": "analytics"}},
            "labels": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
            "protoPayload": {
                "@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io", "methodName": method, "resourceName": resource,
                "authenticationInfo": {"principalEmail": who}, "authorizationInfo": [{"granted": True, "permission": method, "resource": resource}],
                "requestMetadata": {"callerIp": ip, "callerSuppliedUserAgent": "kubectl/v1.36.1"}, "status": {}, "request": request,
            },
        }  # fmt: skip

    binding = {"@type": "rbac.authorization.k8s.io/v1.ClusterRoleBinding", "metadata": {"name": "open"},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
               "subjects": [{"kind": "User", "name": "system:anonymous", "apiGroup": "rbac.authorization.k8s.io"}]}  # fmt: skip
    entries = [
        entry(0, "io.k8s.authorization.rbac.v1.clusterrolebindings.create", "rbac.authorization.k8s.io/v1/clusterrolebindings/open",
              "ci-deployer@acme-prod.iam.gserviceaccount.com", THIEF, binding),
        entry(9, "io.k8s.apps.v1.deployments.patch", "apps/v1/namespaces/shop/deployments/api", "operator@acme.example", "198.51.100.21", {}),
    ]  # fmt: skip
    return json.dumps(entries).encode()
