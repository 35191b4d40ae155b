"""Terraform plans, states and configurations in JSON: the container resources of three clouds in their APIs' shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from seawall.posture.objects import as_items, mapping, mappings, sequence, text, truth

Resource = tuple[str, str, dict[str, Any]]


def terraform_resources(value: dict[str, Any]) -> Iterator[Resource]:
    """Yield type, name and API-shaped body of each container resource of a plan, state or configuration.

    Source: `terraform show -json` (planned_values, values) and Terraform's JSON configuration syntax (resource).
    """
    rows = list(_rows(value))
    policies = [
        (text(body.get("repository")), body.get("policy"))
        for kind, _, body in rows
        if kind == "aws_ecr_repository_policy"
    ]
    lifecycles = [text(body.get("repository")) for kind, _, body in rows if kind == "aws_ecr_lifecycle_policy"]
    settings = [body for kind, _, body in rows if kind == "azurerm_monitor_diagnostic_setting"]
    for kind, name, body in rows:
        convert = _CONVERTERS.get(kind)
        if convert is None:
            continue
        cloud, shaped = convert(body)
        shown = text(body.get("name")) or name
        if kind == "aws_ecr_repository":
            for repository, policy in policies:
                if repository in {shown, name} or f"aws_ecr_repository.{name}." in repository or len(policies) == 1:
                    shaped["policy"] = policy
            if any(repository in {shown, name} or f".{name}." in repository for repository in lifecycles):
                shaped["lifecyclePolicyText"] = "set"
        if kind == "azurerm_kubernetes_cluster" and settings:
            shaped["_diagnostics"] = True
        yield cloud, shown, shaped
    if not any(kind == "aws_ecr_repository" for kind, _, _ in rows):
        for repository, policy in policies:
            yield "AWS::ECR::Repository", repository, {"repositoryName": repository, "policy": policy}


def _rows(value: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield type, name and attributes of each resource."""
    for root in (
        mapping(value.get("planned_values")).get("root_module"),
        mapping(value.get("values")).get("root_module"),
    ):
        if isinstance(root, dict):
            yield from _module(root, 0)
    for entry in as_items(value.get("resource")):
        for kind, named in mapping(entry).items():
            for group in as_items(named):
                for name, bodies in mapping(group).items():
                    for body in as_items(bodies):
                        if isinstance(body, dict):
                            yield str(kind), str(name), body


def _module(module: dict[str, Any], depth: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for item in mappings(module.get("resources")):
        if item.get("mode") in (None, "managed"):
            yield text(item.get("type")), text(item.get("name")), mapping(item.get("values"))
    for child in mappings(module.get("child_modules")):
        if depth < 20:
            yield from _module(child, depth + 1)


def block(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a nested block, written as a list of one or as a mapping."""
    items = as_items(body.get(name))
    return mapping(items[0]) if items else {}


def _pick(body: dict[str, Any], *names: str) -> Any:
    return next((body[name] for name in names if body.get(name) is not None), None)


def _bool(value: Any) -> Any:
    """Terraform accepts booleans as text."""
    found = truth(value) if isinstance(value, str) else value
    return value if found is None else found


def _clean(value: dict[str, Any]) -> dict[str, Any]:
    """Drop what is not set, so that absent means absent."""
    return {key: _clean(item) if isinstance(item, dict) else item for key, item in value.items() if item is not None}


def _aks_pool(pool: dict[str, Any], *, system: bool) -> dict[str, Any]:
    only_critical = _bool(pool.get("only_critical_addons_enabled"))
    taints = list(sequence(pool.get("node_taints")))
    if only_critical is True:
        taints.append("CriticalAddonsOnly=true:NoSchedule")
    return _clean(
        {
            "name": pool.get("name"),
            "mode": pool.get("mode") or ("System" if system else None),
            "enableNodePublicIP": _bool(_pick(pool, "enable_node_public_ip", "node_public_ip_enabled")),
            "enableEncryptionAtHost": _bool(_pick(pool, "enable_host_encryption", "host_encryption_enabled")),
            "nodeTaints": taints,
            "osDiskType": pool.get("os_disk_type"),
            "securityProfile": {
                "enableSecureBoot": _bool(pool.get("secure_boot_enabled")),
                "enableVTPM": _bool(pool.get("vtpm_enabled")),
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
    rbac = _pick(body, "role_based_access_control_enabled", "rbac_enabled")
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
        bool(text(agent.get("log_analytics_workspace_id"))) if "oms_agent" in body else _bool(agent.get("enabled"))
    )
    kms = block(body, "key_management_service")
    storage = block(body, "storage_profile")
    tier = text(body.get("sku_tier")) or "Free"
    properties = {
        "kubernetesVersion": body.get("kubernetes_version"),
        "enableRBAC": True if rbac is None else _bool(rbac),
        "disableLocalAccounts": _bool(body.get("local_account_disabled")),
        "diskEncryptionSetID": body.get("disk_encryption_set_id"),
        "publicNetworkAccess": None
        if body.get("public_network_access_enabled") is None
        else "Enabled"
        if _bool(body["public_network_access_enabled"])
        else "Disabled",
        "apiServerAccessProfile": {
            "enablePrivateCluster": _bool(_pick(body, "private_cluster_enabled", "private_link_enabled")),
            "authorizedIPRanges": _pick(access, "authorized_ip_ranges")
            or _pick(body, "api_server_authorized_ip_ranges"),
            "disableRunCommand": None
            if body.get("run_command_enabled") is None
            else not _bool(body["run_command_enabled"]),
        },
        "networkProfile": {
            "networkPolicy": network.get("network_policy"),
            "networkDataplane": _pick(network, "network_data_plane", "ebpf_data_plane"),
        },
        "aadProfile": {
            "managed": True,
            "enableAzureRBAC": _bool(directory.get("azure_rbac_enabled")),
            "adminGroupObjectIDs": directory.get("admin_group_object_ids"),
        }
        if has_directory or directory
        else None,
        "agentPoolProfiles": [
            _aks_pool(pool, system=True)
            for pool in mappings(as_items(body.get("default_node_pool") or body.get("agent_pool_profile")))
        ],
        "autoUpgradeProfile": {
            "upgradeChannel": _pick(body, "automatic_channel_upgrade", "automatic_upgrade_channel"),
            "nodeOSUpgradeChannel": _pick(body, "node_os_channel_upgrade", "node_os_upgrade_channel"),
        },
        "addonProfiles": {
            "azurepolicy": {"enabled": _bool(policy)},
            "httpApplicationRouting": {"enabled": _bool(routing)},
            "kubeDashboard": {"enabled": _bool(block(addons, "kube_dashboard").get("enabled"))},
            "omsagent": {"enabled": agent_on},
            "azureKeyvaultSecretsProvider": {
                "enabled": bool(secrets),
                "config": {"enableSecretRotation": str(_bool(secrets.get("secret_rotation_enabled"))).lower()},
            },
        },
        "oidcIssuerProfile": {"enabled": _bool(body.get("oidc_issuer_enabled"))},
        "securityProfile": {
            "workloadIdentity": {"enabled": _bool(body.get("workload_identity_enabled"))},
            "imageCleaner": {"enabled": _bool(body.get("image_cleaner_enabled"))},
            "defender": {"securityMonitoring": {"enabled": bool(defender)}},
            "azureKeyVaultKms": {"enabled": bool(kms), "keyId": kms.get("key_vault_key_id")},
        },
        "servicePrincipalProfile": {"clientId": block(body, "service_principal").get("client_id")}
        if "service_principal" in body
        else None,
        "storageProfile": {
            "diskCSIDriver": {"enabled": _bool(storage.get("disk_driver_enabled"))},
            "fileCSIDriver": {"enabled": _bool(storage.get("file_driver_enabled"))},
        },
    }
    return "Microsoft.ContainerService/managedClusters", {
        "properties": _clean(properties),
        "sku": {"tier": {"Paid": "Standard"}.get(tier, tier)},
        "identity": {"type": block(body, "identity").get("type")},
    }


def _acr(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    rules, encryption = block(body, "network_rule_set"), block(body, "encryption")
    quarantine = body.get("quarantine_policy_enabled")
    retention, trust = block(body, "retention_policy"), block(body, "trust_policy")
    trusted = trust.get("enabled") if trust else body.get("trust_policy_enabled")
    days = body.get("retention_policy_in_days")
    policies = {
        "quarantinePolicy": {"status": "enabled" if _bool(quarantine) else "disabled"}
        if quarantine is not None
        else None,
        "trustPolicy": {"status": "enabled" if _bool(trusted) else "disabled"} if trusted is not None else None,
        "retentionPolicy": {"status": "enabled" if _bool(retention.get("enabled")) or days else "disabled"}
        if retention or days
        else None,
        "exportPolicy": {"status": "enabled" if _bool(body["export_policy_enabled"]) else "disabled"}
        if body.get("export_policy_enabled") is not None
        else None,
    }
    public = body.get("public_network_access_enabled")
    return "Microsoft.ContainerRegistry/registries", {
        "sku": {"name": body.get("sku")},
        "properties": _clean(
            {
                "adminUserEnabled": _bool(body.get("admin_enabled")),
                "anonymousPullEnabled": _bool(body.get("anonymous_pull_enabled")),
                "publicNetworkAccess": None if public is None else "Enabled" if _bool(public) else "Disabled",
                "networkRuleSet": {"defaultAction": rules.get("default_action")} if rules else None,
                "encryption": {"status": "enabled" if _bool(encryption.get("enabled", True)) else "disabled"}
                if encryption
                else None,
                "policies": policies,
                "_georeplications": bool(
                    as_items(body.get("georeplications")) or sequence(body.get("georeplication_locations"))
                ),
            }
        ),
    }


def _eks(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    network, access = block(body, "vpc_config"), block(body, "access_config")
    encryption = [
        {"resources": sequence(item.get("resources")), "provider": {"keyArn": block(item, "provider").get("key_arn")}}
        for item in mappings(as_items(body.get("encryption_config")))
    ]
    upgrade = block(body, "upgrade_policy")
    return "AWS::EKS::Cluster", _clean(
        {
            "name": body.get("name"),
            "version": body.get("version"),
            "resourcesVpcConfig": {
                "endpointPublicAccess": _bool(network.get("endpoint_public_access", True)),
                "endpointPrivateAccess": _bool(network.get("endpoint_private_access")),
                "publicAccessCidrs": network.get("public_access_cidrs"),
            },
            "encryptionConfig": encryption,
            "logging": {
                "clusterLogging": [{"enabled": True, "types": sequence(body.get("enabled_cluster_log_types"))}]
            },
            "accessConfig": {
                "authenticationMode": access.get("authentication_mode"),
                "bootstrapClusterCreatorAdminPermissions": _bool(
                    access.get("bootstrap_cluster_creator_admin_permissions")
                ),
            },
            "deletionProtection": _bool(body.get("deletion_protection")),
            "_planned": body.get("version") is None,
            "upgradePolicy": {"supportType": upgrade.get("support_type")} if upgrade else None,
        }
    )


def _eks_group(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    remote = block(body, "remote_access")
    shaped: dict[str, Any] = {
        "amiType": body.get("ami_type"),
        "nodegroupName": body.get("node_group_name"),
        "subnets": body.get("subnet_ids"),
    }
    if remote:
        shaped["remoteAccess"] = _clean(
            {"ec2SshKey": remote.get("ec2_ssh_key"), "sourceSecurityGroups": remote.get("source_security_group_ids")}
        )
    return "AWS::EKS::Nodegroup", _clean(shaped)


def _ecr(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    encryption, scanning = block(body, "encryption_configuration"), block(body, "image_scanning_configuration")
    return "AWS::ECR::Repository", _clean(
        {
            "repositoryName": body.get("name"),
            "imageTagMutability": body.get("image_tag_mutability"),
            "imageScanningConfiguration": {"scanOnPush": _bool(scanning.get("scan_on_push"))},
            "encryptionConfiguration": {
                "encryptionType": encryption.get("encryption_type"),
                "kmsKey": encryption.get("kms_key"),
            },
        }
    )


def _gke_node(body: dict[str, Any]) -> dict[str, Any]:
    metadata = block(body, "workload_metadata_config")
    mode = metadata.get("mode") or {
        "GKE_METADATA_SERVER": "GKE_METADATA",
        "SECURE": "GKE_METADATA",
        "EXPOSE": "GCE_METADATA",
    }.get(text(metadata.get("node_metadata")), metadata.get("node_metadata"))
    shielded = block(body, "shielded_instance_config")
    return _clean(
        {
            "serviceAccount": body.get("service_account"),
            "imageType": body.get("image_type"),
            "bootDiskKmsKey": body.get("boot_disk_kms_key"),
            "workloadMetadataConfig": {"mode": mode},
            "shieldedInstanceConfig": {
                "enableSecureBoot": _bool(shielded.get("enable_secure_boot")),
                "enableIntegrityMonitoring": _bool(shielded.get("enable_integrity_monitoring")),
            },
            "sandboxConfig": {"type": _pick(block(body, "sandbox_config"), "sandbox_type", "type")},
        }
    )


def _gke_pool(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    management, network = block(body, "management"), block(body, "network_config")
    return "container.googleapis.com/NodePool", _clean(
        {
            "name": body.get("name"),
            "config": _gke_node(block(body, "node_config")),
            "management": {
                "autoRepair": _bool(management.get("auto_repair")),
                "autoUpgrade": _bool(management.get("auto_upgrade")),
            },
            "networkConfig": {"enablePrivateNodes": _bool(network.get("enable_private_nodes"))},
        }
    )


def _gke(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    private, auth, authorised = (
        block(body, "private_cluster_config"),
        block(body, "master_auth"),
        block(body, "master_authorized_networks_config"),
    )
    has_authorised = "master_authorized_networks_config" in body
    identity, binary = block(body, "workload_identity_config"), block(body, "binary_authorization")
    evaluation = binary.get("evaluation_mode") or (
        "PROJECT_SINGLETON_POLICY_ENFORCE"
        if _bool(binary.get("enabled")) is True or _bool(body.get("enable_binary_authorization")) is True
        else None
    )
    policy, groups, encryption = (
        block(body, "network_policy"),
        block(body, "authenticator_groups_config"),
        block(body, "database_encryption"),
    )
    pools = [_gke_pool(pool)[1] for pool in mappings(as_items(body.get("node_pool")))]
    provisioning = block(block(body, "cluster_autoscaling"), "auto_provisioning_defaults")
    shaped = {
        "name": body.get("name"),
        "autopilot": {"enabled": _bool(body.get("enable_autopilot"))},
        "currentMasterVersion": body.get("min_master_version"),
        "nodeConfig": _gke_node(block(body, "node_config"))
        if "node_config" in body
        else ({"serviceAccount": provisioning.get("service_account")} if provisioning.get("service_account") else None),
        "nodePools": pools or None,
        "_removeDefaultPool": _bool(body.get("remove_default_node_pool")),
        "masterAuthorizedNetworksConfig": {
            "enabled": True,
            "cidrBlocks": [
                {"cidrBlock": item.get("cidr_block")} for item in mappings(as_items(authorised.get("cidr_blocks")))
            ],
        }
        if has_authorised
        else None,
        "privateClusterConfig": {
            "enablePrivateEndpoint": _bool(private.get("enable_private_endpoint")),
            "enablePrivateNodes": _bool(private.get("enable_private_nodes")),
        },
        "databaseEncryption": {"state": encryption.get("state"), "keyName": encryption.get("key_name")},
        "workloadIdentityConfig": {"workloadPool": _pick(identity, "workload_pool", "identity_namespace")},
        "releaseChannel": {"channel": block(body, "release_channel").get("channel")},
        "shieldedNodes": {"enabled": _bool(body.get("enable_shielded_nodes", True))},
        "networkConfig": {
            "enableIntraNodeVisibility": _bool(body.get("enable_intranode_visibility")),
            "datapathProvider": body.get("datapath_provider"),
        },
        "networkPolicy": {"enabled": _bool(policy.get("enabled"))},
        "ipAllocationPolicy": {"useIpAliases": True}
        if "ip_allocation_policy" in body or text(body.get("networking_mode")) == "VPC_NATIVE"
        else None,
        "loggingService": _pick(body, "logging_service"),
        "monitoringService": _pick(body, "monitoring_service"),
        "loggingConfig": {
            "componentConfig": {"enableComponents": block(body, "logging_config").get("enable_components")}
        },
        "monitoringConfig": {
            "componentConfig": {"enableComponents": block(body, "monitoring_config").get("enable_components")}
        },
        "masterAuth": {
            "username": auth.get("username"),
            "clientCertificateConfig": {
                "issueClientCertificate": _bool(
                    block(auth, "client_certificate_config").get("issue_client_certificate")
                )
            },
        },
        "authenticatorGroupsConfig": {"enabled": bool(groups.get("security_group"))} if groups else None,
        "legacyAbac": {"enabled": _bool(body.get("enable_legacy_abac"))},
        "enableKubernetesAlpha": _bool(body.get("enable_kubernetes_alpha")),
        "securityPostureConfig": {"mode": block(body, "security_posture_config").get("mode")},
        "binaryAuthorization": {"evaluationMode": evaluation},
        "anonymousAuthenticationConfig": {"mode": block(body, "anonymous_authentication_config").get("mode")},
        "addonsConfig": {
            "kubernetesDashboard": {
                "disabled": _bool(block(block(body, "addons_config"), "kubernetes_dashboard").get("disabled"))
            }
        },
    }
    return "container.googleapis.com/Cluster", _clean(shaped)


def _aks_node_pool(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "Microsoft.ContainerService/managedClusters/agentPools", {"properties": _aks_pool(body, system=False)}


def _artifact(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    scanning = block(body, "vulnerability_scanning_config")
    return "artifactregistry.googleapis.com/Repository", _clean(
        {
            "name": body.get("repository_id"),
            "format": body.get("format"),
            "kmsKeyName": body.get("kms_key_name"),
            "vulnerabilityScanningConfig": {"enablementConfig": scanning.get("enablement_config")}
            if scanning
            else None,
        }
    )


def _launch_template(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    options = block(body, "metadata_options")
    return "AWS::EC2::LaunchTemplate", {
        "launchTemplateData": {
            "metadataOptions": _clean(
                {
                    "httpTokens": options.get("http_tokens"),
                    "httpPutResponseHopLimit": options.get("http_put_response_hop_limit"),
                    "httpEndpoint": options.get("http_endpoint"),
                }
            )
        }
    }


_CONVERTERS: Final[dict[str, Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]]] = {
    "azurerm_kubernetes_cluster": _aks,
    "azurerm_kubernetes_cluster_node_pool": _aks_node_pool,
    "azurerm_container_registry": _acr,
    "aws_eks_cluster": _eks,
    "aws_eks_node_group": _eks_group,
    "aws_ecr_repository": _ecr,
    "aws_launch_template": _launch_template,
    "google_container_cluster": _gke,
    "google_container_node_pool": _gke_pool,
    "google_artifact_registry_repository": _artifact,
}


def policy_document(value: object) -> dict[str, Any]:
    """Return an IAM policy written as JSON text, here-document or mapping; empty when it cannot be read."""
    if isinstance(value, dict):
        return value
    raw = text(value).strip()
    if raw.startswith("<<"):
        lines = raw.splitlines()
        raw = "\n".join(lines[1:-1])
    if raw.startswith("${jsonencode(") and raw.endswith(")}"):
        raw = raw.removeprefix("${jsonencode(").removesuffix(")}")
    try:
        return mapping(json.loads(raw))
    except ValueError:
        return {}
