"""Parameters of Gatekeeper constraints as parameters of controls."""

from __future__ import annotations

from typing import Any


def parameters(kind: str, given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings of controls that a constraint's parameters mean."""
    found: dict[str, dict[str, Any]] = {}
    if kind in {"K8sAllowedRepos", "K8sAllowedReposv2"}:
        names = given.get("repos") or [*given.get("allowedImages", [])]
        found["WL-045"] = {
            "allowed": [name if name.endswith(("/", "*")) or kind.endswith("v2") else f"{name}*" for name in names]
        }
    elif kind == "K8sDisallowedRepos":
        found["WL-045"] = {"disallowed": [f"{name}*" for name in given.get("repos", [])]}
    elif kind == "K8sDisallowedTags":
        found["WL-042"] = {"disallowed": given.get("tags", ["latest"])}
    elif kind == "K8sExternalIPs":
        found["NW-009"] = {"allowed": given.get("allowedIPs", [])}
    elif kind == "K8sPSPForbiddenSysctls":
        found["WL-025"] = {"allowed": given.get("allowedSysctls", [])}
    elif kind == "K8sRequiredLabels":
        found["WL-074"] = {"labels": [item["key"] for item in given.get("labels", [])]}
    elif kind == "K8sRequiredAnnotations":
        found["WL-074"] = {"annotations": [item["key"] for item in given.get("annotations", [])]}
    return found
