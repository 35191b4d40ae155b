"""Azure Kubernetes Service: `Microsoft.ContainerService/managedClusters` as the resource manager returns it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from seawall.domain.posture import Status
from seawall.posture.check import Check, Cluster, Finding, check, fail, manual, not_applicable, unknown
from seawall.posture.checks.admission import supported
from seawall.posture.clouds import AKS, AKS_POOL, ARC, DIAGNOSTICS, EXTENSION, PRICING, ROLE_ASSIGNMENT, is_unresolved
from seawall.posture.fields import FieldControl, Op, Rule
from seawall.posture.objects import Obj, dig, mapping, mappings, sequence, text, texts, truth
from seawall.posture.world import World, minor_of

FAIL: Final = Status.FAIL


def _is(name: str, field: str, value: Any, absent: Status = FAIL) -> FieldControl:
    return FieldControl(name, (Rule(f"properties.{field}", Op.IS, value, absent=absent),), kinds=(AKS,))


def _off(name: str, addon: str) -> FieldControl:
    return FieldControl(name, (Rule(f"properties.addonProfiles.{addon}.enabled", Op.IS_NOT, True),), kinds=(AKS,))


def _cluster(obj: Obj) -> dict[str, Any]:
    return mapping(obj.body.get("properties"))


TABLE: Final = (
    _is("AK-05", "enableRBAC", True, Status.PASS),
    FieldControl("AK-07", (Rule("properties.aadProfile.enableAzureRBAC", Op.IS, True, absent=FAIL),), kinds=(AKS,)),
    _is("AK-08", "disableLocalAccounts", True),
    FieldControl(
        "AK-09",
        (
            Rule("properties.securityProfile.azureKeyVaultKms.enabled", Op.IS, True, absent=FAIL),
            Rule("properties.securityProfile.azureKeyVaultKms.keyId", Op.SET, absent=FAIL),
        ),
        kinds=(AKS,),
    ),
    FieldControl(
        "AK-15",
        (
            Rule("properties.oidcIssuerProfile.enabled", Op.IS, True, absent=FAIL),
            Rule("properties.securityProfile.workloadIdentity.enabled", Op.IS, True, absent=FAIL),
        ),
        kinds=(AKS,),
    ),
    FieldControl("AK-17", (Rule("properties.diskEncryptionSetID", Op.SET, absent=FAIL),), kinds=(AKS,)),
    _is("AK-19", "apiServerAccessProfile.disableRunCommand", True),
    _is("AK-21", "securityProfile.imageCleaner.enabled", True),
    _is("AK-22", "securityProfile.imageIntegrity.enabled", True),
    FieldControl(
        "AK-28", (Rule("sku.tier", Op.IN, frozenset({"Standard", "Premium", "Paid"}), absent=FAIL),), kinds=(AKS,)
    ),
    FieldControl(
        "AK-29",
        tuple(
            Rule(f"properties.storageProfile.{name}CSIDriver.enabled", Op.IS, True, absent=Status.PASS)
            for name in ("disk", "file")
        ),
        kinds=(AKS,),
    ),
)


def pools(obj: Obj) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield JSON path and fields of the node pools of a cluster, or of a pool that is a resource of its own."""
    if obj.kind == AKS_POOL:
        yield "properties", _cluster(obj)
        return
    for index, pool in enumerate(mappings(_cluster(obj).get("agentPoolProfiles"))):
        yield f"properties.agentPoolProfiles[{index}]", pool


def _each_pool(name: str, field: str, wanted: Any, absent_ok: bool, about: str) -> Check:
    @check(name, on=(AKS, AKS_POOL))
    def run(obj: Obj, _: World) -> Iterator[Finding]:
        found = False
        for at, pool in pools(obj):
            found = True
            value = dig(pool, field)
            if is_unresolved(value):
                yield unknown("the template leaves it to its deployment", f"{at}.{field}")
            elif (value is None and not absent_ok) or (
                value is not None and value != wanted and truth(value) is not wanted
            ):
                yield fail(f"{at}.{field}", value, wanted, part=text(pool.get("name")))
        if not found and not absent_ok:
            yield fail("properties.agentPoolProfiles", None, f"pools with {field}")

    return replace(run, about=about)


POOLS: Final = (
    _each_pool("AK-03", "enableNodePublicIP", False, True, "`agentPoolProfiles[*].enableNodePublicIP` is not true"),
    _each_pool("AK-18", "enableEncryptionAtHost", True, False, "`agentPoolProfiles[*].enableEncryptionAtHost` is true"),
    _each_pool(
        "AK-20",
        "securityProfile.sshAccess",
        "Disabled",
        False,
        "`agentPoolProfiles[*].securityProfile.sshAccess` is Disabled",
    ),
)

_ANY: Final = frozenset({"0.0.0.0/0", "0.0.0.0/32", "::/0", "*"})


def _private(properties: dict[str, Any]) -> bool:
    access = mapping(properties.get("apiServerAccessProfile"))
    integrated = access.get("enableVnetIntegration") is True and properties.get("publicNetworkAccess") == "Disabled"
    return truth(access.get("enablePrivateCluster")) is True or integrated


@check("AK-01", on=AKS)
def open_api(obj: Obj, _: World) -> Iterator[Finding]:
    """`apiServerAccessProfile` and `publicNetworkAccess`: private, disabled, or ranges without 0.0.0.0/0."""
    properties = _cluster(obj)
    access = mapping(properties.get("apiServerAccessProfile"))
    if _private(properties) or properties.get("publicNetworkAccess") == "Disabled":
        return
    ranges = access.get("authorizedIPRanges") or properties.get("apiServerAuthorizedIPRanges")
    if is_unresolved(ranges):
        yield unknown(
            "the template leaves it to its deployment", "properties.apiServerAccessProfile.authorizedIPRanges"
        )
    elif not sequence(ranges) or _ANY & set(texts(ranges)):
        yield fail("properties.apiServerAccessProfile.authorizedIPRanges", ranges, "the addresses in use")


@check("AK-02", on=AKS)
def private_cluster(obj: Obj, _: World) -> Iterator[Finding]:
    """`apiServerAccessProfile.enablePrivateCluster`, or network integration without public access."""
    if not _private(_cluster(obj)):
        at = "apiServerAccessProfile.enablePrivateCluster"
        yield fail(f"properties.{at}", dig(_cluster(obj), at), True)


@check("AK-04", on=AKS)
def policy_engine(obj: Obj, _: World) -> Iterator[Finding]:
    """`networkProfile.networkPolicy` or `networkDataplane` is azure, calico or cilium."""
    network = mapping(_cluster(obj).get("networkProfile"))
    policy, plane = text(network.get("networkPolicy")), text(network.get("networkDataplane"))
    if is_unresolved(policy):
        yield unknown("the template leaves it to its deployment", "properties.networkProfile.networkPolicy")
    elif policy.lower() not in {"azure", "calico", "cilium"} and plane.lower() != "cilium":
        yield fail(
            "properties.networkProfile.networkPolicy",
            network.get("networkPolicy"),
            {"one of": ["azure", "calico", "cilium"]},
        )


@check("AK-06", on=AKS)
def entra(obj: Obj, _: World) -> Iterator[Finding]:
    """`aadProfile.managed`, with administrator groups or Azure RBAC."""
    profile = mapping(_cluster(obj).get("aadProfile"))
    if profile.get("managed") is not True:
        yield fail("properties.aadProfile.managed", profile.get("managed"), True)
    elif not profile.get("adminGroupObjectIDs") and profile.get("enableAzureRBAC") is not True:
        yield fail(
            "properties.aadProfile.adminGroupObjectIDs", profile.get("adminGroupObjectIDs"), "a group, or Azure RBAC"
        )


@check("AK-10", on=(AKS, PRICING))
def threat_sensor(obj: Obj, world: World) -> Iterator[Finding]:
    """`securityProfile.defender.securityMonitoring.enabled`, or the Containers plan of Defender."""
    if obj.kind == PRICING:
        if obj.name not in {"KubernetesService", "Containers"}:
            yield not_applicable("another plan")
        elif _cluster(obj).get("pricingTier") != "Standard":
            yield fail("properties.pricingTier", _cluster(obj).get("pricingTier"), "Standard")
        return
    _ = world
    at = "securityProfile.defender.securityMonitoring.enabled"
    value = dig(_cluster(obj), at)
    if value is None:
        value = dig(_cluster(obj), "securityProfile.azureDefender.enabled")
    if value is not True:
        yield fail(f"properties.{at}", value, True)


@check("AK-11", on=AKS)
def policy_addon(obj: Obj, _: World) -> Iterator[Finding]:
    """`addonProfiles.azurepolicy.enabled`, in any spelling of the add-on's name."""
    value = _addon(obj, "azurepolicy").get("enabled")
    if truth(value) is not True:
        yield fail("properties.addonProfiles.azurepolicy.enabled", value, True)


def _addon(obj: Obj, name: str) -> dict[str, Any]:
    for key, value in mapping(_cluster(obj).get("addonProfiles")).items():
        if str(key).lower() == name.lower():
            return mapping(value)
    return {}


@check("AK-12", on=AKS)
def control_plane_logs(obj: Obj, world: World) -> Iterator[Finding]:
    """Diagnostic settings of the cluster with an audit category, or the monitoring add-on where none were collected."""
    settings = [
        item
        for item in world.of(DIAGNOSTICS)
        if not text(item.body.get("id"))
        or text(obj.body.get("id")).lower() in text(item.body.get("id")).lower()
        or not obj.body.get("id")
    ]
    for item in settings:
        for log in mappings(_cluster(item).get("logs")):
            category = text(log.get("category")) or text(log.get("categoryGroup"))
            if log.get("enabled") is True and category in {"kube-audit", "kube-audit-admin", "audit", "allLogs"}:
                return
    if not settings and _addon(obj, "omsagent").get("enabled") is True:
        return
    yield fail(
        "properties.addonProfiles.omsagent.enabled" if not settings else "properties.logs",
        None,
        "a diagnostic setting with kube-audit-admin",
    )


@check("AK-13", on=AKS)
def supported_version(obj: Obj, world: World) -> Iterator[Finding]:
    """`currentKubernetesVersion` within upstream support, or long-term support."""
    properties = _cluster(obj)
    raw = text(properties.get("currentKubernetesVersion")) or text(properties.get("kubernetesVersion"))
    minor = minor_of(raw)
    if minor is None:
        yield unknown(
            "the version is not told" if not raw else "the version cannot be read", "properties.kubernetesVersion"
        )
    elif properties.get("supportPlan") != "AKSLongTermSupport" and not supported(minor, world.today, grace_days=60):
        yield fail("properties.currentKubernetesVersion", raw, "a supported version")


@check("AK-14", on=AKS)
def automatic_upgrades(obj: Obj, _: World) -> Iterator[Finding]:
    """`autoUpgradeProfile.upgradeChannel` is set and not none; the node channel is not Unmanaged or None."""
    profile = mapping(_cluster(obj).get("autoUpgradeProfile"))
    channel, nodes = text(profile.get("upgradeChannel")), text(profile.get("nodeOSUpgradeChannel"))
    if channel.lower() in {"", "none"}:
        yield fail(
            "properties.autoUpgradeProfile.upgradeChannel",
            channel or None,
            {"one of": ["patch", "stable", "rapid", "node-image"]},
        )
    elif nodes.lower() in {"none", "unmanaged"}:
        yield fail(
            "properties.autoUpgradeProfile.nodeOSUpgradeChannel", nodes, {"one of": ["NodeImage", "SecurityPatch"]}
        )


@check("AK-16", on=AKS)
def managed_identity(obj: Obj, _: World) -> Iterator[Finding]:
    """`identity.type`, or a service principal whose client id is `msi`."""
    kind = text(mapping(obj.body.get("identity")).get("type"))
    client = text(dig(_cluster(obj), "servicePrincipalProfile.clientId"))
    if not re.search(r"(System|User)Assigned", kind) and client != "msi":
        yield fail("identity.type", kind or None, {"one of": ["SystemAssigned", "UserAssigned"]})


@check("AK-23", on=AKS)
def key_vault_driver(obj: Obj, _: World) -> Iterator[Finding]:
    """`addonProfiles.azureKeyvaultSecretsProvider` is enabled and rotates."""
    addon = _addon(obj, "azureKeyvaultSecretsProvider")
    rotation = mapping(addon.get("config")).get("enableSecretRotation")
    if truth(addon.get("enabled")) is not True:
        yield fail("properties.addonProfiles.azureKeyvaultSecretsProvider.enabled", addon.get("enabled"), True)
    elif truth(rotation) is not True:
        yield fail(
            "properties.addonProfiles.azureKeyvaultSecretsProvider.config.enableSecretRotation", rotation, "true"
        )


@check("AK-24", on=AKS)
def dashboard(obj: Obj, _: World) -> Iterator[Finding]:
    """`addonProfiles.kubeDashboard.enabled` is not true; clusters before 1.19 had it on by default."""
    value = _addon(obj, "kubeDashboard").get("enabled")
    minor = minor_of(
        text(_cluster(obj).get("currentKubernetesVersion")) or text(_cluster(obj).get("kubernetesVersion"))
    )
    if truth(value) is True or (value is None and minor is not None and minor < 19):
        yield fail("properties.addonProfiles.kubeDashboard.enabled", value, False)
    elif not isinstance(obj.body.get("properties"), dict):
        yield unknown("properties is not a mapping", "properties")


ROUTING: Final = (_off("AK-25", "httpApplicationRouting"),)


@check("AK-26", on=(AKS, AKS_POOL))
def system_pools(obj: Obj, _: World) -> Iterator[Finding]:
    """`nodeTaints` of pools in mode System hold CriticalAddonsOnly."""
    for at, pool in pools(obj):
        mode = text(pool.get("mode"))
        if (
            (mode == "System" or (not mode and obj.kind == AKS))
            and not any(item.startswith("CriticalAddonsOnly=true:NoSchedule") for item in texts(pool.get("nodeTaints")))
            and pool.get("onlyCriticalAddOns") is not True
        ):
            yield fail(
                f"{at}.nodeTaints",
                pool.get("nodeTaints"),
                "CriticalAddonsOnly=true:NoSchedule",
                part=text(pool.get("name")),
            )
    if obj.kind == AKS and not any(True for _ in pools(obj)):
        yield fail("properties.agentPoolProfiles", None, "a system pool with CriticalAddonsOnly=true:NoSchedule")


@check("AK-27", on=(AKS, AKS_POOL))
def trusted_launch(obj: Obj, _: World) -> Iterator[Finding]:
    """`securityProfile.enableSecureBoot` and `enableVTPM` of each pool."""
    for at, pool in pools(obj):
        for name in ("enableSecureBoot", "enableVTPM"):
            value = mapping(pool.get("securityProfile")).get(name)
            if value is not True:
                yield fail(f"{at}.securityProfile.{name}", value, True, part=text(pool.get("name")))


@check("AK-30", on=AKS)
def separate_pools(obj: Obj, _: World) -> Iterator[Finding]:
    """User pools beside the system pool; whether tenants need more is for a person."""
    users = [pool for _, pool in pools(obj) if text(pool.get("mode")) == "User"]
    if not users:
        yield fail("properties.agentPoolProfiles", [pool.get("name") for _, pool in pools(obj)], "a user pool")
    else:
        yield manual(f"see that {len(users)} user pools separate what has to be separate")


ADMIN_ROLES: Final = {
    "0ab0b1a8-8aac-4efd-b8c2-3ee1fb270be8": "Azure Kubernetes Service Cluster Admin Role",
    "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b": "Azure Kubernetes Service RBAC Cluster Admin",
    "3498e952-d568-435e-9b2c-8d77e338d7f7": "Azure Kubernetes Service RBAC Admin",
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
}
"""Role definition ids that give a cluster away. Source: Azure built-in roles."""


@check("AK-31", on=AKS)
def cloud_admins(obj: Obj, world: World) -> Iterator[Finding]:
    """Role assignments at the cluster or above that give cluster administration, to users directly."""
    assignments = world.of(ROLE_ASSIGNMENT)
    if not assignments:
        yield unknown("role assignments were not collected")
        return
    for item in assignments:
        properties = _cluster(item)
        role = ADMIN_ROLES.get(text(properties.get("roleDefinitionId")).rsplit("/", 1)[-1].lower())
        scope = text(properties.get("scope")).lower().rstrip("/")
        above = not scope or text(obj.body.get("id")).lower().startswith(scope) or not obj.body.get("id")
        if role and above and text(properties.get("principalType")) == "User":
            yield fail(
                "properties.principalId",
                properties.get("principalId"),
                "a group, eligible for a time",
                role,
                text(properties.get("principalId")),
                item,
            )


@check("AK-32", on=ARC)
def arc_extensions(obj: Obj, world: World) -> Iterator[Finding]:
    """Extensions of Arc clusters: Microsoft.PolicyInsights and microsoft.azuredefender.kubernetes."""
    installed = {text(_cluster(item).get("extensionType")).lower() for item in world.of(EXTENSION)}
    for name in ("microsoft.policyinsights", "microsoft.azuredefender.kubernetes"):
        if name not in installed:
            yield fail("", sorted(installed), name, part=name)
    _ = obj


__all__ = ["POOLS", "ROUTING", "TABLE", "Cluster"]
