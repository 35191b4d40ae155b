"""Identities of the cloud that workloads and nodes carry, and what they reach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from seawall.graph.model import Step, Vertex, VertexKind, attack_edge
from seawall.graph.scene import CLUSTER_ADMIN, Scene, account, owner
from seawall.posture.checks.network_policies import directions, policies_for
from seawall.posture.clouds import ACR, AKS, EKS_GROUP, GKE, IAM_ROLE, LAUNCH_TEMPLATE, ROLE_ASSIGNMENT
from seawall.posture.objects import Obj, as_items, mapping, mappings, text, texts

K = VertexKind
_ANNOTATIONS: Final = ("eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id")  # fmt: skip
_OWNER: Final = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
_CONTRIBUTOR: Final = "b24988ac-6180-42a0-ab88-20f7382dd24c"
_PUSH: Final = frozenset({_OWNER, _CONTRIBUTOR, "8311e382-0749-4cb8-b61a-304f252e45ec", "2a1e307c-b015-4ebd-883e-5b7698a07328"})  # fmt: skip
"""Owner, Contributor, AcrPush, Container Registry Repository Writer. Source: Azure built-in roles."""
_COMMAND: Final = frozenset({_OWNER, _CONTRIBUTOR, "0ab0b1a8-8aac-4efd-b8c2-3ee1fb270be8", "ed7f3fbd-7b88-4dd4-9017-9adb7ce333f8"})  # fmt: skip
"""Owner, Contributor, AKS Cluster Admin Role, AKS Contributor Role. Source: Azure built-in roles."""


def cloud(name: str) -> Vertex:
    """Return a cloud identity; Azure's are named by client or principal id, AWS's by role ARN, Google's by mail address."""
    return Vertex(K.CLOUD_IDENTITY, "", name)


@attack_edge(
    id="WORKLOAD_IDENTITY", title="Exchange a service account's token for a cloud identity", source=K.IDENTITY, target=K.CLOUD_IDENTITY, technique="T1078.004", likelihood=0.95,
    precondition="the service account names a role (IRSA, workload identity) or a pod identity association names it",
    remedy="Remove the federation, or give the role fewer rights.",
)  # fmt: skip
def workload_identity(scene: Scene) -> Iterator[Step]:
    for (namespace, name), obj in scene.world.service_accounts.items():
        for key in _ANNOTATIONS:
            if value := text(obj.annotations.get(key)):
                yield Step(account(namespace, name), cloud(value), f"ServiceAccount {namespace}/{name}: {key}")
    for obj in scene.world.of("AWS::EKS::PodIdentityAssociation"):
        namespace, name, role = (text(obj.body.get(key)) for key in ("namespace", "serviceAccount", "roleArn"))
        if namespace and name and role:
            yield Step(account(namespace, name), cloud(role), f"pod identity association of {namespace}/{name}")


def node_identities(scene: Scene) -> list[Vertex]:
    """Return the identities of nodes; one named after the provider where its answers were not collected."""
    found: list[str] = []
    for obj in scene.world.of(AKS):
        profile = mapping(mapping(mapping(obj.body.get("properties")).get("identityProfile")).get("kubeletidentity"))
        found.append(text(profile.get("objectId")) or text(profile.get("clientId")))
    found += [text(obj.body.get("nodeRole")) for obj in scene.world.of(EKS_GROUP)]
    for obj in scene.world.of(GKE):
        for pool in mappings(obj.body.get("nodePools")):
            found.append(text(mapping(pool.get("config")).get("serviceAccount")))
    names = sorted(set(found) - {""})
    if not names and scene.world.provider:
        names = [f"node identity of {scene.world.provider}"]
    return [cloud(name) for name in names]


@attack_edge(
    id="METADATA_STEAL", title="Take the node's cloud token from the metadata service", source=K.CONTAINER, target=K.CLOUD_IDENTITY, technique="T1552.005", likelihood=0.8,
    precondition="a managed cluster, and neither an egress policy nor the provider's protection keeps pods from 169.254.169.254",
    remedy="Limit the hop count (EKS), use GKE_METADATA (GKE), or deny 169.254.169.254 by NetworkPolicy.",
    controls=("WL-064", "EK-11", "GK-07", "NW-022"),
)  # fmt: skip
def metadata_steal(scene: Scene) -> Iterator[Step]:
    identities = node_identities(scene)
    if not identities:
        return
    protected = _metadata_protected(scene)
    for unit in scene.units:
        on_host = unit.workload.spec.get("hostNetwork") is True
        if protected and not on_host:
            continue
        if not on_host and any("Egress" in directions(item) for item in policies_for(unit.workload, scene.world)):
            continue
        for vertex, _ in unit.containers:
            for target in identities:
                yield Step(vertex, target, f"{owner(unit)}: the metadata service answers")


def _metadata_protected(scene: Scene) -> bool:
    templates = scene.world.of(LAUNCH_TEMPLATE)
    options = [mapping(mapping(obj.body.get("launchTemplateData")).get("metadataOptions")) for obj in templates]
    if options and all(
        item.get("httpTokens") == "required" and item.get("httpPutResponseHopLimit") == 1 for item in options
    ):
        return True
    pools = [pool for obj in scene.world.of(GKE) for pool in mappings(obj.body.get("nodePools"))]
    return bool(pools) and all(
        mapping(mapping(pool.get("config")).get("workloadMetadataConfig")).get("mode") == "GKE_METADATA"
        for pool in pools
    )


def assignments(scene: Scene) -> Iterator[tuple[Vertex, str, str]]:
    """Yield principal, id of the role and scope of every Azure role assignment."""
    for obj in scene.world.of(ROLE_ASSIGNMENT):
        body = mapping(obj.body.get("properties")) or obj.body
        principal, scope = text(body.get("principalId")), text(body.get("scope"))
        if principal and scope:
            yield cloud(principal), text(body.get("roleDefinitionId")).rsplit("/", 1)[-1].lower(), scope


def statements(role: Obj) -> Iterator[dict[str, Any]]:
    """Yield the allowing statements of an IAM role's inline policies."""
    for policy in mappings(role.body.get("policies")):
        document = mapping(policy.get("policyDocument"))
        for item in as_items(document.get("statement") or document.get("Statement")):
            if isinstance(item, dict) and (item.get("effect") or item.get("Effect")) == "Allow":
                yield {str(key).lower(): value for key, value in item.items()}


def role_name(role: Obj) -> Vertex:
    """Return the identity of an IAM role."""
    return cloud(text(role.body.get("arn")) or role.name)


def _strings(value: object) -> list[str]:
    return [value] if isinstance(value, str) else texts(value)


@attack_edge(
    id="CLOUD_PRIV", title="Use a cloud identity's rights", source=K.CLOUD_IDENTITY, target=K.CLOUD_RESOURCE, technique="T1078.004", likelihood=0.9,
    precondition="a role assignment or policy of the identity reaches the resource", remedy="Narrow the role or its scope.",
    controls=("RG-09", "AK-31"),
)  # fmt: skip
def cloud_priv(scene: Scene) -> Iterator[Step]:
    for principal, role, scope in assignments(scene):
        yield Step(principal, Vertex(K.CLOUD_RESOURCE, "", scope), f"role assignment {role} on {scope}")
    for obj in scene.world.of(IAM_ROLE):
        for arn in texts(obj.body.get("managedPolicyArns")):
            yield Step(role_name(obj), Vertex(K.CLOUD_RESOURCE, "", arn), f"policy {arn} of role {obj.name}")
        for statement in statements(obj):
            for resource in _strings(statement.get("resource")):
                yield Step(role_name(obj), Vertex(K.CLOUD_RESOURCE, "", resource), f"inline policy of role {obj.name}")


@attack_edge(
    id="REGISTRY_PUSH", title="Replace an image that workloads pull by tag", source=K.CLOUD_IDENTITY, target=K.IMAGE, technique="T1525", likelihood=0.6,
    precondition="push right on a registry from which running workloads pull by tag instead of digest",
    remedy="Give pull instead of push, make tags immutable, or pull by digest.",
    controls=("RG-09", "RG-13", "WL-043"),
)  # fmt: skip
def registry_push(scene: Scene) -> Iterator[Step]:
    images: dict[str, set[str]] = defaultdict(set)
    for _, _, item in scene.containers():
        if not item.image.digest:
            images[item.image.registry].add(item.image.raw)
    hosts = {text(obj.body.get("id")).lower(): f"{obj.name.lower()}.azurecr.io" for obj in scene.world.of(ACR)}
    for principal, role, scope in assignments(scene):
        if role in _PUSH:
            for registry, host in hosts.items():
                if registry.startswith(scope.lower().rstrip("/")):
                    for raw in sorted(images.get(host, ())):
                        yield Step(principal, Vertex(K.IMAGE, "", raw), f"role assignment {role} on {scope}")
    for obj in scene.world.of(IAM_ROLE):
        if any(action in {"*", "ecr:*", "ecr:PutImage"} for item in statements(obj) for action in _strings(item.get("action"))):  # fmt: skip
            for host, raws in images.items():
                if ".dkr.ecr." in host:
                    for raw in sorted(raws):
                        yield Step(role_name(obj), Vertex(K.IMAGE, "", raw), f"inline policy of role {obj.name}")


@attack_edge(
    id="IMAGE_RUN", title="Run in every container of a replaced image", source=K.IMAGE, target=K.CONTAINER, technique="T1610", likelihood=0.9,
    precondition="the container runs the image by tag", remedy="Pull by digest.",
    controls=("WL-043",),
)  # fmt: skip
def image_run(scene: Scene) -> Iterator[Step]:
    for unit, vertex, item in scene.containers():
        if item.image.raw and not item.image.digest:
            yield Step(Vertex(K.IMAGE, "", item.image.raw), vertex, f"{owner(unit)}: {item.image.raw}")


@attack_edge(
    id="AKS_COMMAND_INVOKE", title="Run commands as cluster admin through Azure", source=K.CLOUD_IDENTITY, target=K.CLUSTER_ADMIN, technique="T1609", likelihood=0.9,
    precondition="run command is not disabled and a role assignment covers the cluster with it or with its admin credential",
    remedy="Set `disableRunCommand` and `disableLocalAccounts`, or narrow the role.",
    controls=("AK-08", "AK-19", "AK-31"),
)  # fmt: skip
def command_invoke(scene: Scene) -> Iterator[Step]:
    for obj in scene.world.of(AKS):
        properties = mapping(obj.body.get("properties"))
        if mapping(properties.get("apiServerAccessProfile")).get("disableRunCommand") is True and properties.get("disableLocalAccounts") is True:  # fmt: skip
            continue
        own = text(obj.body.get("id")).lower()
        for principal, role, scope in assignments(scene):
            if role in _COMMAND and own.startswith(scope.lower().rstrip("/")):
                yield Step(principal, CLUSTER_ADMIN, f"role assignment {role} on {scope}")
