"""Cloud management logs, registries and inventories: what raises each analytic, and what looks like it."""

from __future__ import annotations

import json
from typing import Any

from seawall.domain.audit_events import InventoryFact, RegistryEvent

from tests.detection.cases import TOR, Pairs, pair

CLUSTER = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/prod"
AKS = "MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/"
UPDATE = "google.container.v1.ClusterManager.UpdateCluster"
ADMIN_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


def aws(name: str, parameters: dict[str, Any], source: str = "eks.amazonaws.com", **more: Any) -> dict[str, Any]:
    """Return a CloudTrail record."""
    return {"eventSource": source, "eventName": name, "eventID": name, "eventTime": "2026-11-02T09:30:00Z", "userIdentity": {"arn": "arn:aws:iam::1:user/eve"},
            "requestParameters": parameters} | more  # fmt: skip


def azure(operation: str, body: Any = None, resource: str = CLUSTER) -> dict[str, Any]:
    """Return a record of the Azure activity log."""
    return {"time": "2026-11-02T09:30:00Z", "resourceId": resource, "operationName": operation, "category": "Administrative", "resultType": "Success",
            "callerIpAddress": "1.2.3.4", "properties": {"requestbody": json.dumps(body or {})}}  # fmt: skip


def google(method: str, request: Any, service: str = "container.googleapis.com") -> dict[str, Any]:
    """Return a LogEntry of Google's admin activity log."""
    return {"insertId": "i", "timestamp": "2026-11-02T09:30:00Z", "resource": {"type": "gke_cluster", "labels": {"cluster_name": "prod", "project_id": "p"}},
            "protoPayload": {"serviceName": service, "methodName": method, "request": request, "authenticationInfo": {"principalEmail": "eve@x"}}}  # fmt: skip


def pushed(number: int = 0, **fields: Any) -> RegistryEvent:
    """Return a push of one tag."""
    return RegistryEvent(**({"event_id": f"e{number}", "action": "push", "registry": "r.example", "repository": "app", "tag": "1.2", "digest": "sha256:b"} | fields))  # fmt: skip


def fact(kind: str, **facts: Any) -> InventoryFact:
    """Return one change of an inventory."""
    return InventoryFact(event_id="1", kind=kind, cluster="prod", namespace="shop", name="db", facts=facts)


def defender(**profile: Any) -> dict[str, Any]:
    return azure(AKS + "WRITE", {"properties": {"securityProfile": {"defender": profile}} if profile else {}})


def access(**config: Any) -> dict[str, Any]:
    return aws("UpdateClusterConfig", {"name": "prod", "resourcesVpcConfig": {"endpointPublicAccess": True, **config}})


def logging(enabled: bool) -> dict[str, Any]:
    return aws(
        "UpdateClusterConfig",
        {"name": "prod", "logging": {"clusterLogging": [{"types": ["audit"], "enabled": enabled}]}},
    )


def policy(principal: Any) -> dict[str, Any]:
    words = json.dumps({"Statement": [{"Effect": "Allow", "Principal": principal}]})
    return aws("SetRepositoryPolicy", {"repositoryName": "a", "policyText": words}, "ecr.amazonaws.com")


def mutability(value: str) -> dict[str, Any]:
    return aws("PutImageTagMutability", {"imageTagMutability": value}, "ecr.amazonaws.com")


ASSOCIATION = {"clusterName": "prod", "namespace": "a", "serviceAccount": "b", "roleArn": "arn:aws:iam::1:role/x"}
BREAK_GLASS = "google.cloud.binaryauthorization.v1.ContinuousValidation.BreakGlass"
EVALUATE = "google.cloud.binaryauthorization.v1.BinauthzManagementServiceV1.Evaluate"
BINAUTHZ = "binaryauthorization.googleapis.com"

MANAGEMENT: Pairs = {
    "CL-0101": pair("The administrator's credential of an AKS cluster", azure(AKS + "LISTCLUSTERADMINCREDENTIAL/ACTION"), "The cluster's properties", azure(AKS + "READ")),
    "CL-0102": pair("A command run in the cluster through Azure", azure(AKS + "RUNCOMMAND/ACTION"), "Its result is read", azure(AKS + "COMMANDRESULTS/READ")),
    "CL-0103": pair("Cluster admin given through an access entry", aws("AssociateAccessPolicy", {"name": "prod", "policyArn": ADMIN_POLICY}), "An access entry is read", aws("DescribeAccessEntry", {"name": "prod"})),
    "CL-0104": pair("The API server opened to every address", access(publicAccessCidrs=["0.0.0.0/0"]), "The API server opened to one office", access(publicAccessCidrs=["198.51.100.0/24"])),
    "CL-0105": pair("Audit logging switched off", logging(False), "Audit logging switched on", logging(True)),
    "CL-0106": pair("Local accounts allowed again", azure(AKS + "WRITE", {"properties": {"disableLocalAccounts": False}}), "Local accounts forbidden", azure(AKS + "WRITE", {"properties": {"disableLocalAccounts": True}})),
    "CL-0107": pair("A cluster deleted", aws("DeleteCluster", {"name": "prod"}), "A cluster described", aws("DescribeCluster", {"name": "prod"})),
    "CL-0108": pair("A recovery point deleted", aws("DeleteRecoveryPoint", {}, "backup.amazonaws.com"), "Recovery points listed", aws("ListRecoveryPoints", {}, "backup.amazonaws.com")),
    "CL-0109": pair("A cluster-wide binding written through Azure", azure(AKS + "RBAC.AUTHORIZATION.K8S.IO/CLUSTERROLEBINDINGS/WRITE"), "A role written", azure(AKS + "RBAC.AUTHORIZATION.K8S.IO/ROLES/WRITE")),
    "CL-0110": pair("A service account given a cloud role", aws("CreatePodIdentityAssociation", ASSOCIATION), "Associations listed", aws("ListPodIdentityAssociations", {"clusterName": "prod"})),
    "CL-0111": pair("Defender switched off for a cluster", defender(securityMonitoring={"enabled": False}), "Another setting changed", defender()),
    "CL-0112": pair("A workload deployed past image verification", google(BREAK_GLASS, {}, BINAUTHZ), "An image that was verified", google(EVALUATE, {"image": "app"}, BINAUTHZ)),
    "CL-0113": pair("A change of the cluster is refused", aws("UpdateClusterConfig", {"name": "prod"}, errorCode="AccessDenied"), "The change is made", aws("UpdateClusterConfig", {"name": "prod"})),
    "RG-0101": pair("A tag points to another image now", pushed(previous_digest="sha256:a"), "The same image pushed again", pushed(previous_digest="sha256:b")),
    "RG-0102": pair("A repository opened to everybody", policy("*"), "A repository opened to one account", policy({"AWS": "1"})),
    "RG-0103": pair("25 repositories pulled", [pushed(i, action="pull", repository=f"app{i}") for i in range(25)], "5 repositories pulled, five times each", [pushed(i, action="pull", repository=f"app{i % 5}") for i in range(25)]),
    "RG-0104": pair("A miner pushed", pushed(repository="team/xmrig"), "A repository whose name has the letters", pushed(repository="team/xm-riggings")),
    "RG-0105": pair("30 images deleted", [pushed(i, action="delete", digest=f"sha256:{i}") for i in range(30)], "20 images deleted", [pushed(i, action="delete", digest=f"sha256:{i}") for i in range(20)]),
    "RG-0106": pair("20 calls refused", [pushed(i, action="denied") for i in range(20)], "10 calls refused", [pushed(i, action="denied") for i in range(10)]),
    "RG-0107": pair("A pull from a listed address", pushed(action="pull", source_ip=TOR), "A pull from the office", pushed(action="pull", source_ip="203.0.114.9")),
    "RG-0108": pair("Tags may be overwritten again", mutability("MUTABLE"), "Tags may not be overwritten", mutability("IMMUTABLE")),
    "IN-0101": pair("A public PostgreSQL that asks for no password", fact("exposed_service", application="postgresql", auth="trust"), "One that does", fact("exposed_service", application="postgresql", auth="scram")),
    "IN-0102": pair("A public Argo CD", fact("exposed_service", images=["quay.io/argoproj/argocd:v3"]), "A public shop", fact("exposed_service", images=["acme.example/shop:1"])),
    "IN-0103": pair("A node runs pods and no sensor", fact("sensor_unhealthy", pods=3), "An empty node without a sensor", fact("sensor_unhealthy", pods=0)),
    "IN-0104": pair("A node that is no machine of ours", fact("node_joined", known_machine=False), "A node that is one", fact("node_joined", known_machine=True)),
}  # fmt: skip
