"""Azure subscriptions: pages of Resource Graph, refusals, and Azure Policy's states in the findings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from seawall.adapters.azure.inventory import AzureSource
from seawall.adapters.rest import JsonHttp
from seawall.adapters.sql.store import SqlStore
from seawall.app.discover import take
from seawall.app.judge_posture import PosturePolicy
from seawall.domain.errors import Denied
from seawall.domain.posture import Status
from seawall.posture.catalogue import controls
from seawall.posture.enforcement.azure import built_ins
from seawall.settings import AzureDiscoverySettings

from tests.support.recorded import Reply, recorded

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/Shop/providers"
AKS = {
    "id": f"{GROUP}/Microsoft.ContainerService/managedClusters/prod", "name": "prod", "location": "westeurope",
    "type": "microsoft.containerservice/managedclusters", "tags": {"team": "blue"},
    "properties": {
        "kubernetesVersion": "1.33", "enableRBAC": True, "agentPoolProfiles": [{"name": "system", "count": 3, "vmSize": "Standard_D4s_v5"}],
        "identityProfile": {"kubeletidentity": {"clientId": "ABC", "resourceId": f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/Pool"}},
    },
}  # fmt: skip
ACR = {
    "id": f"{GROUP}/Microsoft.ContainerRegistry/registries/shop", "name": "shop", "type": "microsoft.containerregistry/registries",
    "properties": {"loginServer": "Shop.azurecr.io", "adminUserEnabled": False},
}  # fmt: skip
ARC = {
    "id": f"{GROUP}/Microsoft.Kubernetes/connectedClusters/edge", "name": "edge", "type": "microsoft.kubernetes/connectedclusters",
    "properties": {"kubernetesVersion": "1.32"},
}  # fmt: skip


def graph(*, refuse: str = "", states: list[dict[str, Any]] | None = None) -> Any:
    def answer(method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        assert (method, path) == ("POST", "/providers/Microsoft.ResourceGraph/resources")
        assert query == {"api-version": "2022-10-01"}
        assert body["subscriptions"] == [SUBSCRIPTION]
        asked = body["query"]
        if refuse and refuse in asked:
            return 403, {"error": {"code": "AuthorizationFailed", "message": "no"}}
        if "policyresources" in asked:
            return 200, {"data": states or []}
        if "containerregistry/registries'" in asked and asked.startswith("resources"):
            return 200, {"totalRecords": 1, "data": [ACR]}
        if asked.startswith("authorizationresources"):
            return 200, {"data": []}
        if "$skipToken" in body["options"]:
            assert body["options"]["$skipToken"] == "next"
            return 200, {"data": [ARC]}
        return 200, {"data": [AKS], "$skipToken": "next"}

    return answer


def source(url: str, **options: Any) -> AzureSource:
    http = JsonHttp(url, lambda: "token", needs="Reader")
    return AzureSource(AzureDiscoverySettings(subscriptions=(SUBSCRIPTION,), **options), http, lambda: "token")


def test_every_page_is_read() -> None:
    with recorded(graph()) as server:
        collected = source(server.url, clusters=True).collect()
    assert [obj.name for obj in collected.objects] == ["prod", "system", "edge", "shop"]
    assert collected.complete == {"CloudCluster", "NodePool", "CloudRegistry", "CloudRoleAssignment", "Account"}
    assert collected.notes == []
    assert [item.scope for item in collected.clusters] == [AKS["id"].lower()], "the scope is the id in its audit log"


def test_a_table_that_may_not_be_read_is_told() -> None:
    with recorded(graph(refuse="registries' | order")) as server:
        collected = source(server.url).collect()
    assert [note.where for note in collected.notes] == ["CloudRegistry"]
    assert "Reader" in collected.notes[0].reason
    assert "CloudRegistry" not in collected.complete
    with recorded(graph(refuse="resources")) as server, pytest.raises(Denied):
        source(server.url).collect()


def test_azure_policy_speaks_where_we_could_not_judge(tmp_path: Path) -> None:
    name, definition = next(
        (control.id, built_ins(control)[0]) for control in controls().values() if built_ins(control)
    )
    state = {
        "name": "s1",
        "properties": {
            "policyDefinitionName": definition, "resourceId": AKS["id"].lower(), "complianceState": "NonCompliant",
            "resourceType": "microsoft.containerservice/managedclusters",
        },
    }  # fmt: skip
    store = SqlStore(f"sqlite:///{tmp_path / 'seawall.sqlite'}")
    now = datetime(2026, 11, 23, tzinfo=UTC)
    with recorded(graph(states=[state])) as server:
        collected = source(server.url).collect()
    take(collected, store, publishers=list, policy=PosturePolicy(), now=now)
    results = store.assessments.find(control=name)
    assert [(item.status, item.reason) for item in results if item.object.name == "prod"] == [
        (Status.FAIL, "Azure Policy says so")
    ]
    cluster = store.assets.get(AKS["id"].lower())
    assert cluster is not None
    assert {(item.kind, item.target) for item in cluster.relations} >= {("nodes-run-as", "azure-client:abc")}
    registry = store.assets.relations("registry:shop.azurecr.io")[1]
    assert [item.kind for item in registry] == ["is"]
    assert store.assets.get(f"/subscriptions/{SUBSCRIPTION}") is not None
    store.close()
