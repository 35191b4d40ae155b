"""Google projects: recorded answers of GKE, Artifact Registry and Cloud Run."""

from __future__ import annotations

from typing import Any

import pytest
from seawall.adapters.gcp.inventory import GoogleSource
from seawall.assets.clouds import cloud_states
from seawall.domain.errors import Denied
from seawall.settings import GcpDiscoverySettings

from tests.support.recorded import Recorded, Reply, recorded

ROOT = "https://container.googleapis.com/v1/projects/shop/locations/europe-west1"
CLUSTER = {
    "name": "prod", "selfLink": f"{ROOT}/clusters/prod", "location": "europe-west1", "currentMasterVersion": "1.33.1-gke.100",
    "nodePools": [{"name": "default", "selfLink": f"{ROOT}/clusters/prod/nodePools/default", "config": {"serviceAccount": "nodes@shop.iam"}}],
    "masterAuth": {"clusterCaCertificate": ""}, "endpoint": "192.0.2.1",
}  # fmt: skip
SERVICE = {
    "name": "projects/shop/locations/europe-west1/services/api",
    "template": {
        "serviceAccount": "api@shop.iam",
        "containers": [{"image": "europe-docker.pkg.dev/shop/images/api:1"}],
    },
}


def answers(*, refuse: str = "", missing: list[str] | None = None) -> Any:
    def answer(method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        assert method == "GET"
        if refuse and refuse in path:
            return 403, {"error": {"code": 403, "message": "denied"}}
        if path == "/v1/projects/shop/locations/-/clusters":
            return 200, {"clusters": [CLUSTER], "missingZones": missing or []}
        if path == "/v1/projects/shop/locations":
            if "pageToken" not in query:
                return 200, {"locations": [{"locationId": "europe-west1"}], "nextPageToken": "t"}
            return 200, {"locations": [{"locationId": "us-east1"}, {"locationId": ""}]}
        if path == "/v1/projects/shop/locations/europe-west1/repositories":
            return 200, {
                "repositories": [
                    {"name": "projects/shop/locations/europe-west1/repositories/images", "format": "DOCKER"}
                ]
            }
        if path == "/v2/projects/shop/locations/europe-west1/services":
            return 200, {"services": [SERVICE]}
        return 200, {}

    return answer


def source(server: Recorded, **options: Any) -> GoogleSource:
    endpoints = dict.fromkeys(("container_endpoint", "artifacts_endpoint", "run_endpoint"), server.url)
    return GoogleSource("shop", GcpDiscoverySettings(projects=("shop",), **endpoints, **options), lambda: "token")


def test_clusters_repositories_and_services_are_found() -> None:
    with recorded(answers()) as server:
        collected = source(server, clusters=True).collect()
    assert collected.notes == []
    assert [obj.name for obj in collected.objects] == ["prod", "default", "images", "api"]
    assert [item.scope for item in collected.clusters] == ["prod"]
    states = {state.asset.name: state for state in cloud_states(collected.objects, collected.scope)}
    assert states["prod"].asset.parent == "//cloudresourcemanager.googleapis.com/projects/shop"
    assert states["default"].asset.parent == states["prod"].asset.id
    relations = {(item.kind, item.target) for item in states["api"].relations}
    assert ("runs", "image:europe-docker.pkg.dev/shop/images/api:1") in relations
    assert ("runs-as", "//iam.googleapis.com/serviceAccounts/api@shop.iam") in relations


@pytest.mark.parametrize(
    ("options", "complete"),
    [
        ({"refuse": "clusters"}, {"Repository", "CloudWorkload", "Account"}),
        ({"refuse": "repositories"}, {"CloudCluster", "NodePool", "CloudWorkload", "Account"}),
        ({"missing": ["us-east1-b"]}, {"Repository", "CloudWorkload", "Account"}),
    ],
)
def test_a_part_is_told_as_a_part(options: dict[str, Any], complete: set[str]) -> None:
    with recorded(answers(**options)) as server:
        collected = source(server).collect()
    assert collected.complete == complete
    assert collected.notes


def test_nothing_is_an_error() -> None:
    with recorded(answers(refuse="/projects/")) as server, pytest.raises(Denied):
        source(server).collect()
