"""Recognises cloud resources in API answers, templates and plans, and gives them one shape per kind.

The shape is that of the provider's API: ARM resources with `properties`, EKS, ECR and GKE resources in lower camel case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from seawall.posture.objects import Obj, as_items, mapping, mappings, sequence, text, texts
from seawall.posture.terraform.plans import terraform_resources

AKS: Final = "Microsoft.ContainerService/managedClusters"
AKS_POOL: Final = "Microsoft.ContainerService/managedClusters/agentPools"
ACR: Final = "Microsoft.ContainerRegistry/registries"
DIAGNOSTICS: Final = "Microsoft.Insights/diagnosticSettings"
ROLE_ASSIGNMENT: Final = "Microsoft.Authorization/roleAssignments"
PRICING: Final = "Microsoft.Security/pricings"
EXTENSION: Final = "Microsoft.KubernetesConfiguration/extensions"
ARC: Final = "Microsoft.Kubernetes/connectedClusters"
ASSESSMENT: Final = "Microsoft.Security/assessments"
ACR_TOKEN: Final = "Microsoft.ContainerRegistry/registries/tokens"  # noqa: S105 - a resource type
ACR_CACHE: Final = "Microsoft.ContainerRegistry/registries/cacheRules"
EKS: Final = "AWS::EKS::Cluster"
EKS_GROUP: Final = "AWS::EKS::Nodegroup"
EKS_ADDON: Final = "AWS::EKS::Addon"
EKS_ENTRY: Final = "AWS::EKS::AccessEntry"
FARGATE: Final = "AWS::EKS::FargateProfile"
ECR: Final = "AWS::ECR::Repository"
ECR_REGISTRY: Final = "AWS::ECR::RegistryScanningConfiguration"
LAUNCH_TEMPLATE: Final = "AWS::EC2::LaunchTemplate"
GUARD_DUTY: Final = "AWS::GuardDuty::Detector"
IAM_ROLE: Final = "AWS::IAM::Role"
GKE: Final = "container.googleapis.com/Cluster"
GKE_POOL: Final = "container.googleapis.com/NodePool"
ARTIFACTS: Final = "artifactregistry.googleapis.com/Repository"
FIREWALL: Final = "compute.googleapis.com/Firewall"

_ARM: Final = {
    name.lower(): name
    for name in (
        AKS,
        AKS_POOL,
        ACR,
        ACR_TOKEN,
        ACR_CACHE,
        DIAGNOSTICS,
        ROLE_ASSIGNMENT,
        PRICING,
        ASSESSMENT,
        EXTENSION,
        ARC,
    )
}
_AZURE_ID: Final = re.compile(r"/providers/(Microsoft\.[\w.]+)/(\w+)/[^/]+(?:/(\w+)/[^/]+)?$", re.IGNORECASE)
_CLOUD_FORMATION: Final = frozenset({EKS, EKS_GROUP, EKS_ADDON, EKS_ENTRY, FARGATE, ECR, LAUNCH_TEMPLATE, IAM_ROLE})
UNRESOLVED: Final = re.compile(
    r"^\s*(\$\{.*\}|\[(parameters|variables|if|concat|reference|resourceGroup)\(.*\]|\{\{.*\}\})\s*$", re.DOTALL
)
"""A value that a template leaves to its deployment."""


def cloud_objects(value: dict[str, Any], source: str) -> list[Obj]:
    """Return the cloud resources that a decoded document holds; empty when it is something else."""
    return [Obj(body, kind=kind, name=name, source=source) for kind, name, body in _resources(value, 0)]


Found = Iterator[tuple[str, str, dict[str, Any]]]


def _resources(value: dict[str, Any], depth: int) -> Found:
    if depth > 4:
        return
    if set(value) <= {"status_code", "data", "body", "headers", "ResponseMetadata"} and (
        "data" in value or "body" in value
    ):
        inner = value.get("data", value.get("body"))
        if isinstance(inner, str):
            try:
                inner = json.loads(inner)
            except ValueError:
                return
        for item in as_items(inner):
            if isinstance(item, dict):
                yield from _resources(item, depth + 1)
        return
    if "planned_values" in value or "resource" in value or "root_module" in mapping(value.get("values")):
        yield from terraform_resources(value)
    elif any(text(mapping(item).get("Type")).startswith("AWS::") for item in mapping(value.get("Resources")).values()):
        yield from _cloud_formation(value)
    elif isinstance(value.get("resources"), list | dict) and "$schema" in value:
        yield from _arm_template(_defaulted(value["resources"], _defaults(value)), 0)
    elif arm := _arm_kind(value):
        yield from _arm_resource(arm, value)
    else:
        yield from _answers(value, depth)


def _arm_kind(value: dict[str, Any]) -> str:
    """Return the ARM type of a resource, by its `type`, else by its id."""
    kind = _ARM.get(text(value.get("type")).lower(), "")
    if not kind and (match := _AZURE_ID.search(text(value.get("id")))):
        kind = _ARM.get("/".join(part for part in match.groups() if part).lower(), "")
    return kind


_ARM_TOP: Final = frozenset(
    {
        "id",
        "name",
        "type",
        "location",
        "tags",
        "sku",
        "identity",
        "properties",
        "apiVersion",
        "kind",
        "zones",
        "plan",
        "systemData",
        "resourceGroup",
        "dependsOn",
        "etag",
        "extendedLocation",
        "resources",
        "comments",
    }
)


_SPELLINGS: Final = {
    name.lower(): name
    for name in (
        "adminGroupObjectIDs", "apiServerAuthorizedIPRanges", "authorizedIPRanges", "azureADAuthenticationAsArmPolicy",
        "blobCSIDriver", "diskCSIDriver", "diskEncryptionSetID", "enableAzureRBAC", "enableFIPS", "enableNodePublicIP",
        "enableRBAC", "enableVTPM", "fileCSIDriver", "nodeOSUpgradeChannel", "osSKU", "podSubnetID", "vnetSubnetID",
    )
}  # fmt: skip
"""Names whose capitals the command line and the SDKs write otherwise than the API (authorizedIpRanges, enable_rbac)."""
_FREE_KEYS: Final = frozenset(
    {"tags", "nodeLabels", "node_labels", "userAssignedIdentities", "user_assigned_identities"}
)


def _spelled(value: Any, depth: int = 0) -> Any:
    """Return a resource's properties with its keys as the Azure API spells them."""
    if depth > 40:
        return value
    if isinstance(value, list):
        return [_spelled(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        _SPELLINGS.get(key.replace("_", "").lower()) or _camel(key): item
        if key in _FREE_KEYS
        else _spelled(item, depth + 1)
        for key, item in value.items()
        if isinstance(key, str)
    }


def _arm_resource(kind: str, value: dict[str, Any]) -> Found:
    body = value
    if "properties" not in value:
        # `az ... show` prints the properties at the top.
        body = {key: item for key, item in value.items() if key in _ARM_TOP}
        body["properties"] = {key: item for key, item in value.items() if key not in _ARM_TOP}
    body = {key: _spelled(item) if key == "properties" else item for key, item in body.items()}
    yield kind, text(value.get("name")) or text(value.get("id")).rsplit("/", 1)[-1], body


_PARAMETER: Final = re.compile(r"^\[(parameters|variables)\('([\w-]+)'\)\]$")


def _defaults(template: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """Return the default values of a template's parameters, and its variables."""
    found: dict[tuple[str, str], Any] = {}
    for name, item in mapping(template.get("parameters")).items():
        if "defaultValue" in mapping(item):
            found["parameters", str(name)] = item["defaultValue"]
    for name, item in mapping(template.get("variables")).items():
        found["variables", str(name)] = item
    return found


def _defaulted(value: Any, defaults: dict[tuple[str, str], Any], depth: int = 0) -> Any:
    """Return a part of a template with whole-value references replaced by their defaults."""
    if depth > 60:
        return value
    if isinstance(value, str) and (match := _PARAMETER.match(value)) and (match[1], match[2]) in defaults:
        return defaults[match[1], match[2]]
    if isinstance(value, list):
        return [_defaulted(item, defaults, depth + 1) for item in value]
    if isinstance(value, dict):
        return {key: _defaulted(item, defaults, depth + 1) for key, item in value.items()}
    return value


def _arm_template(resources: Any, depth: int) -> Found:
    items = list(resources.values()) if isinstance(resources, dict) else resources
    for item in mappings(items):
        if kind := _arm_kind(item):
            yield from _arm_resource(kind, item)
        nested = mapping(mapping(item.get("properties")).get("template")).get("resources")
        for inner in (item.get("resources"), nested):
            if isinstance(inner, list | dict) and depth < 6:
                yield from _arm_template(inner, depth + 1)


def camel(value: Any, depth: int = 0) -> Any:
    """Return a document with its keys in lower camel case, from snake case or Pascal case; tags are left alone."""
    if depth > 40:
        return value
    if isinstance(value, list):
        return [camel(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        _camel(key): item if key in {"tags", "Tags", "labels", "resourceLabels"} else camel(item, depth + 1)
        for key, item in value.items()
        if isinstance(key, str)
    }


def _camel(key: str) -> str:
    if "_" in key.strip("_"):
        head, *rest = key.strip("_").split("_")
        return head + "".join(part[:1].upper() + part[1:] for part in rest)
    return key[:1].lower() + key[1:] if key[:1].isupper() and not key.isupper() else key


def _cloud_formation(value: dict[str, Any]) -> Found:
    policies: dict[str, Any] = {}
    for name, item in mapping(value.get("Resources")).items():
        kind, properties = text(mapping(item).get("Type")), mapping(mapping(item).get("Properties"))
        if kind not in _CLOUD_FORMATION:
            continue
        if kind == ECR:
            body = camel({key: part for key, part in properties.items() if key != "RepositoryPolicyText"})
            if "RepositoryPolicyText" in properties:
                body["policy"] = properties["RepositoryPolicyText"]
            if "lifecyclePolicy" in body:
                body["lifecyclePolicyText"] = text(mapping(body["lifecyclePolicy"]).get("lifecyclePolicyText")) or "set"
        else:
            body = camel(properties)
        if kind == EKS:
            logging = mapping(mapping(body.get("logging")).get("clusterLogging"))
            types = [text(mapping(entry).get("type")) for entry in sequence(logging.get("enabledTypes"))]
            body["logging"] = {"clusterLogging": [{"enabled": True, "types": types}]}
        yield kind, text(properties.get("Name")) or text(properties.get("RepositoryName")) or str(name), body
    _ = policies


def _answers(value: dict[str, Any], depth: int) -> Found:
    """Answers of describe and list calls, in the words of SDK, CLI or REST."""
    body = camel(value)
    if "resourcesVpcConfig" in body or ("certificateAuthority" in body and "roleArn" in body):
        yield EKS, text(body.get("name")), body
    elif isinstance(body.get("cluster"), dict) and depth < 4:
        yield from _answers(body["cluster"], depth + 1) if "nodePools" in body["cluster"] else _eks(body["cluster"])
    elif isinstance(body.get("nodegroup"), dict):
        yield EKS_GROUP, text(body["nodegroup"].get("nodegroupName")), body["nodegroup"]
    elif isinstance(body.get("addon"), dict):
        yield EKS_ADDON, text(body["addon"].get("addonName")), body["addon"]
    elif isinstance(body.get("accessEntry"), dict):
        yield EKS_ENTRY, text(body["accessEntry"].get("principalArn")), body["accessEntry"]
    elif isinstance(body.get("fargateProfile"), dict):
        yield FARGATE, text(body["fargateProfile"].get("fargateProfileName")), body["fargateProfile"]
    elif "scanningConfiguration" in body:
        yield ECR_REGISTRY, text(body.get("registryId")) or "registry", body
    elif isinstance(body.get("launchTemplateVersions"), list):
        for item in mappings(body["launchTemplateVersions"]):
            yield LAUNCH_TEMPLATE, text(item.get("launchTemplateName")), item
    elif "findingPublishingFrequency" in body and ("features" in body or "dataSources" in body):
        yield GUARD_DUTY, text(body.get("detectorId")) or "detector", body
    elif isinstance(body.get("repositories"), list):
        for item in mappings(body["repositories"]):
            yield from _repository(item)
    elif isinstance(body.get("registries"), list) and any("format" in mapping(item) for item in body["registries"]):
        for item in mappings(body["registries"]):
            yield from _repository(item)
    elif (
        "repositoryUri" in body
        or "repositoryArn" in body
        or ("format" in body and ("repositories/" in text(body.get("name")) or "vulnerabilityScanningConfig" in body))
    ):
        yield from _repository(body)
    elif isinstance(body.get("clusters"), list):
        for item in mappings(body["clusters"]):
            yield from (
                _gke(item)
                if "nodePools" in item or "currentMasterVersion" in item or "selfLink" in item
                else _eks(item)
            )
    elif "currentMasterVersion" in body or "nodePools" in body or "masterAuth" in body:
        yield from _gke(body)
    elif isinstance(value.get("value"), list) and depth < 4:
        for item in mappings(value["value"]):
            yield from _resources(item, depth + 1)
    elif depth < 2 and len(value) <= 20:
        # Samples that keep several recorded answers under names of their own.
        for inner in value.values():
            for item in as_items(inner):
                if isinstance(item, dict) and (
                    _arm_kind(item) or "ResponseMetadata" in item or "repositoryUri" in item or "status_code" in item
                ):
                    yield from _resources(item, depth + 2)


def _eks(body: dict[str, Any]) -> Found:
    if "name" in body or "arn" in body:
        yield EKS, text(body.get("name")), body


def _gke(body: dict[str, Any]) -> Found:
    yield GKE, text(body.get("name")), body


def _repository(body: dict[str, Any]) -> Found:
    if "repositoryUri" in body or "repositoryName" in body:
        yield ECR, text(body.get("repositoryName")), body
    else:
        yield ARTIFACTS, text(body.get("name")).rsplit("/", 1)[-1], body


def described(obj: Obj) -> tuple[str, dict[str, Any]] | None:
    """Return type and body of a record that another tool's collector wraps around a cloud's answer; None for others."""
    data = mapping(obj.body.get("data"))
    api = obj.api_version
    if obj.kind == "ClusterDescribe":
        if api.startswith("eks."):
            return EKS, mapping(camel(data).get("cluster"))
        if api.startswith("management.azure."):
            return AKS, data
        if api.startswith("container.googleapis."):
            return GKE, camel(data)
    return None


def expand(obj: Obj) -> list[Obj]:
    """Return the cloud resources inside a collector's record; empty when it is none."""
    found = described(obj)
    if found is not None:
        return [Obj(found[1], kind=found[0], name=text(found[1].get("name")) or obj.name, source=obj.source)]
    data = camel(mapping(obj.body.get("data")))
    if obj.kind == "DescribeRepositories":
        return [Obj(body, kind=kind, name=name, source=obj.source) for kind, name, body in _answers(data, 0)]
    if obj.kind == "ListEntitiesForPolicies" and isinstance(data.get("roleAssignments"), list):
        return [
            Obj(item, kind=ROLE_ASSIGNMENT, name=text(item.get("name")), source=obj.source)
            for item in mappings(data["roleAssignments"])
        ]
    return []


def is_unresolved(value: object) -> bool:
    """Whether a template leaves the value to its deployment."""
    return isinstance(value, str) and bool(UNRESOLVED.match(value))


Check = Callable[[Obj], bool]
__all__ = ["cloud_objects", "expand", "texts"]
