"""What an AWS account has: EKS, ECR, ECS with Fargate, region by region. Read-only; a call that is refused becomes a note."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from seawall.adapters.aws.session import client, translated
from seawall.domain.errors import Denied, NotFound, SeawallError
from seawall.ports.inventory_source import Collected
from seawall.posture.clouds import cloud_objects
from seawall.posture.objects import Note, Obj
from seawall.settings import AwsDiscoverySettings

ECS_CLUSTER = "AWS::ECS::Cluster"
ECS_TASK = "AWS::ECS::Task"


class AwsSource:
    """Fulfils `ports.inventory_source.InventorySource` for the account of the role that the process runs under."""

    def __init__(
        self, settings: AwsDiscoverySettings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._settings, self._now = settings, now
        self._account = ""

    @property
    def scope(self) -> str:
        """See the port: `aws:<account number>`."""
        if not self._account:
            with translated("sts:GetCallerIdentity"):
                self._account = str(client("sts").get_caller_identity()["Account"])
        return f"aws:{self._account}"

    def collect(self) -> Collected:
        """See the port."""
        collected = Collected(self.scope, self._now())
        failed: set[str] = set()
        for region in self._regions():
            for kinds, read in (
                (("CloudCluster", "NodePool", "CloudRoleAssignment"), self._eks),
                (("Repository",), self._ecr),
                (("CloudCluster", "CloudWorkload"), self._ecs),
            ):
                if not read(region, collected):
                    failed.update(kinds)
        collected.complete = {
            "CloudCluster",
            "NodePool",
            "CloudRoleAssignment",
            "Repository",
            "CloudWorkload",
            "Account",
        } - failed
        return collected

    def _regions(self) -> Iterable[str]:
        if self._settings.regions:
            return self._settings.regions
        with translated("ec2:DescribeRegions"):
            return sorted(item["RegionName"] for item in client("ec2").describe_regions()["Regions"])

    def _eks(self, region: str, collected: Collected) -> bool:
        eks, read = client("eks", region), _Reader(collected, region)
        names = read.all("eks:ListClusters", eks, "list_clusters", "clusters")
        for name in names:
            described = read.one("eks:DescribeCluster", eks.describe_cluster, name=name)
            if described is None:
                continue
            _add(collected, {"cluster": described["cluster"] | {"seawall:cluster": name}}, region)
            if self._settings.clusters:
                collected.clusters.append(_eks_cluster(name, region, described["cluster"]))
            for action, lister, key, describe, word in (
                ("eks:DescribeNodegroup", "list_nodegroups", "nodegroups", eks.describe_nodegroup, "nodegroupName"),
                ("eks:DescribeFargateProfile", "list_fargate_profiles", "fargateProfileNames", eks.describe_fargate_profile, "fargateProfileName"),
                ("eks:DescribeAddon", "list_addons", "addons", eks.describe_addon, "addonName"),
                ("eks:DescribeAccessEntry", "list_access_entries", "accessEntries", eks.describe_access_entry, "principalArn"),
            ):  # fmt: skip
                for part in read.all(_LISTS[lister], eks, lister, key, clusterName=name):
                    answer = read.one(action, describe, clusterName=name, **{word: part})
                    if answer is not None:
                        _add(collected, answer, region)
        return read.whole

    def _ecr(self, region: str, collected: Collected) -> bool:
        ecr, read = client("ecr", region), _Reader(collected, region)
        found = read.all("ecr:DescribeRepositories", ecr, "describe_repositories", "repositories")
        if found:
            for repository in found:
                name = {"repositoryName": repository["repositoryName"], "registryId": repository["registryId"]}
                for key, action, call in (
                    ("policyText", "ecr:GetRepositoryPolicy", ecr.get_repository_policy),
                    ("lifecyclePolicyText", "ecr:GetLifecyclePolicy", ecr.get_lifecycle_policy),
                ):
                    answer = read.one(action, call, **name)
                    # A repository that has none is told apart from one whose policy may not be read.
                    if answer is not None or action not in read.failed:
                        repository[key] = (answer or {}).get(key, "")
            _add(collected, {"repositories": found}, region)
            scanning = read.one("ecr:GetRegistryScanningConfiguration", ecr.get_registry_scanning_configuration)
            if scanning is not None:
                _add(collected, scanning, region)
        return read.whole

    def _ecs(self, region: str, collected: Collected) -> bool:
        ecs, read = client("ecs", region), _Reader(collected, region)
        arns = read.all("ecs:ListClusters", ecs, "list_clusters", "clusterArns")
        for part in _batches(arns):
            answer = read.one("ecs:DescribeClusters", ecs.describe_clusters, clusters=part)
            for cluster in (answer or {}).get("clusters", ()):
                collected.objects.append(_obj(ECS_CLUSTER, cluster["clusterName"], cluster, region))
        for arn in arns:
            for part in _batches(read.all("ecs:ListTasks", ecs, "list_tasks", "taskArns", cluster=arn)):
                answer = read.one("ecs:DescribeTasks", ecs.describe_tasks, cluster=arn, tasks=part)
                for task in (answer or {}).get("tasks", ()):
                    # Overrides carry environment values that a caller gave: never kept.
                    body = {key: value for key, value in task.items() if key != "overrides"} | {"seawall:parent": arn}
                    collected.objects.append(_obj(ECS_TASK, task["taskArn"].rsplit("/", 1)[-1], body, region))
        return read.whole


_LISTS = {
    "list_nodegroups": "eks:ListNodegroups",
    "list_fargate_profiles": "eks:ListFargateProfiles",
    "list_addons": "eks:ListAddons",
    "list_access_entries": "eks:ListAccessEntries",
}


class _Reader:
    """Calls of one service in one region. What fails becomes a note, once, and `whole` is False."""

    def __init__(self, collected: Collected, region: str) -> None:
        self._collected, self._region, self.whole = collected, region, True
        self.failed: set[str] = set()

    def all(self, action: str, service: Any, operation: str, key: str, **arguments: Any) -> list[Any]:
        """Return the items of every page, none when the call fails."""
        try:
            with translated(action):
                return list(_pages(service, operation, key, **arguments))
        except SeawallError as error:
            self._fail(action, error)
            return []

    def one(self, action: str, call: Callable[..., Any], **arguments: Any) -> dict[str, Any] | None:
        """Return an answer, None when the call fails or what it asks for went away meanwhile."""
        try:
            with translated(action):
                return {key: value for key, value in call(**arguments).items() if key != "ResponseMetadata"}
        except NotFound:
            return None
        except SeawallError as error:
            self._fail(action, error)
            return None

    def _fail(self, action: str, error: SeawallError) -> None:
        self.whole = False
        self.failed.add(action)
        note = Note(f"{self._region} {action}", str(error))
        if note not in self._collected.notes:
            self._collected.notes.append(note)


def _batches(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), 100):
        yield items[start : start + 100]


def _pages(service: Any, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
    for page in service.get_paginator(operation).paginate(**arguments):
        yield from page.get(key, ())


def _add(collected: Collected, answer: dict[str, Any], region: str) -> None:
    collected.objects += cloud_objects(_plain(answer), region)


def _obj(kind: str, name: str, body: dict[str, Any], region: str) -> Obj:
    return Obj(_plain(body | {"region": region}), kind=kind, name=name, source=region)


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """A document as JSON gives it: times are text."""
    result: dict[str, Any] = json.loads(json.dumps(value, default=str))
    return result


def _eks_cluster(name: str, region: str, described: dict[str, Any]) -> Any:
    """The objects in an EKS cluster, signed in as the role (an access entry must let it in)."""
    from seawall.adapters.kubernetes.access import Access, trusting
    from seawall.adapters.kubernetes.client import KubeClient
    from seawall.adapters.kubernetes.listing import ClusterSource

    def connect() -> KubeClient:
        authority = described.get("certificateAuthority", {}).get("data", "")
        if not described.get("endpoint"):
            raise Denied(f"the EKS cluster {name} has no endpoint yet")
        access = Access(described["endpoint"], name, trusting(authority), lambda: _eks_token(name, region))
        return KubeClient(access)

    return ClusterSource(name, connect)


def _eks_token(name: str, region: str) -> str:
    """A signed request to STS that says who we are, as the EKS authenticator takes it; 60 s to use, made when needed."""
    from base64 import urlsafe_b64encode

    from botocore.signers import RequestSigner

    with translated("sts:GetCallerIdentity"):
        sts = client("sts", region)
        signer = RequestSigner(
            sts.meta.service_model.service_id, region, "sts", "v4", sts._request_signer._credentials, sts.meta.events
        )
        url = signer.generate_presigned_url(
            {
                "method": "GET",
                "url": f"https://sts.{region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
                "body": {},
                "headers": {"x-k8s-aws-id": name},
                "context": {},
            },
            region_name=region,
            expires_in=60,
            operation_name="",
        )
    return "k8s-aws-v1." + urlsafe_b64encode(url.encode()).decode().rstrip("=")
