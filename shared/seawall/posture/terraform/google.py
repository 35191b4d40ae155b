"""Google's container resources: from the google provider's words to those of the APIs."""

from __future__ import annotations

from typing import Any, Final

from seawall.posture.objects import as_items, mappings, text
from seawall.posture.terraform.values import block, boolean, clean, pick


def _gke_node(body: dict[str, Any]) -> dict[str, Any]:
    metadata = block(body, "workload_metadata_config")
    mode = metadata.get("mode") or {
        "GKE_METADATA_SERVER": "GKE_METADATA",
        "SECURE": "GKE_METADATA",
        "EXPOSE": "GCE_METADATA",
    }.get(text(metadata.get("node_metadata")), metadata.get("node_metadata"))
    shielded = block(body, "shielded_instance_config")
    return clean(
        {
            "serviceAccount": body.get("service_account"),
            "imageType": body.get("image_type"),
            "bootDiskKmsKey": body.get("boot_disk_kms_key"),
            "workloadMetadataConfig": {"mode": mode},
            "shieldedInstanceConfig": {
                "enableSecureBoot": boolean(shielded.get("enable_secure_boot")),
                "enableIntegrityMonitoring": boolean(shielded.get("enable_integrity_monitoring")),
            },
            "sandboxConfig": {"type": pick(block(body, "sandbox_config"), "sandbox_type", "type")},
        }
    )


def _gke_pool(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    management, network = block(body, "management"), block(body, "network_config")
    return "container.googleapis.com/NodePool", clean(
        {
            "name": body.get("name"),
            "config": _gke_node(block(body, "node_config")),
            "management": {
                "autoRepair": boolean(management.get("auto_repair")),
                "autoUpgrade": boolean(management.get("auto_upgrade")),
            },
            "networkConfig": {"enablePrivateNodes": boolean(network.get("enable_private_nodes"))},
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
        if boolean(binary.get("enabled")) is True or boolean(body.get("enable_binary_authorization")) is True
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
        "autopilot": {"enabled": boolean(body.get("enable_autopilot"))},
        "currentMasterVersion": body.get("min_master_version"),
        "nodeConfig": _gke_node(block(body, "node_config"))
        if "node_config" in body
        else ({"serviceAccount": provisioning.get("service_account")} if provisioning.get("service_account") else None),
        "nodePools": pools or None,
        "_removeDefaultPool": boolean(body.get("remove_default_node_pool")),
        "masterAuthorizedNetworksConfig": {
            "enabled": True,
            "cidrBlocks": [
                {"cidrBlock": item.get("cidr_block")} for item in mappings(as_items(authorised.get("cidr_blocks")))
            ],
        }
        if has_authorised
        else None,
        "privateClusterConfig": {
            "enablePrivateEndpoint": boolean(private.get("enable_private_endpoint")),
            "enablePrivateNodes": boolean(private.get("enable_private_nodes")),
        },
        "databaseEncryption": {"state": encryption.get("state"), "keyName": encryption.get("key_name")},
        "workloadIdentityConfig": {"workloadPool": pick(identity, "workload_pool", "identity_namespace")},
        "releaseChannel": {"channel": block(body, "release_channel").get("channel")},
        "shieldedNodes": {"enabled": boolean(body.get("enable_shielded_nodes", True))},
        "networkConfig": {
            "enableIntraNodeVisibility": boolean(body.get("enable_intranode_visibility")),
            "datapathProvider": body.get("datapath_provider"),
        },
        "networkPolicy": {"enabled": boolean(policy.get("enabled"))},
        "ipAllocationPolicy": {"useIpAliases": True}
        if "ip_allocation_policy" in body or text(body.get("networking_mode")) == "VPC_NATIVE"
        else None,
        "loggingService": pick(body, "logging_service"),
        "monitoringService": pick(body, "monitoring_service"),
        "loggingConfig": {
            "componentConfig": {"enableComponents": block(body, "logging_config").get("enable_components")}
        },
        "monitoringConfig": {
            "componentConfig": {"enableComponents": block(body, "monitoring_config").get("enable_components")}
        },
        "masterAuth": {
            "username": auth.get("username"),
            "clientCertificateConfig": {
                "issueClientCertificate": boolean(
                    block(auth, "client_certificate_config").get("issue_client_certificate")
                )
            },
        },
        "authenticatorGroupsConfig": {"enabled": bool(groups.get("security_group"))} if groups else None,
        "legacyAbac": {"enabled": boolean(body.get("enable_legacy_abac"))},
        "enableKubernetesAlpha": boolean(body.get("enable_kubernetes_alpha")),
        "securityPostureConfig": {"mode": block(body, "security_posture_config").get("mode")},
        "binaryAuthorization": {"evaluationMode": evaluation},
        "anonymousAuthenticationConfig": {"mode": block(body, "anonymous_authentication_config").get("mode")},
        "addonsConfig": {
            "kubernetesDashboard": {
                "disabled": boolean(block(block(body, "addons_config"), "kubernetes_dashboard").get("disabled"))
            }
        },
    }
    return "container.googleapis.com/Cluster", clean(shaped)


def _artifact(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    scanning = block(body, "vulnerability_scanning_config")
    return "artifactregistry.googleapis.com/Repository", clean(
        {
            "name": body.get("repository_id"),
            "format": body.get("format"),
            "kmsKeyName": body.get("kms_key_name"),
            "vulnerabilityScanningConfig": {"enablementConfig": scanning.get("enablement_config")}
            if scanning
            else None,
        }
    )


def _firewall(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "compute.googleapis.com/Firewall", clean(
        {
            "name": body.get("name"),
            "direction": body.get("direction"),
            "sourceRanges": body.get("source_ranges"),
            "targetTags": body.get("target_tags"),
            "allowed": [
                clean({"IPProtocol": item.get("protocol"), "ports": item.get("ports")})
                for item in mappings(as_items(body.get("allow")))
            ],
        }
    )


CONVERTERS: Final = {
    "google_container_cluster": _gke,
    "google_container_node_pool": _gke_pool,
    "google_artifact_registry_repository": _artifact,
    "google_compute_firewall": _firewall,
}
