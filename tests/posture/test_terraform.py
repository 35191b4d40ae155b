"""Terraform plans and configurations in JSON: what becomes of the providers' words, and what the controls say."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from seawall.app.assess_posture import assess_documents
from seawall.domain.posture import Status


def status(control: str, *resources: tuple[str, dict[str, Any]]) -> Status:
    document: dict[str, Any] = {
        "planned_values": {
            "root_module": {
                "resources": [
                    {"mode": "managed", "type": kind, "name": f"r{number}", "values": values}
                    for number, (kind, values) in enumerate(resources)
                ]
            }
        }
    }
    return assess_documents([document], today=date(2026, 1, 1), controls=[control]).status_of(control)


AKS, ACR, ECR, GKE = (
    "azurerm_kubernetes_cluster",
    "azurerm_container_registry",
    "aws_ecr_repository",
    "google_container_cluster",
)
SETTING = "azurerm_monitor_diagnostic_setting"
SCANNING = "aws_ecr_registry_scanning_configuration"


def scanning(filter_: str) -> tuple[str, dict[str, Any]]:
    rule = {"scan_frequency": "SCAN_ON_PUSH", "repository_filter": [{"filter": filter_, "filter_type": "WILDCARD"}]}
    return SCANNING, {"scan_type": "BASIC", "rule": [rule]}


@pytest.mark.parametrize(
    ("control", "resources", "expected"),
    [
        pytest.param("AK-12", [(AKS, {"name": "a"}), (SETTING, {"enabled_log": [{"category": "kube-audit-admin"}]})], Status.PASS, id="audit log"),
        pytest.param("AK-12", [(AKS, {"name": "a"}), (SETTING, {"enabled_log": [{"category": "kube-scheduler"}]})], Status.FAIL, id="another log"),
        pytest.param("AK-12", [(AKS, {"name": "a"}), (SETTING, {"target_resource_id": "/x/providers/Microsoft.KeyVault/vaults/v", "enabled_log": [{"category_group": "allLogs"}]})], Status.FAIL, id="logs of a vault"),
        pytest.param("AK-02", [(AKS, {"public_network_access_enabled": False, "api_server_access_profile": [{"virtual_network_integration_enabled": True}]})], Status.PASS, id="network integration"),
        pytest.param("AK-02", [(AKS, {"api_server_access_profile": [{"virtual_network_integration_enabled": True}]})], Status.FAIL, id="network integration, still public"),
        pytest.param("AK-29", [(AKS, {"storage_profile": [{"file_driver_enabled": False}]})], Status.FAIL, id="file driver off"),
        pytest.param("AK-13", [(AKS, {"kubernetes_version": "1.30", "support_plan": "AKSLongTermSupport"})], Status.PASS, id="long-term support"),
        pytest.param("RG-02", [(ACR, {"sku": "Basic"})], Status.PASS, id="basic tier cannot"),
        pytest.param("RG-02", [(ACR, {"sku": "Standard", "anonymous_pull_enabled": True})], Status.FAIL, id="anonymous"),
        pytest.param("RG-07", [(ACR, {"sku": "Premium", "azuread_authentication_as_arm_policy_enabled": False})], Status.PASS, id="no ARM tokens"),
        pytest.param("RG-13", [(ECR, {"image_tag_mutability": "IMMUTABLE_WITH_EXCLUSION"})], Status.FAIL, id="some tags move"),
        pytest.param("RG-15", [(ECR, {"name": "a"})], Status.FAIL, id="no lifecycle planned"),
        pytest.param("RG-12", [(ECR, {"name": "prod/a"}), scanning("prod/*")], Status.PASS, id="scanned by the registry's rule"),
        pytest.param("RG-12", [(ECR, {"name": "dev/a"}), scanning("prod/*")], Status.FAIL, id="left out by the registry's rule"),
        pytest.param("EK-06", [("aws_eks_cluster", {"name": "e", "vpc_config": [{}]}), ("aws_eks_addon", {"addon_name": "vpc-cni", "configuration_values": '{"enableNetworkPolicy": "true"}'})], Status.PASS, id="policy agent"),
        pytest.param("GK-01", [(GKE, {"private_cluster_config": [{"enable_private_endpoint": True}]})], Status.FAIL, id="private, but any address inside"),
        pytest.param("GK-15", [(GKE, {"datapath_provider": "ADVANCED_DATAPATH"})], Status.PASS, id="on by default"),
        pytest.param("GK-15", [(GKE, {"datapath_provider": "ADVANCED_DATAPATH", "enable_intranode_visibility": False})], Status.FAIL, id="switched off"),
        pytest.param("GK-17", [(GKE, {"name": "g"}), ("google_compute_firewall", {"name": "f", "source_ranges": ["0.0.0.0/0"], "target_tags": ["gke-g"], "allow": [{"protocol": "tcp", "ports": ["22"]}]})], Status.FAIL, id="ssh from anywhere"),
        pytest.param("RG-16", [("google_artifact_registry_repository", {"repository_id": "a", "vulnerability_scanning_config": [{"enablement_config": "INHERITED"}]})], Status.UNKNOWN, id="the project decides"),
    ],
)  # fmt: skip
def test_terraform(control: str, resources: list[tuple[str, dict[str, Any]]], expected: Status) -> None:
    assert status(control, *resources) is expected


def test_a_lifecycle_policy_that_was_not_asked_for_is_unknown() -> None:
    answer = {"repositories": [{"repositoryName": "a", "repositoryArn": "arn:aws:ecr:eu-west-1:1:repository/a"}]}
    judged = assess_documents([answer], today=date(2026, 1, 1), controls=["RG-15"])
    assert judged.status_of("RG-15") is Status.UNKNOWN
