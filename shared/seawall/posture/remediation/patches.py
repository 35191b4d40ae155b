"""From a failure to the operations that repair it, and back.

Source of what may be repaired without knowing the program: the catalogue's grades (A a patch is safe, S a patch may
break the program, M a person decides).
"""

from __future__ import annotations

import copy
import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from seawall.domain.posture import Assessment
from seawall.posture.catalogue import controls
from seawall.posture.workloads import CONTAINER_LISTS

REMOVE: Final = object()
"""Value of an operation that takes a field away."""

Keys = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """Set the value at a path of mapping keys and list positions, or take it away. Parents are made as needed."""

    keys: Keys
    value: Any


_SEGMENT: Final = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]|\[\"((?:[^\"\\]|\\.)*)\"\]")


def keys_of(path: str) -> Keys:
    """Return the keys of a JSON path as results carry it: `spec.containers[0].name`, `metadata.labels["a/b"]`."""
    return tuple(int(match[2]) if match[2] is not None else match[1] or match[3] for match in _SEGMENT.finditer(path))


_SET: Final[dict[str, Any]] = {
    "WL-002": False, "WL-019": True, "WL-003": True, "WL-031": False, "WL-044": "Always", "WL-062": False, "WL-016": True,
    "NW-010": None,
}  # fmt: skip
_REMOVE: Final = frozenset(
    {
        "WL-001",
        "WL-011",
        "WL-012",
        "WL-013",
        "WL-014",
        "WL-026",
        "WL-027",
        "WL-030",
        "WL-055",
        "WL-056",
        "WL-060",
        "NW-013",
        "WL-023",
    }
)
"""Controls whose failing field is taken away."""


def operations(item: Assessment) -> tuple[Operation, ...]:
    """Return what repairs a failure; empty when only a person can."""
    if not item.path:
        return ()
    keys = keys_of(item.path)
    if item.control in _REMOVE:
        return (Operation(keys, REMOVE),)
    if item.control in {"WL-009", "WL-010"}:
        base = keys[: keys.index("capabilities") + 1] if "capabilities" in keys else (*keys, "capabilities")
        if keys[-1] == "add":
            kept = [name for name in item.actual if name == "NET_BIND_SERVICE"] if isinstance(item.actual, list) else []
            return (Operation((*base, "add"), kept or REMOVE),)
        return (Operation((*base, "drop"), ["ALL"]),)
    if item.control in {"WL-007", "WL-008"}:
        bad = {"SYS_ADMIN", "ALL"} if item.control == "WL-008" else None
        from seawall.posture.checks.pod_security import BASELINE_CAPABILITIES

        names = item.actual if isinstance(item.actual, list) else []
        kept = [
            name
            for name in names
            if (str(name).upper().removeprefix("CAP_") not in bad if bad else name in BASELINE_CAPABILITIES)
        ]
        return (Operation(keys, kept or REMOVE),)
    if item.control in {"WL-020", "WL-021", "WL-022", "WL-024"}:
        return _profile(item, keys)
    if item.control == "WL-003":
        return (Operation((*keys[:-1], "runAsNonRoot"), True),) if keys[-1] == "runAsNonRoot" else ()
    if item.control == "WL-033":
        return (Operation(keys, REMOVE), Operation((*keys[:-1], "serviceAccountName"), item.actual))
    if item.control == "WL-046" and isinstance(item.actual, str):
        return (Operation(keys, item.actual.replace("k8s.gcr.io", "registry.k8s.io", 1)),)
    if item.control == "WL-081" and isinstance(item.actual, str):
        return (Operation(keys, f"{item.actual}/"),)
    if item.control == "NW-009":
        return (Operation(keys[:-1], REMOVE),)
    if item.control in _SET and _SET[item.control] is not None:
        return (Operation(keys, _SET[item.control]),)
    return ()


def _profile(item: Assessment, keys: Keys) -> tuple[Operation, ...]:
    """Profiles are set for the pod; what a container or annotation overrides is taken away."""
    spec = _pod_spec(keys)
    name = "appArmorProfile" if item.control == "WL-022" else "seccompProfile"
    wanted = Operation((*spec, "securityContext", name), {"type": "RuntimeDefault"})
    if "annotations" in keys:
        return (Operation(keys, REMOVE), wanted)
    if item.control in {"WL-021", "WL-022"} and _in_container(keys):
        return (Operation((*keys[: keys.index(name)], name), REMOVE), wanted)
    if item.control == "WL-024":
        return (wanted,)
    return (
        (wanted,)
        if item.actual is None or not _in_container(keys)
        else (Operation((*keys[: keys.index(name)], name), REMOVE), wanted)
    )


_CONTAINER_LISTS: Final = frozenset(CONTAINER_LISTS)


def _in_container(keys: Keys) -> bool:
    return not _CONTAINER_LISTS.isdisjoint(keys)


def _pod_spec(keys: Keys) -> Keys:
    """Return where the pod's `spec` lies, from a field of it, of a container, or of the pod's annotations."""
    for at, key in enumerate(keys):
        if key in _CONTAINER_LISTS or key == "securityContext":
            return keys[:at]
        if key == "annotations":
            return (*keys[: at - 1], "spec")
    return keys


def repairable(item: Assessment, grades: Sequence[str] = ("A",)) -> bool:
    """Whether the control's grade allows a repair and there is one."""
    return controls()[item.control].grade in grades and bool(operations(item))


def apply(body: dict[str, Any], changes: Iterable[Operation]) -> dict[str, Any]:
    """Return a copy of an object with the changes made."""
    result = copy.deepcopy(body)
    for change in changes:
        edit(result, change)
    return result


def edit(body: Any, change: Operation) -> bool:
    """Make one change in place, on plain or round-trip documents; False when it was there already or has no place."""
    current = body
    for key in change.keys[:-1]:
        following = current[key] if _has(current, key) else None
        if following is None:
            if change.value is REMOVE or isinstance(key, int):
                return False
            following = type(body)() if hasattr(body, "ca") else {}
            current[key] = following
        current = current[key]
    last = change.keys[-1]
    if change.value is REMOVE:
        if not _has(current, last):
            return False
        del current[last]
        return True
    if _has(current, last) and current[last] == change.value:
        return False
    current[last] = copy.deepcopy(change.value)
    return True


def _has(body: Any, key: str | int) -> bool:
    if isinstance(key, int):
        return isinstance(body, list) and key < len(body)
    return isinstance(body, dict) and key in body


def json_patch(before: Any, after: Any, path: str = "") -> list[dict[str, Any]]:
    """Return the RFC 6902 operations that lead from one document to the other; swapped, they undo each other."""
    if isinstance(before, dict) and isinstance(after, dict):
        changes: list[dict[str, Any]] = []
        for key in before:
            at = f"{path}/{_escape(key)}"
            if key not in after:
                changes.append({"op": "remove", "path": at})
            else:
                changes += json_patch(before[key], after[key], at)
        return changes + [
            {"op": "add", "path": f"{path}/{_escape(key)}", "value": after[key]} for key in after if key not in before
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            change
            for index, pair in enumerate(zip(before, after, strict=True))
            for change in json_patch(*pair, f"{path}/{index}")
        ]
    return [] if before == after else [{"op": "replace", "path": path, "value": after}]


def _escape(key: object) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")


def kubectl(item: Assessment, patch: list[dict[str, Any]]) -> str:
    """Return the kubectl command that makes the change."""
    ref = item.object
    where = f" -n {shlex.quote(ref.namespace)}" if ref.namespace else ""
    return f"kubectl patch {shlex.quote(ref.kind.lower())} {shlex.quote(ref.name)}{where} --type=json -p {shlex.quote(json.dumps(patch))}"


_HELM: Final = {
    "WL-001": "securityContext.privileged: false", "WL-002": "securityContext.allowPrivilegeEscalation: false", "WL-003": "podSecurityContext.runAsNonRoot: true",
    "WL-009": "securityContext.capabilities.drop: [ALL]", "WL-010": "securityContext.capabilities.drop: [ALL]", "WL-011": "hostPID: false", "WL-012": "hostIPC: false",
    "WL-013": "hostNetwork: false", "WL-019": "securityContext.readOnlyRootFilesystem: true", "WL-020": "podSecurityContext.seccompProfile.type: RuntimeDefault",
    "WL-031": "serviceAccount.automount: false", "WL-032": "serviceAccount.create: true", "WL-035": "resources.limits.cpu: ...", "WL-036": "resources.limits.memory: ...",
    "WL-037": "resources.requests.cpu: ...", "WL-038": "resources.requests.memory: ...", "WL-040": "livenessProbe: {...}", "WL-041": "readinessProbe: {...}",
    "WL-042": "image.tag: <version>", "WL-044": "image.pullPolicy: Always", "WL-072": "replicaCount: 2", "NW-007": "service.type: ClusterIP", "NW-010": "ingress.tls: [...]",
}  # fmt: skip
_TERRAFORM: Final = {
    "AK-01": "azurerm_kubernetes_cluster: api_server_access_profile { authorized_ip_ranges = [...] }", "AK-02": "azurerm_kubernetes_cluster: private_cluster_enabled = true",
    "AK-05": "azurerm_kubernetes_cluster: role_based_access_control_enabled = true", "AK-08": "azurerm_kubernetes_cluster: local_account_disabled = true",
    "AK-11": "azurerm_kubernetes_cluster: azure_policy_enabled = true", "AK-14": 'azurerm_kubernetes_cluster: automatic_upgrade_channel = "patch"',
    "AK-15": "azurerm_kubernetes_cluster: oidc_issuer_enabled = true, workload_identity_enabled = true", "AK-18": "azurerm_kubernetes_cluster: default_node_pool { host_encryption_enabled = true }",
    "AK-19": "azurerm_kubernetes_cluster: run_command_enabled = false", "AK-21": "azurerm_kubernetes_cluster: image_cleaner_enabled = true",
    "AK-23": "azurerm_kubernetes_cluster: key_vault_secrets_provider { secret_rotation_enabled = true }", "AK-28": 'azurerm_kubernetes_cluster: sku_tier = "Standard"',
    "EK-01": "aws_eks_cluster: vpc_config { endpoint_public_access = false }", "EK-02": "aws_eks_cluster: vpc_config { endpoint_private_access = true }",
    "EK-04": 'aws_eks_cluster: encryption_config { resources = ["secrets"] }', "EK-05": 'aws_eks_cluster: enabled_cluster_log_types = ["api", "audit", "authenticator", "controllerManager", "scheduler"]',
    "EK-08": 'aws_eks_cluster: access_config { authentication_mode = "API" }', "EK-13": "aws_eks_cluster: deletion_protection = true",
    "GK-01": "google_container_cluster: master_authorized_networks_config { cidr_blocks { ... } }", "GK-03": "google_container_cluster: private_cluster_config { enable_private_nodes = true }",
    "GK-06": 'google_container_cluster: workload_identity_config { workload_pool = "<project>.svc.id.goog" }', "GK-12": "google_container_cluster: enable_shielded_nodes = true",
    "GK-23": "google_container_cluster: enable_legacy_abac = false", "GK-31": 'google_container_cluster: datapath_provider = "ADVANCED_DATAPATH"',
    "RG-01": "azurerm_container_registry: admin_enabled = false", "RG-02": "azurerm_container_registry: anonymous_pull_enabled = false",
    "RG-03": "azurerm_container_registry: public_network_access_enabled = false", "RG-12": "aws_ecr_repository: image_scanning_configuration { scan_on_push = true }",
    "RG-13": 'aws_ecr_repository: image_tag_mutability = "IMMUTABLE"', "RG-14": 'aws_ecr_repository: encryption_configuration { encryption_type = "KMS" }',
}  # fmt: skip


def hints(item: Assessment) -> dict[str, str]:
    """Return how the repair is said in Helm values (by the common chart layout) and in Terraform, where there is a word for it."""
    found = {"helm": _HELM.get(item.control, ""), "terraform": _TERRAFORM.get(item.control, "")}
    return {name: value for name, value in found.items() if value}
