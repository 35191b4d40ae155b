"""What an AWS account has, from the moto server."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any

import pytest
from seawall.adapters.aws import session
from seawall.adapters.aws.inventory import AwsSource
from seawall.assets.clouds import cloud_states
from seawall.settings import AwsDiscoverySettings

REGION = "eu-west-1"
ROLE = "arn:aws:iam::123456789012:role/cluster"


@pytest.fixture
def account(aws_environment: dict[str, str]) -> Iterator[None]:
    session.client.cache_clear()
    eks, ecr, ecs = (session.client(name, REGION) for name in ("eks", "ecr", "ecs"))
    eks.create_cluster(name="prod", roleArn=ROLE, resourcesVpcConfig={"subnetIds": ["subnet-1", "subnet-2"]})
    eks.create_nodegroup(clusterName="prod", nodegroupName="blue", subnets=["subnet-1"], nodeRole=ROLE)
    ecr.create_repository(repositoryName="shop/web")
    ecs.create_cluster(clusterName="batch")
    ecs.register_task_definition(
        family="job", containerDefinitions=[{"name": "c", "image": "shop/job:1", "memory": 64}]
    )
    yield
    eks.delete_nodegroup(clusterName="prod", nodegroupName="blue")
    eks.delete_cluster(name="prod")
    ecr.delete_repository(repositoryName="shop/web", force=True)
    ecs.delete_cluster(cluster="batch")
    session.client.cache_clear()


def test_clusters_node_groups_and_repositories_are_found(account: None) -> None:
    source = AwsSource(AwsDiscoverySettings(regions=(REGION,)))
    collected = source.collect()
    assert collected.scope == "aws:123456789012"
    kinds = {obj.kind for obj in collected.objects}
    assert kinds >= {"AWS::EKS::Cluster", "AWS::EKS::Nodegroup", "AWS::ECR::Repository", "AWS::ECS::Cluster"}
    states = {state.asset.id: state for state in cloud_states(collected.objects, collected.scope)}
    cluster = states[f"arn:aws:eks:{REGION}:123456789012:cluster/prod"]
    assert cluster.asset.kind == "CloudCluster"
    assert ("runs-as", ROLE) in {(item.kind, item.target) for item in cluster.relations}
    assert ("serves", "k8s://prod") in {(item.kind, item.target) for item in cluster.relations}
    assert "arn:aws:iam::123456789012:root" in states
    assert {state.asset.kind for state in states.values()} >= {"NodePool", "Repository", "Account"}


def test_a_refusal_is_told_and_the_rest_counts(account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    real = session.client("eks", REGION)

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def describe_nodegroup(self, **_: Any) -> Any:
            from botocore.exceptions import ClientError

            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeNodegroup")

    monkeypatch.setattr(
        "seawall.adapters.aws.inventory.client",
        lambda service, region="": Refusing() if service == "eks" else session.client(service, region),
    )
    collected = AwsSource(AwsDiscoverySettings(regions=(REGION,))).collect()
    assert any("eks:DescribeNodegroup" in note.where and "allow" in note.reason for note in collected.notes)
    assert "NodePool" not in collected.complete
    assert "Repository" in collected.complete
    assert "AWS::EKS::Cluster" in {obj.kind for obj in collected.objects}


def test_clusters_are_sources_of_their_own_when_asked(account: None) -> None:
    from seawall.adapters.aws.inventory import _eks_token

    collected = AwsSource(AwsDiscoverySettings(regions=(REGION,), clusters=True)).collect()
    assert [source.scope for source in collected.clusters] == ["prod"]
    token = _eks_token("prod", REGION)
    assert token.startswith("k8s-aws-v1.")
    raw = token.removeprefix("k8s-aws-v1.")
    url = urlsafe_b64decode(raw + "=" * (-len(raw) % 4)).decode()
    assert "Action=GetCallerIdentity" in url
    assert "x-k8s-aws-id" in url, "the token is signed for this cluster alone"
