"""Cloud resources as assets: clusters, node pools, registries, services, with the account that they are in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from seawall.assets.ids import cluster_id, image_id, registry_id
from seawall.assets.reduce import without_values
from seawall.domain.assets import Asset, AssetState, Relation
from seawall.posture.objects import Obj, mapping, mappings, text

KINDS: Final = {
    "Microsoft.ContainerService/managedClusters": "CloudCluster",
    "Microsoft.Kubernetes/connectedClusters": "CloudCluster",
    "Microsoft.ContainerService/managedClusters/agentPools": "NodePool",
    "Microsoft.ContainerRegistry/registries": "CloudRegistry",
    "Microsoft.Authorization/roleAssignments": "CloudRoleAssignment",
    "AWS::EKS::Cluster": "CloudCluster",
    "AWS::EKS::Nodegroup": "NodePool",
    "AWS::EKS::FargateProfile": "NodePool",
    "AWS::EKS::AccessEntry": "CloudRoleAssignment",
    "AWS::ECR::Repository": "Repository",
    "AWS::ECS::Cluster": "CloudCluster",
    "AWS::ECS::Task": "CloudWorkload",
    "container.googleapis.com/Cluster": "CloudCluster",
    "container.googleapis.com/NodePool": "NodePool",
    "artifactregistry.googleapis.com/Repository": "Repository",
    "run.googleapis.com/Service": "CloudWorkload",
    "registry/Repository": "Repository",
}
"""Kinds of collected cloud objects, and what they are in the graph."""


def cloud_states(objects: Iterable[Obj], scope: str) -> Iterator[AssetState]:
    """Yield the assets of cloud objects, their accounts included."""
    accounts: dict[str, AssetState] = {}
    for obj in objects:
        kind = KINDS.get(obj.kind)
        if kind is None:
            continue
        identifier, account = cloud_id(obj), account_of(obj)
        if not identifier:
            continue
        parent = text(obj.body.get("seawall:parent")) or account
        properties = {"type": obj.kind} | _properties(obj)
        relations = sorted({item for item in _targets(obj) if item[1] and item[1] != identifier})
        yield AssetState(
            scope,
            Asset(identifier, kind, obj.name or identifier.rsplit("/", 1)[-1], parent, properties),
            "",
            tuple(Relation(identifier, name, target) for name, target in relations),
            without_values(obj.body),
        )
        if account:
            accounts[account] = AssetState(scope, Asset(account, "Account", account.rsplit("/", 1)[-1]))
    yield from (replace(state, scope=scope) for state in accounts.values())


def cloud_id(obj: Obj) -> str:
    """Return the provider's own id of a resource: ARM id in lower case, ARN, full resource name; empty when it has none."""
    body = obj.body
    arm = text(body.get("id"))
    if arm.startswith("/subscriptions/"):
        return arm.lower()
    for name in (
        "arn", "repositoryArn", "nodegroupArn", "fargateProfileArn", "accessEntryArn", "clusterArn", "taskArn", "addonArn",
    ):  # fmt: skip
        if text(body.get(name)).startswith("arn:"):
            return text(body[name])
    if link := text(body.get("selfLink")):
        return "//container.googleapis.com/" + link.partition("/v1/")[2]
    host = {"artifactregistry.googleapis.com/Repository": "artifactregistry", "run.googleapis.com/Service": "run"}
    if obj.kind in host and text(body.get("name")).startswith("projects/"):
        return f"//{host[obj.kind]}.googleapis.com/{text(body['name'])}"
    if obj.kind == "registry/Repository":
        return f"repository:{text(body.get('registry'))}/{text(body.get('name'))}"
    return ""


def account_of(obj: Obj) -> str:
    """Return the id of the subscription, account or project that a resource is in."""
    identifier = cloud_id(obj)
    if identifier.startswith("/subscriptions/"):
        return "/".join(identifier.split("/")[:3])
    if identifier.startswith("arn:"):
        parts = identifier.split(":")
        return f"arn:{parts[1]}:iam::{parts[4]}:root" if len(parts) > 4 and parts[4] else ""
    if identifier.startswith("//") and "/projects/" in identifier:
        return (
            "//cloudresourcemanager.googleapis.com/projects/" + identifier.partition("/projects/")[2].partition("/")[0]
        )
    return ""


def _properties(obj: Obj) -> dict[str, Any]:
    body, inner = obj.body, mapping(obj.body.get("properties"))
    found = {
        "location": text(body.get("location")) or text(body.get("region")),
        "version": text(inner.get("currentKubernetesVersion"))
        or text(inner.get("kubernetesVersion"))
        or text(body.get("version"))
        or text(body.get("currentMasterVersion")),
        "tags": {
            key: value
            for key, value in mapping(body.get("tags") or body.get("resourceLabels") or body.get("labels")).items()
            if isinstance(value, str)
        },
        "launch": text(body.get("launchType")),
    }
    return {key: value for key, value in found.items() if value}


def _targets(obj: Obj) -> Iterator[tuple[str, str]]:
    body, inner = obj.body, mapping(obj.body.get("properties"))
    if scope := text(body.get("seawall:cluster")):
        yield "serves", cluster_id(scope)
    for identity in mapping(mapping(body.get("identity")).get("userAssignedIdentities")):
        yield "runs-as", identity.lower()
    kubelet = mapping(mapping(inner.get("identityProfile")).get("kubeletidentity"))
    yield "nodes-run-as", text(kubelet.get("resourceId")).lower()
    if client := text(kubelet.get("clientId")):
        yield "nodes-run-as", f"azure-client:{client.lower()}"
    if obj.kind.endswith("roleAssignments"):
        yield "on", text(inner.get("scope")).lower()
        yield "to", f"azure-principal:{text(inner.get('principalId')).lower()}" if inner.get("principalId") else ""
        yield "grants", text(inner.get("roleDefinitionId")).lower()
    for name, relation in (
        ("roleArn", "runs-as"), ("nodeRole", "nodes-run-as"), ("podExecutionRoleArn", "runs-as"),
        ("taskRoleArn", "runs-as"), ("principalArn", "to"),
    ):  # fmt: skip
        yield relation, text(body.get(name))
    node = mapping(body.get("config")) or mapping(body.get("nodeConfig"))
    if account := text(node.get("serviceAccount")):
        yield "nodes-run-as", f"//iam.googleapis.com/serviceAccounts/{account}"
    template = mapping(body.get("template"))
    if account := text(template.get("serviceAccount")):
        yield "runs-as", f"//iam.googleapis.com/serviceAccounts/{account}"
    for item in mappings(template.get("containers")) + mappings(body.get("containers")):
        if reference := text(item.get("image")):
            yield "runs", image_id(reference, text(item.get("imageDigest")))
    if host := text(inner.get("loginServer")):
        yield "is", f"registry:{host.lower()}"
    if uri := text(body.get("repositoryUri")):
        yield "in", registry_id(uri)
    if obj.kind == "registry/Repository" and text(body.get("registry")):
        yield "in", f"registry:{text(body['registry'])}"
