"""Container registries of three clouds."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Final

from seawall.domain.posture import Status
from seawall.posture.check import Finding, check, fail, manual, not_applicable, unknown
from seawall.posture.clouds import (
    ACR,
    ACR_CACHE,
    ACR_TOKEN,
    ARTIFACTS,
    ASSESSMENT,
    ECR,
    ECR_REGISTRY,
    PRICING,
    ROLE_ASSIGNMENT,
    is_unresolved,
)
from seawall.posture.fields import FieldControl, Op, Rule
from seawall.posture.objects import Obj, as_items, dig, mapping, mappings, sequence, text, texts, truth
from seawall.posture.terraform.policies import policy_document
from seawall.posture.world import World

FAIL: Final = Status.FAIL
TABLE: Final = (
    FieldControl("RG-01", (Rule("properties.adminUserEnabled", Op.IS_NOT, True),), kinds=(ACR,)),
    FieldControl("RG-05", (Rule("properties.encryption.status", Op.IS, "enabled", absent=FAIL),), kinds=(ACR,)),
    FieldControl(
        "RG-13",
        (Rule("imageTagMutability", Op.IS, "IMMUTABLE", absent=FAIL),),
        kinds=(ECR,),
    ),
    FieldControl(
        "RG-14",
        (Rule("encryptionConfiguration.encryptionType", Op.IN, frozenset({"KMS", "KMS_DSSE"}), absent=FAIL),),
        kinds=(ECR,),
    ),
)


def _properties(obj: Obj) -> dict[str, Any]:
    return mapping(obj.body.get("properties"))


@check("RG-02", on=ACR)
def anonymous_pull(obj: Obj, _: World) -> Iterator[Finding]:
    """`anonymousPullEnabled` is not true; the Basic tier has no such setting."""
    basic = text(mapping(obj.body.get("sku")).get("name")) in {"", "Basic"}
    if truth(_properties(obj).get("anonymousPullEnabled")) is True and not basic:
        yield fail("properties.anonymousPullEnabled", True, False)


@check("RG-03", on=ACR)
def public_network(obj: Obj, _: World) -> Iterator[Finding]:
    """`publicNetworkAccess` is Disabled, or the rules deny by default."""
    properties = _properties(obj)
    if text(properties.get("publicNetworkAccess")) == "Disabled":
        return
    if text(dig(properties, "networkRuleSet.defaultAction")) == "Deny" and text(
        properties.get("publicNetworkAccess")
    ) in {"", "Enabled"}:
        return
    if is_unresolved(properties.get("publicNetworkAccess")):
        yield unknown("the template leaves it to its deployment", "properties.publicNetworkAccess")
    else:
        yield fail("properties.publicNetworkAccess", properties.get("publicNetworkAccess"), "Disabled")


@check("RG-04", on=ACR)
def private_link(obj: Obj, _: World) -> Iterator[Finding]:
    """An approved private endpoint connection."""
    connections = mappings(_properties(obj).get("privateEndpointConnections"))
    for item in connections:
        state = dig(item, "properties.privateLinkServiceConnectionState.status") or dig(
            item, "privateLinkServiceConnectionState.status"
        )
        if state in (None, "Approved"):
            return
    yield fail("properties.privateEndpointConnections", len(connections), "an approved connection")


POLICIES: Final = {
    "quarantinePolicy": "enabled",
    "trustPolicy": "enabled",
    "retentionPolicy": "enabled",
    "exportPolicy": "disabled",
    "softDeletePolicy": "enabled",
}


@check("RG-06", on=ACR, wanted=("quarantinePolicy", "trustPolicy", "retentionPolicy"))
def registry_policies(obj: Obj, world: World) -> Iterator[Finding]:
    """`policies` of the registry that are wanted: quarantine, content trust, retention; export and soft delete on request."""
    policies = mapping(_properties(obj).get("policies"))
    for name in world.parameter("RG-06", "wanted", ("quarantinePolicy", "trustPolicy", "retentionPolicy")):
        state = mapping(policies.get(name)).get("status")
        if text(state).lower() != POLICIES.get(name, "enabled"):
            yield fail(f"properties.policies.{name}.status", state, POLICIES.get(name, "enabled"), part=name)


@check("RG-07", on=(ACR, ACR_TOKEN))
def tokens(obj: Obj, _: World) -> Iterator[Finding]:
    """Repository tokens are disabled, and ARM tokens are not accepted."""
    if obj.kind != ACR:
        if text(_properties(obj).get("status")) == "enabled":
            yield fail("properties.status", "enabled", "disabled")
        return
    state = dig(_properties(obj), "policies.azureADAuthenticationAsArmPolicy.status")
    if text(state).lower() != "disabled":
        yield fail(
            "properties.policies.azureADAuthenticationAsArmPolicy.status",
            state,
            "disabled",
            "the default is enabled" if state is None else "",
        )


@check("RG-08", on=(ACR, PRICING, ASSESSMENT, "ClusterDescribe"))
def scanning(obj: Obj, world: World) -> Iterator[Finding]:
    """The Containers plan of Defender, the cluster's Defender profile, or findings of another scanner."""
    if obj.kind == PRICING:
        if obj.name not in {"Containers", "ContainerRegistry"}:
            yield not_applicable("another plan")
        elif text(_properties(obj).get("pricingTier")) != "Standard":
            yield fail("properties.pricingTier", _properties(obj).get("pricingTier"), "Standard")
    elif obj.kind == "ClusterDescribe":
        if not obj.api_version.startswith("management.azure."):
            yield not_applicable("another cloud")
        elif dig(obj.body, "data.properties.securityProfile.defender.securityMonitoring.enabled") is not True:
            yield fail(
                "data.properties.securityProfile.defender.securityMonitoring.enabled",
                dig(obj.body, "data.properties.securityProfile.defender.securityMonitoring.enabled"),
                True,
            )
    elif obj.kind == ASSESSMENT:
        status = text(dig(obj.body, "properties.status.code"))
        if status == "Unhealthy":
            yield fail("properties.status.code", status, "Healthy", text(dig(obj.body, "properties.displayName")))
    else:
        plans = [item for item in world.of(PRICING) if item.name in {"Containers", "ContainerRegistry"}]
        if any(text(_properties(item).get("pricingTier")) == "Standard" for item in plans) or world.of(
            "ImageFindings", "VulnerabilityReport"
        ):
            return
        if plans:
            yield fail("", text(_properties(plans[0]).get("pricingTier")), "Standard", "the Defender plan is off")
        elif text(mapping(obj.body.get("sku")).get("name")) == "Basic":
            yield fail(
                "sku.name", "Basic", "a scanned registry", "no plan was collected, and nothing else scans this registry"
            )
        else:
            yield unknown("neither a Defender plan nor image findings were collected")


PUSH_ROLES: Final = {
    "8311e382-0749-4cb8-b61a-304f252e45ec": "AcrPush", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner", "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "2a1e307c-b015-4ebd-883e-5b7698a07328": "Container Registry Repository Writer",
}  # fmt: skip


@check("RG-09", on=(ACR, ECR, ARTIFACTS, "PolicyVersion"))
def who_pushes(obj: Obj, world: World) -> Iterator[Finding]:
    """Role assignments, repository policies and IAM bindings that let people push."""
    if obj.kind == "PolicyVersion":
        yield from _policies_present(obj)
        return
    if obj.kind == ACR:
        assignments = world.of(ROLE_ASSIGNMENT)
        if not assignments:
            yield unknown("role assignments were not collected")
        for item in assignments:
            role = PUSH_ROLES.get(text(_properties(item).get("roleDefinitionId")).rsplit("/", 1)[-1].lower())
            if role and text(_properties(item).get("principalType")) in {"User", "Group"}:
                yield fail(
                    "properties.principalId",
                    _properties(item).get("principalId"),
                    "a pipeline's identity",
                    role,
                    text(_properties(item).get("principalId")),
                    item,
                )
    elif obj.kind == ECR:
        for index, statement in enumerate(_statements(obj)):
            actions = [text(action) for action in (sequence(statement.get("Action")) or [statement.get("Action")])]
            if statement.get("Effect") == "Allow" and any(
                action in {"*", "ecr:*"} or action.startswith("ecr:Put") for action in actions
            ):
                yield fail(f"policy.Statement[{index}].Action", actions, "push for pipelines only", part=str(index))
        if not _statements(obj):
            yield manual("see in IAM who holds ecr:PutImage")
    else:
        bindings = mappings(mapping(obj.body.get("iamPolicy")).get("bindings"))
        if not bindings:
            yield unknown("the IAM policy was not collected")
        for binding in bindings:
            people = [
                member
                for member in texts(binding.get("members"))
                if member.startswith(("user:", "group:", "domain:", "all"))
            ]
            if (
                text(binding.get("role"))
                in {
                    "roles/artifactregistry.writer",
                    "roles/artifactregistry.repoAdmin",
                    "roles/artifactregistry.admin",
                    "roles/owner",
                    "roles/editor",
                }
                and people
            ):
                yield fail(
                    "iamPolicy.bindings",
                    people,
                    "a pipeline's identity",
                    text(binding.get("role")),
                    text(binding.get("role")),
                )


def _policies_present(obj: Obj) -> Iterator[Finding]:
    """A collector's record of the IAM policies around a registry: none at all means nothing restricts push."""
    documents = mapping(dig(obj.body, "data.policiesDocuments"))
    if obj.api_version.startswith("eks.") and not documents:
        yield fail("data.policiesDocuments", None, "policies that restrict push", "no policy restricts the registry")


PULL_ONLY: Final = frozenset({"7f951dda-4ed3-4680-a7ca-43fe172d538d", "b93aa761-3e63-49ed-ac28-beffa264f7ac"})


@check("RG-10", on=("Microsoft.ContainerService/managedClusters", "ListEntitiesForPolicies", "PolicyVersion"))
def pull_only(obj: Obj, world: World) -> Iterator[Finding]:
    """Roles of the kubelet's identity let pull and nothing more."""
    if obj.kind in {"ListEntitiesForPolicies", "PolicyVersion"}:
        yield not_applicable("judged with the registry")
        return
    identity = text(dig(obj.body, "properties.identityProfile.kubeletidentity.objectId"))
    if not identity or not world.of(ROLE_ASSIGNMENT):
        yield unknown("the kubelet identity's role assignments were not collected")
        return
    for item in world.of(ROLE_ASSIGNMENT):
        role = text(_properties(item).get("roleDefinitionId")).rsplit("/", 1)[-1].lower()
        if text(_properties(item).get("principalId")) == identity and role in PUSH_ROLES:
            yield fail("properties.roleDefinitionId", PUSH_ROLES[role], "AcrPull", target=item)


def _statements(obj: Obj) -> list[dict[str, Any]]:
    raw = obj.body.get("policy") or obj.body.get("policyText") or obj.body.get("repositoryPolicyText")
    return mappings(as_items(policy_document(raw).get("Statement")))


@check("RG-11", on=ECR)
def public_repository(obj: Obj, _: World) -> Iterator[Finding]:
    """Statements of the repository policy that allow every principal without a condition."""
    raw = obj.body.get("policy") or obj.body.get("policyText") or obj.body.get("repositoryPolicyText")
    statements = _statements(obj)
    if raw and not statements and not policy_document(raw):
        yield unknown("the policy is computed elsewhere", "policy")
    for index, statement in enumerate(statements):
        principal = statement.get("Principal")
        everyone = principal == "*" or any(
            "*" in (texts(value) or [text(value)]) for value in mapping(principal).values()
        )
        if statement.get("Effect", "Allow") == "Allow" and everyone and not statement.get("Condition"):
            yield fail(
                f"policy.Statement[{index}].Principal",
                principal,
                "named principals",
                part=str(statement.get("Sid") or index),
            )


def _is_scanned(config: dict[str, Any], repository: Obj | None) -> bool:
    """Whether the registry's rules scan a repository, or anything at all when none is named.

    A rule without filters concerns every repository; a filter is a name with `*` for any text. Enhanced scanning
    without rules covers nothing but what is named in Inspector, and is taken as on.
    """
    rules = mappings(config.get("rules"))
    if text(config.get("scanType")) == "ENHANCED" and not rules:
        return True
    name = "" if repository is None else text(repository.body.get("repositoryName")) or repository.name
    for rule in rules:
        if text(rule.get("scanFrequency")) not in {"SCAN_ON_PUSH", "CONTINUOUS_SCAN"}:
            continue
        filters = [text(item.get("filter")) for item in mappings(rule.get("repositoryFilters"))]
        if repository is None or not filters or any(fnmatchcase(name, entry) for entry in filters):
            return True
    return False


@check("RG-12", on=(ECR, ECR_REGISTRY))
def ecr_scanning(obj: Obj, world: World) -> Iterator[Finding]:
    """`imageScanningConfiguration.scanOnPush`, or enhanced scanning of the registry."""
    if obj.kind == ECR_REGISTRY:
        config = mapping(obj.body.get("scanningConfiguration"))
        if not _is_scanned(config, None):
            yield fail("scanningConfiguration.rules", config.get("rules"), "scan on push, or enhanced scanning")
        return
    for registry in world.of(ECR_REGISTRY):
        if _is_scanned(mapping(registry.body.get("scanningConfiguration")), obj):
            return
    value = dig(obj.body, "imageScanningConfiguration.scanOnPush")
    if truth(value) is not True:
        yield fail("imageScanningConfiguration.scanOnPush", value, True)


@check("RG-15", on=ECR)
def lifecycle(obj: Obj, _: World) -> Iterator[Finding]:
    """A lifecycle policy, which the API returns by a call of its own."""
    if obj.body.get("lifecyclePolicyText"):
        return
    from_api = bool(obj.body.get("repositoryArn") or obj.body.get("repositoryUri"))
    if from_api and "lifecyclePolicyText" not in obj.body:
        yield unknown("the lifecycle policy was not collected (ecr:GetLifecyclePolicy)", "lifecyclePolicyText")
    else:
        yield fail("lifecyclePolicyText", None, "set", "no lifecycle policy")


@check("RG-16", on=ARTIFACTS)
def artifact_scanning(obj: Obj, _: World) -> Iterator[Finding]:
    """`vulnerabilityScanningConfig` of the repository: enabled, or active."""
    config = mapping(obj.body.get("vulnerabilityScanningConfig"))
    state, wanted = text(config.get("enablementState")), text(config.get("enablementConfig"))
    if config.get("enableVulnerabilityScanning") is True or state == "SCANNING_ACTIVE":
        return
    if not config:
        yield unknown("the scanning configuration was not collected", "vulnerabilityScanningConfig")
    elif wanted == "INHERITED" and not state:
        yield unknown(
            "inherited from the project, whose services were not collected",
            "vulnerabilityScanningConfig.enablementConfig",
        )
    else:
        yield fail("vulnerabilityScanningConfig", config, "enabled")


@check("RG-17", on=ARTIFACTS)
def artifact_public(obj: Obj, _: World) -> Iterator[Finding]:
    """Members allUsers and allAuthenticatedUsers of the repository's IAM policy."""
    policy = obj.body.get("iamPolicy")
    if not isinstance(policy, dict):
        yield unknown("the IAM policy was not collected", "iamPolicy")
        return
    for index, item in enumerate(mappings(policy.get("bindings"))):
        for member in texts(item.get("members")):
            if member in {"allUsers", "allAuthenticatedUsers"}:
                yield fail(
                    f"iamPolicy.bindings[{index}].members",
                    member,
                    "named members",
                    text(item.get("role")),
                    f"{item.get('role')} {member}",
                )


@check("RG-18", on=(ACR_CACHE, "AWS::ECR::PullThroughCacheRule"), approved=())
def upstreams(obj: Obj, world: World) -> Iterator[Finding]:
    """Upstream registries of cache and pull-through rules, against the list `approved`."""
    upstream = text(_properties(obj).get("sourceRepository")) or text(obj.body.get("upstreamRegistryUrl"))
    approved = world.parameter("RG-18", "approved", ())
    if not approved:
        yield manual("no list of upstream registries is set (parameter approved)", actual=upstream)
    elif not any(upstream == entry or upstream.startswith(f"{entry}/") for entry in approved):
        yield fail("properties.sourceRepository", upstream, {"one of": list(approved)}, part=upstream)
