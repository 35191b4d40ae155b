"""Azure's resources in the words of its API, its command line and its SDKs: the same verdicts."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from seawall.app.assess_posture import assess_documents
from seawall.domain.posture import Status

ID = "/subscriptions/1/resourceGroups/r/providers/Microsoft.ContainerService/managedClusters/c"
API: dict[str, Any] = {
    "id": ID,
    "name": "c",
    "type": "Microsoft.ContainerService/managedClusters",
    "properties": {
        "apiServerAccessProfile": {"authorizedIPRanges": ["192.0.2.0/24"]},
        "enableRBAC": True,
        "aadProfile": {"managed": True, "enableAzureRBAC": True, "adminGroupObjectIDs": ["g"]},
        "agentPoolProfiles": [{"name": "p", "enableNodePublicIP": True, "securityProfile": {"enableVTPM": True, "enableSecureBoot": True}}],
        "autoUpgradeProfile": {"upgradeChannel": "patch", "nodeOSUpgradeChannel": "NodeImage"},
        "diskEncryptionSetID": "/subscriptions/1/d",
        "storageProfile": {"diskCSIDriver": {"enabled": False}},
    },
}  # fmt: skip
CLI: dict[str, Any] = {
    "id": ID,
    "name": "c",
    "type": "Microsoft.ContainerService/ManagedClusters",
    "apiServerAccessProfile": {"authorizedIpRanges": ["192.0.2.0/24"]},
    "enableRbac": True,
    "aadProfile": {"managed": True, "enableAzureRbac": True, "adminGroupObjectIds": ["g"]},
    "agentPoolProfiles": [{"name": "p", "enableNodePublicIp": True, "securityProfile": {"enableVtpm": True, "enableSecureBoot": True}}],
    "autoUpgradeProfile": {"upgradeChannel": "patch", "nodeOsUpgradeChannel": "NodeImage"},
    "diskEncryptionSetId": "/subscriptions/1/d",
    "storageProfile": {"diskCsiDriver": {"enabled": False}},
}  # fmt: skip
SDK: dict[str, Any] = {
    "id": ID,
    "name": "c",
    "type": "Microsoft.ContainerService/ManagedClusters",
    "api_server_access_profile": {"authorized_ip_ranges": ["192.0.2.0/24"]},
    "enable_rbac": True,
    "aad_profile": {"managed": True, "enable_azure_rbac": True, "admin_group_object_i_ds": ["g"]},
    "agent_pool_profiles": [{"name": "p", "enable_node_public_ip": True, "security_profile": {"enable_vtpm": True, "enable_secure_boot": True}}],
    "auto_upgrade_profile": {"upgrade_channel": "patch", "node_os_upgrade_channel": "NodeImage"},
    "disk_encryption_set_id": "/subscriptions/1/d",
    "storage_profile": {"disk_csi_driver": {"enabled": False}},
}  # fmt: skip
EXPECTED = {
    "AK-01": Status.PASS, "AK-03": Status.FAIL, "AK-05": Status.PASS, "AK-06": Status.PASS, "AK-07": Status.PASS,
    "AK-14": Status.PASS, "AK-17": Status.PASS, "AK-27": Status.PASS, "AK-29": Status.FAIL,
}  # fmt: skip


@pytest.mark.parametrize(
    "answer", [pytest.param(API, id="api"), pytest.param(CLI, id="cli"), pytest.param(SDK, id="sdk")]
)
def test_spellings(answer: dict[str, Any]) -> None:
    report = assess_documents([answer], today=date(2026, 1, 1), controls=list(EXPECTED))
    assert {name: report.status_of(name) for name in EXPECTED} == EXPECTED
