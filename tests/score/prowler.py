"""Prowler's unit-test objects in the shape of the APIs they stand for: its attributes are those APIs' in snake case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def items(value: Any, kind: str) -> Iterator[dict[str, Any]]:
    """Yield every object of a type, however deep it lies; some objects only lack the type's name."""
    if isinstance(value, dict):
        if kind and kind in str(value.get("_type", "")).lower():
            yield value
            return
        for inner in value.values():
            yield from items(inner, kind)
    elif isinstance(value, list):
        for inner in value:
            yield from items(inner, kind)


def said(value: Any) -> Any:
    """Placeholders such as `<auto_upgrade_channel>` stand for a value that is not told."""
    return None if isinstance(value, str) and value.startswith("<") else value


def documents(check: str, value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the documents that the product would have collected for a case of `check`."""
    if check.startswith("core_"):
        for pod in items(value, "pod"):
            yield _pod(pod)
    elif check.startswith("aks_"):
        for cluster in items(value, "cluster"):
            yield _aks(cluster)
        if check == "aks_cluster_azure_monitor_enabled":
            yield from _diagnostics(value)
    elif check.startswith("containerregistry_"):
        for registry in items(value, "registr"):
            yield _acr(registry)
    elif check.startswith("defender_"):
        for pricing in _named(value, "pricing"):
            yield {
                "type": "Microsoft.Security/pricings",
                "name": "Containers",
                "properties": {"pricingTier": pricing.get("pricing_tier")},
            }
        for assessment in _named(value, "assesment"):
            yield {
                "type": "Microsoft.Security/assessments",
                "name": str(assessment.get("resource_name")),
                "id": "/x",
                "properties": {"status": {"code": assessment.get("status")}},
            }
    elif check.startswith("ecr_"):
        for registry in _named(value, "registr"):
            rules = [
                {"scanFrequency": rule.get("scan_frequency")}
                for rule in registry.get("rules") or []
                if isinstance(rule, dict)
            ]
            if "rules" in registry and check == "ecr_registry_scan_images_on_push_enabled":
                yield {
                    "registryId": "1",
                    "scanningConfiguration": {"scanType": registry.get("scan_type"), "rules": rules},
                }
        for repository in items(value, "repository"):
            yield _ecr(repository)
            yield from _images(repository)
    elif check.startswith("eks_"):
        for cluster in items(value, "cluster"):
            yield _eks(cluster)
    elif check.startswith("gke_"):
        for cluster in items(value, "cluster"):
            yield {
                "name": cluster.get("name"), "currentMasterVersion": "1.30", "nodeConfig": {"serviceAccount": cluster.get("service_account")},
                "nodePools": [{"name": pool.get("name"), "config": {"serviceAccount": pool.get("service_account")}} for pool in cluster.get("node_pools") or []],
            }  # fmt: skip
    else:
        yield {
            "format": "DOCKER",
            "name": "repositories/x",
            "vulnerabilityScanningConfig": {
                "enablementState": "SCANNING_ACTIVE"
                if "artifacts" in str(value) or "SERVICE" in str(value) or "ctive" in str(value)
                else "SCANNING_DISABLED"
            },
        }


def _named(value: Any, part: str) -> Iterator[dict[str, Any]]:
    yield from items(value, part)


def _pod(pod: dict[str, Any]) -> dict[str, Any]:
    containers = [
        {
            "name": item.get("name"),
            "image": item.get("image"),
            "resources": item.get("resources") or {},
            "securityContext": item.get("security_context") or {},
        }
        for item in (pod.get("containers") or {}).values()
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod.get("name"), "namespace": pod.get("namespace")},
        "spec": {"containers": containers},
    }


def _aks(item: dict[str, Any]) -> dict[str, Any]:
    private = item.get("private_fqdn")
    return {
        "type": "Microsoft.ContainerService/managedClusters", "name": item.get("name") or "cluster",
        "properties": {
            "enableRBAC": item.get("rbac_enabled"), "disableLocalAccounts": item.get("local_accounts_disabled"),
            "autoUpgradeProfile": {"upgradeChannel": said(item.get("auto_upgrade_channel"))},
            "networkProfile": {"networkPolicy": item.get("network_policy")},
            "agentPoolProfiles": [{"name": pool.get("name"), "enableNodePublicIP": pool.get("enable_node_public_ip")} for pool in item.get("agent_pool_profiles") or []],
            "apiServerAccessProfile": {"enablePrivateCluster": bool(private) or None},
            "addonProfiles": {"omsagent": {"enabled": item.get("azure_monitor_enabled")}},
        },
    }  # fmt: skip


def _diagnostics(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for setting in items(value, "diagnosticsetting"):
        yield {
            "type": "Microsoft.Insights/diagnosticSettings",
            "name": "x",
            "properties": {"logs": setting.get("logs")},
        }


def _acr(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "Microsoft.ContainerRegistry/registries", "name": item.get("name"), "sku": {"name": item.get("sku")},
        "properties": {
            "adminUserEnabled": item.get("admin_user_enabled"), "publicNetworkAccess": "Enabled" if item.get("public_network_access") else "Disabled",
            "privateEndpointConnections": item.get("private_endpoint_connections"),
        },
    }  # fmt: skip


def _ecr(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "repositories": [
            {
                "repositoryName": item.get("name"), "imageTagMutability": item.get("immutability"), "policy": item.get("policy"),
                "imageScanningConfiguration": {"scanOnPush": item.get("scan_on_push")}, "lifecyclePolicyText": item.get("lifecycle_policy"),
            }
        ]
    }  # fmt: skip


def _images(_: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from ()


def _eks(item: dict[str, Any]) -> dict[str, Any]:
    logging = item.get("logging") or {}
    types = logging.get("types") or []
    return {
        "cluster": {
            "name": item.get("name"), "version": item.get("version"), "deletionProtection": item.get("deletion_protection"),
            "resourcesVpcConfig": {"endpointPublicAccess": item.get("endpoint_public_access"), "endpointPrivateAccess": item.get("endpoint_private_access"), "publicAccessCidrs": item.get("public_access_cidrs")},
            "logging": {"clusterLogging": [{"enabled": logging.get("enabled"), "types": types}]},
            "encryptionConfig": [{"resources": ["secrets"], "provider": {"keyArn": "x"}}] if item.get("encryptionConfig") else [],
        }
    }  # fmt: skip
