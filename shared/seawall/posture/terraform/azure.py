"""Azure's container resources: from the azurerm provider's words to those of the resource manager."""

from __future__ import annotations

from typing import Any, Final

from seawall.posture.objects import as_items, mappings, sequence, text
from seawall.posture.terraform.values import block, boolean, clean, pick


def _aks_pool(pool: dict[str, Any], *, system: bool) -> dict[str, Any]:
    only_critical = boolean(pool.get("only_critical_addons_enabled"))
    taints = list(sequence(pool.get("node_taints")))
    if only_critical is True:
        taints.append("CriticalAddonsOnly=true:NoSchedule")
    return clean(
        {
            "name": pool.get("name"),
            "mode": pool.get("mode") or ("System" if system else None),
            "enableNodePublicIP": boolean(pick(pool, "enable_node_public_ip", "node_public_ip_enabled")),
            "enableEncryptionAtHost": boolean(pick(pool, "enable_host_encryption", "host_encryption_enabled")),
            "nodeTaints": taints,
            "osDiskType": pool.get("os_disk_type"),
            "securityProfile": {
                "enableSecureBoot": boolean(pool.get("secure_boot_enabled")),
                "enableVTPM": boolean(pool.get("vtpm_enabled")),
            },
        }
    )


def _aks(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    network, access, addons = (
        block(body, "network_profile"),
        block(body, "api_server_access_profile"),
        block(body, "addon_profile"),
    )
    directory = block(body, "azure_active_directory_role_based_access_control") or block(
        block(body, "role_based_access_control"), "azure_active_directory"
    )
    has_directory = "azure_active_directory_role_based_access_control" in body
    rbac = pick(body, "role_based_access_control_enabled", "rbac_enabled")
    if rbac is None and "role_based_access_control" in body:
        rbac = block(body, "role_based_access_control").get("enabled")
    defender = block(body, "microsoft_defender")
    secrets = block(body, "key_vault_secrets_provider") or block(addons, "azure_keyvault_secrets_provider")
    policy = (
        body.get("azure_policy_enabled")
        if "azure_policy_enabled" in body
        else block(addons, "azure_policy").get("enabled")
    )
    routing = (
        body.get("http_application_routing_enabled")
        if "http_application_routing_enabled" in body
        else block(addons, "http_application_routing").get("enabled")
    )
    agent = block(body, "oms_agent") or block(addons, "oms_agent")
    agent_on = (
        bool(text(agent.get("log_analytics_workspace_id"))) if "oms_agent" in body else boolean(agent.get("enabled"))
    )
    kms = block(body, "key_management_service")
    storage = block(body, "storage_profile")
    tier = text(body.get("sku_tier")) or "Free"
    properties = {
        "kubernetesVersion": body.get("kubernetes_version"),
        "supportPlan": body.get("support_plan"),
        "enableRBAC": True if rbac is None else boolean(rbac),
        "disableLocalAccounts": boolean(body.get("local_account_disabled")),
        "diskEncryptionSetID": body.get("disk_encryption_set_id"),
        "publicNetworkAccess": None
        if body.get("public_network_access_enabled") is None
        else "Enabled"
        if boolean(body["public_network_access_enabled"])
        else "Disabled",
        "apiServerAccessProfile": {
            "enablePrivateCluster": boolean(pick(body, "private_cluster_enabled", "private_link_enabled")),
            "enableVnetIntegration": boolean(
                pick(access, "virtual_network_integration_enabled", "vnet_integration_enabled")
            ),
            "authorizedIPRanges": pick(access, "authorized_ip_ranges") or pick(body, "api_server_authorized_ip_ranges"),
            "disableRunCommand": None
            if body.get("run_command_enabled") is None
            else not boolean(body["run_command_enabled"]),
        },
        "networkProfile": {
            "networkPolicy": network.get("network_policy"),
            "networkDataplane": pick(network, "network_data_plane", "ebpf_data_plane"),
        },
        "aadProfile": {
            "managed": True,
            "enableAzureRBAC": boolean(directory.get("azure_rbac_enabled")),
            "adminGroupObjectIDs": directory.get("admin_group_object_ids"),
        }
        if has_directory or directory
        else None,
        "agentPoolProfiles": [
            _aks_pool(pool, system=True)
            for pool in mappings(as_items(body.get("default_node_pool") or body.get("agent_pool_profile")))
        ],
        "autoUpgradeProfile": {
            "upgradeChannel": pick(body, "automatic_channel_upgrade", "automatic_upgrade_channel"),
            "nodeOSUpgradeChannel": pick(body, "node_os_channel_upgrade", "node_os_upgrade_channel"),
        },
        "addonProfiles": {
            "azurepolicy": {"enabled": boolean(policy)},
            "httpApplicationRouting": {"enabled": boolean(routing)},
            "kubeDashboard": {"enabled": boolean(block(addons, "kube_dashboard").get("enabled"))},
            "omsagent": {"enabled": agent_on},
            "azureKeyvaultSecretsProvider": {
                "enabled": bool(secrets),
                "config": {"enableSecretRotation": str(boolean(secrets.get("secret_rotation_enabled"))).lower()},
            },
        },
        "oidcIssuerProfile": {"enabled": boolean(body.get("oidc_issuer_enabled"))},
        "securityProfile": {
            "workloadIdentity": {"enabled": boolean(body.get("workload_identity_enabled"))},
            "imageCleaner": {"enabled": boolean(body.get("image_cleaner_enabled"))},
            "defender": {"securityMonitoring": {"enabled": bool(defender)}},
            "azureKeyVaultKms": {"enabled": bool(kms), "keyId": kms.get("key_vault_key_id")},
        },
        "servicePrincipalProfile": {"clientId": block(body, "service_principal").get("client_id")}
        if "service_principal" in body
        else None,
        "storageProfile": {
            "diskCSIDriver": {"enabled": boolean(storage.get("disk_driver_enabled"))},
            "fileCSIDriver": {"enabled": boolean(storage.get("file_driver_enabled"))},
        },
    }
    return "Microsoft.ContainerService/managedClusters", {
        "properties": clean(properties),
        "sku": {"tier": {"Paid": "Standard"}.get(tier, tier)},
        "identity": {"type": block(body, "identity").get("type")},
    }


def _acr(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    rules, encryption = block(body, "network_rule_set"), block(body, "encryption")
    quarantine = body.get("quarantine_policy_enabled")
    retention, trust = block(body, "retention_policy"), block(body, "trust_policy")
    trusted = trust.get("enabled") if trust else body.get("trust_policy_enabled")
    days = body.get("retention_policy_in_days")
    by_arm = body.get("azuread_authentication_as_arm_policy_enabled")
    policies = {
        "quarantinePolicy": {"status": "enabled" if boolean(quarantine) else "disabled"}
        if quarantine is not None
        else None,
        "trustPolicy": {"status": "enabled" if boolean(trusted) else "disabled"} if trusted is not None else None,
        "retentionPolicy": {"status": "enabled" if boolean(retention.get("enabled")) or days else "disabled"}
        if retention or days
        else None,
        "azureADAuthenticationAsArmPolicy": {"status": "enabled" if boolean(by_arm) else "disabled"}
        if by_arm is not None
        else None,
        "exportPolicy": {"status": "enabled" if boolean(body["export_policy_enabled"]) else "disabled"}
        if body.get("export_policy_enabled") is not None
        else None,
    }
    public = body.get("public_network_access_enabled")
    return "Microsoft.ContainerRegistry/registries", {
        "sku": {"name": body.get("sku")},
        "properties": clean(
            {
                "adminUserEnabled": boolean(body.get("admin_enabled")),
                "anonymousPullEnabled": boolean(body.get("anonymous_pull_enabled")),
                "publicNetworkAccess": None if public is None else "Enabled" if boolean(public) else "Disabled",
                "networkRuleSet": {"defaultAction": rules.get("default_action")} if rules else None,
                "encryption": {"status": "enabled" if boolean(encryption.get("enabled", True)) else "disabled"}
                if encryption
                else None,
                "policies": policies,
                "_georeplications": bool(
                    as_items(body.get("georeplications")) or sequence(body.get("georeplication_locations"))
                ),
            }
        ),
    }


def _aks_node_pool(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "Microsoft.ContainerService/managedClusters/agentPools", {"properties": _aks_pool(body, system=False)}


def _diagnostics(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    logs = [
        clean(
            {
                "category": item.get("category"),
                "categoryGroup": item.get("category_group"),
                "enabled": boolean(item.get("enabled", True)),
            }
        )
        for name in ("enabled_log", "log")
        for item in mappings(as_items(body.get(name)))
    ]
    return "Microsoft.Insights/diagnosticSettings", {
        "properties": {"logs": logs},
        "_target": text(body.get("target_resource_id")),
    }


def _pricing(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "Microsoft.Security/pricings", {
        "name": body.get("resource_type"),
        "properties": clean({"pricingTier": body.get("tier")}),
    }


def _cache_rule(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "Microsoft.ContainerRegistry/registries/cacheRules", {
        "properties": clean({"sourceRepository": body.get("source_repo")})
    }


def _token(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    state = "disabled" if boolean(body.get("enabled")) is False else "enabled"
    return "Microsoft.ContainerRegistry/registries/tokens", {"properties": {"status": state}}


CONVERTERS: Final = {
    "azurerm_kubernetes_cluster": _aks,
    "azurerm_kubernetes_cluster_node_pool": _aks_node_pool,
    "azurerm_container_registry": _acr,
    "azurerm_container_registry_cache_rule": _cache_rule,
    "azurerm_container_registry_token": _token,
    "azurerm_monitor_diagnostic_setting": _diagnostics,
    "azurerm_security_center_subscription_pricing": _pricing,
}
