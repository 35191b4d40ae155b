"""Builds audit events as each platform delivers them, for tables of cases."""

from __future__ import annotations

import json
from typing import Any

ALICE = "alice@acme.example"
RESOURCES_GROUPS = {"deployments": "apps", "daemonsets": "apps", "statefulsets": "apps", "replicasets": "apps", "cronjobs": "batch", "jobs": "batch",
                    "clusterroles": "rbac.authorization.k8s.io", "roles": "rbac.authorization.k8s.io", "rolebindings": "rbac.authorization.k8s.io",
                    "clusterrolebindings": "rbac.authorization.k8s.io"}  # fmt: skip
_serial = iter(range(1_000_000))


def audit(
    verb: str = "create",
    resource: str = "pods",
    *,
    ns: str = "",
    name: str = "thing",
    user: str = ALICE,
    groups: tuple[str, ...] = ("system:authenticated",),
    code: int = 0,
    body: Any = None,
    answer: Any = None,
    uri: str = "",
    ip: str = "10.0.0.7",
    agent: str = "kubectl/v1.34.0 (linux/amd64) kubernetes/abc",
    time: str = "2026-11-02T09:30:00.000000Z",
    stage: str = "ResponseComplete",
    group: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return an audit.k8s.io/v1 event as a dict."""
    base, _, sub = resource.partition("/")
    event: dict[str, Any] = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": f"id-{next(_serial):06d}",
        "stage": stage, "verb": verb, "requestURI": uri or f"/api/v1/{f'namespaces/{ns}/' if ns else ''}{base}/{name}{f'/{sub}' if sub else ''}",
        "user": {"username": user, "groups": list(groups)}, "sourceIPs": [ip], "userAgent": agent,
        "responseStatus": {"metadata": {}, "code": code or (201 if verb == "create" else 200)},
        "requestReceivedTimestamp": time, "stageTimestamp": time,
    }  # fmt: skip
    if base:
        event["objectRef"] = {
            "resource": base,
            "namespace": ns,
            "name": name,
            "apiVersion": "v1",
            "apiGroup": group or RESOURCES_GROUPS.get(base, ""),
        }
        if sub:
            event["objectRef"]["subresource"] = sub
    if body is not None:
        event["requestObject"] = body
    if answer is not None:
        event["responseObject"] = answer
    return event | more


def pod(
    spec: dict[str, Any] | None = None, *, owner: str = "", kind: str = "ReplicaSet", **container: Any
) -> dict[str, Any]:
    """Return a Pod body with one container."""
    metadata: dict[str, Any] = {"name": "thing"}
    if owner:
        metadata["ownerReferences"] = [{"kind": kind, "name": owner, "controller": True}]
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata,
            "spec": {"containers": [{"name": "c", "image": "acme.example/app:1", **container}]} | (spec or {})}  # fmt: skip


def host_path(
    path: str, *, read_only: bool = False, owner: str = "", kind: str = "ReplicaSet", **spec: Any
) -> dict[str, Any]:
    """Return a Pod body that mounts a folder of the node."""
    return pod({"volumes": [{"name": "v", "hostPath": {"path": path}}]} | spec, owner=owner, kind=kind,
               volumeMounts=[{"name": "v", "mountPath": "/x", "readOnly": read_only}])  # fmt: skip


def workload(template: dict[str, Any], kind: str = "Deployment") -> dict[str, Any]:
    """Return a workload around a Pod body."""
    inner = {"metadata": {}, "spec": template["spec"]}
    if kind == "CronJob":
        return {"kind": kind, "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": inner}}}}
    return {"kind": kind, "spec": {"template": inner}}


def aks(*events: dict[str, Any], category: str = "kube-audit", as_object: bool = False) -> dict[str, Any]:
    """Return an Event Hubs message of AKS."""
    resource = "/SUBSCRIPTIONS/0/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/AKS-PROD"
    return {"records": [
        {"time": "2026-11-02T09:30:00Z", "category": category, "resourceId": resource, "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
         "properties": {"log": event if as_object else json.dumps(event) + "\n", "stream": "stdout", "pod": "kube-apiserver-1"}}
        for event in events
    ]}  # fmt: skip


def eks(*events: dict[str, Any], stream: str = "kube-apiserver-audit-9f") -> dict[str, Any]:
    """Return a CloudWatch Logs subscription document of EKS."""
    return {"messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/aws/eks/prod/cluster", "logStream": stream, "subscriptionFilters": ["s"],
            "logEvents": [{"id": str(i), "timestamp": 1793600000000, "message": json.dumps(event)} for i, event in enumerate(events)]}  # fmt: skip


def gke(
    method: str,
    resource_name: str,
    *,
    user: str = ALICE,
    request: Any = None,
    code: int = 0,
    ip: str = "10.0.0.7",
    agent: str = "kubectl/v1.34",
) -> dict[str, Any]:
    """Return a Cloud Logging entry of a GKE call."""
    return {"insertId": f"ins-{next(_serial)}", "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity", "timestamp": "2026-11-02T09:30:00Z",
            "resource": {"type": "k8s_cluster", "labels": {"project_id": "p", "location": "l", "cluster_name": "gke-prod"}},
            "protoPayload": {"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io", "methodName": method, "resourceName": resource_name,
                             "authenticationInfo": {"principalEmail": user}, "requestMetadata": {"callerIp": ip, "callerSuppliedUserAgent": agent},
                             "status": {"code": code} if code else {}, **({"request": request} if request is not None else {})}}  # fmt: skip
