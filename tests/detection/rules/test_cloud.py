"""Management logs, registries and inventory: what fires and its near miss."""

from __future__ import annotations

import json

import pytest
from seawall.app.detect import detect
from seawall.detection.rules.inventory.changes import trusts_everybody
from seawall.detection.sources.recognise import decode
from seawall.domain.audit_events import InventoryFact, RegistryEvent

CLUSTER = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/prod"


def aws(name, parameters, source="eks.amazonaws.com", **more):
    return {"eventSource": source, "eventName": name, "eventID": name, "eventTime": "2026-11-02T09:30:00Z", "userIdentity": {"arn": "arn:aws:iam::1:user/eve"},
            "requestParameters": parameters} | more  # fmt: skip


def azure(operation, body=None, resource=CLUSTER):
    return {"time": "2026-11-02T09:30:00Z", "resourceId": resource, "operationName": operation, "category": "Administrative", "resultType": "Success",
            "callerIpAddress": "1.2.3.4", "properties": {"requestbody": json.dumps(body or {})}}  # fmt: skip


def google(method, request):
    return {"insertId": "i", "timestamp": "2026-11-02T09:30:00Z", "resource": {"type": "gke_cluster", "labels": {"cluster_name": "prod", "project_id": "p"}},
            "protoPayload": {"serviceName": "container.googleapis.com", "methodName": method, "request": request, "authenticationInfo": {"principalEmail": "eve@x"}}}  # fmt: skip


def ids(document):
    return {alert.analytic for alert in detect(decode(json.dumps(document).encode()).events)}


UPDATE = "google.container.v1.ClusterManager.UpdateCluster"
AKS = "MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/"


@pytest.mark.parametrize(
    ("analytic", "fires", "near_miss"),
    [
        ("CL-0101", azure(AKS + "LISTCLUSTERADMINCREDENTIAL/ACTION"), azure(AKS + "READ")),
        ("CL-0102", azure(AKS + "RUNCOMMAND/ACTION"), azure(AKS + "COMMANDRESULTS/READ")),
        ("CL-0103", aws("AssociateAccessPolicy", {"name": "prod", "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"}), aws("DescribeAccessEntry", {"name": "prod"})),
        ("CL-0104", aws("UpdateClusterConfig", {"name": "prod", "resourcesVpcConfig": {"endpointPublicAccess": True, "publicAccessCidrs": ["0.0.0.0/0"]}}),
                    aws("UpdateClusterConfig", {"name": "prod", "resourcesVpcConfig": {"endpointPublicAccess": True, "publicAccessCidrs": ["198.51.100.0/24"]}})),
        ("CL-0104", google(UPDATE, {"update": {"desiredMasterAuthorizedNetworksConfig": {"enabled": False}}}), google(UPDATE, {"update": {"desiredNodeVersion": "1.34"}})),
        ("CL-0105", aws("UpdateClusterConfig", {"name": "prod", "logging": {"clusterLogging": [{"types": ["audit"], "enabled": False}]}}),
                    aws("UpdateClusterConfig", {"name": "prod", "logging": {"clusterLogging": [{"types": ["audit"], "enabled": True}]}})),
        ("CL-0105", azure("MICROSOFT.INSIGHTS/DIAGNOSTICSETTINGS/DELETE", resource=CLUSTER + "/providers/microsoft.insights/diagnosticSettings/x"),
                    azure("MICROSOFT.INSIGHTS/DIAGNOSTICSETTINGS/DELETE", resource="/subscriptions/s/providers/Microsoft.Storage/storageAccounts/x")),
        ("CL-0105", google(UPDATE, {"update": {"desiredLoggingService": "none"}}), google(UPDATE, {"update": {"desiredLoggingService": "logging.googleapis.com/kubernetes"}})),
        ("CL-0106", azure(AKS + "WRITE", {"properties": {"disableLocalAccounts": False}}), azure(AKS + "WRITE", {"properties": {"disableLocalAccounts": True}})),
        ("CL-0107", aws("DeleteCluster", {"name": "prod"}), aws("DescribeCluster", {"name": "prod"})),
        ("CL-0108", aws("DeleteRecoveryPoint", {}, "backup.amazonaws.com"), aws("ListRecoveryPoints", {}, "backup.amazonaws.com")),
        ("CL-0109", azure(AKS + "RBAC.AUTHORIZATION.K8S.IO/CLUSTERROLEBINDINGS/WRITE"), azure(AKS + "RBAC.AUTHORIZATION.K8S.IO/ROLES/WRITE")),
        ("CL-0110", aws("CreatePodIdentityAssociation", {"clusterName": "prod", "namespace": "a", "serviceAccount": "b", "roleArn": "arn:aws:iam::1:role/x"}), aws("ListPodIdentityAssociations", {})),
        ("CL-0111", azure(AKS + "WRITE", {"properties": {"securityProfile": {"defender": {"securityMonitoring": {"enabled": False}}}}}), azure(AKS + "WRITE", {"properties": {}})),
        ("CL-0111", aws("DeleteAddon", {"name": "prod", "addonName": "aws-guardduty-agent"}), aws("DeleteAddon", {"name": "prod", "addonName": "kube-proxy"})),
        ("CL-0113", aws("UpdateClusterConfig", {"name": "prod"}, errorCode="AccessDenied"), aws("UpdateClusterConfig", {"name": "prod"})),
        ("RG-0102", aws("SetRepositoryPolicy", {"repositoryName": "a", "policyText": '{"Statement":[{"Effect":"Allow","Principal":"*"}]}'}, "ecr.amazonaws.com"),
                    aws("SetRepositoryPolicy", {"repositoryName": "a", "policyText": '{"Statement":[{"Effect":"Allow","Principal":{"AWS":"1"}}]}'}, "ecr.amazonaws.com")),
        ("RG-0108", aws("PutImageTagMutability", {"imageTagMutability": "MUTABLE"}, "ecr.amazonaws.com"), aws("PutImageTagMutability", {"imageTagMutability": "IMMUTABLE"}, "ecr.amazonaws.com")),
    ],
)  # fmt: skip
def test_cloud(analytic, fires, near_miss):
    assert analytic in ids(fires)
    assert analytic not in ids(near_miss)


def pushed(number=0, **fields):
    return RegistryEvent(
        **(
            {
                "event_id": f"e{number}",
                "action": "push",
                "registry": "r.example",
                "repository": "app",
                "tag": "1.2",
                "digest": "sha256:b",
            }
            | fields
        )
    )


@pytest.mark.parametrize(
    ("analytic", "events", "fires"),
    [
        ("RG-0101", [pushed(previous_digest="sha256:a")], True),
        ("RG-0101", [pushed(previous_digest="sha256:b")], False),
        ("RG-0103", [pushed(i, action="pull", repository=f"app{i}") for i in range(25)], True),
        ("RG-0103", [pushed(i, action="pull", repository=f"app{i % 5}") for i in range(25)], False),
        ("RG-0104", [pushed(repository="team/xmrig")], True),
        ("RG-0104", [pushed(repository="team/xm-riggings")], False),
        ("RG-0105", [pushed(i, action="delete", digest=f"sha256:{i}") for i in range(30)], True),
        ("RG-0105", [pushed(i, action="delete", digest=f"sha256:{i}") for i in range(20)], False),
        ("RG-0106", [pushed(i, action="denied") for i in range(20)], True),
        ("RG-0106", [pushed(i, action="denied") for i in range(10)], False),
    ],
)
def test_registry(analytic, events, fires):
    assert (analytic in {alert.analytic for alert in detect(events)}) is fires


@pytest.mark.parametrize(
    ("analytic", "fact", "fires"),
    [
        ("IN-0101", {"kind": "exposed_service", "facts": {"application": "postgresql", "auth": "trust"}}, True),
        ("IN-0101", {"kind": "exposed_service", "facts": {"application": "postgresql", "auth": "scram"}}, False),
        ("IN-0102", {"kind": "exposed_service", "facts": {"images": ["quay.io/argoproj/argocd:v3"]}}, True),
        ("IN-0102", {"kind": "exposed_service", "facts": {"images": ["acme.example/shop:1"]}}, False),
        ("IN-0103", {"kind": "sensor_unhealthy", "facts": {"pods": 3}}, True),
        ("IN-0103", {"kind": "sensor_unhealthy", "facts": {"pods": 0}}, False),
        ("IN-0104", {"kind": "node_joined", "facts": {"known_machine": False}}, True),
        ("IN-0104", {"kind": "node_joined", "facts": {"known_machine": True}}, False),
    ],
)
def test_inventory(analytic, fact, fires):
    assert (
        analytic
        in {
            alert.analytic
            for alert in detect([InventoryFact(event_id="1", cluster="c", namespace="n", name="x", **fact)])
        }
    ) is fires


def test_postgres_configuration():
    assert trusts_everybody("host all all 0.0.0.0/0 trust", {})
    assert trusts_everybody("", {"POSTGRES_HOST_AUTH_METHOD": "trust"})
    assert not trusts_everybody("host all all 127.0.0.1/32 trust\nhost all all all scram-sha-256", {})
