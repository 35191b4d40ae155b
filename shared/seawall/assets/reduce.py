"""What is kept of an object: what somebody decided, not what changes by itself, and no secret value."""

from __future__ import annotations

from typing import Any, Final

from seawall.posture.loading import prune
from seawall.posture.objects import mapping, mappings

_DROPPED_META: Final = frozenset({"managedFields", "selfLink", "resourceVersion", "generation"})
_STATUS: Final = {
    "Node": ("capacity", "allocatable", "nodeInfo", "addresses"),
    "Service": ("loadBalancer",),
    "Ingress": ("loadBalancer",),
    "Gateway": ("addresses",),
    "Namespace": ("phase",),
    "PersistentVolume": ("phase",),
    "Pod": ("phase", "podIP", "hostIP"),
}
_CONTAINER_STATUS: Final[tuple[str, ...]] = ("name", "image", "imageID", "containerID", "started")
_VALUES: Final = {"Secret": ("data", "stringData"), "ConfigMap": ("data", "binaryData")}
MAX_ANNOTATION: Final = 4096


def reduced(body: dict[str, Any]) -> dict[str, Any]:
    """Return the part of an object that is stored.

    Left out: field ownership, heartbeats and conditions, values of Secrets and ConfigMaps (their keys stay, and their
    resource version, so that a change is seen), literal values of environment variables, annotations over 4 KiB.
    """
    kind = body.get("kind")
    kept = {key: value for key, value in prune(body).items() if key not in {"status", "metadata"}}
    kept["metadata"] = _meta(mapping(body.get("metadata")), kind in _VALUES)
    for key in _VALUES.get(kind if isinstance(kind, str) else "", ()):
        if isinstance(body.get(key), dict):
            kept[key] = dict.fromkeys(sorted(map(str, body[key])))
    status = mapping(body.get("status"))
    chosen = {key: status[key] for key in _STATUS.get(kind if isinstance(kind, str) else "", ()) if key in status}
    if kind == "Pod":
        for name in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
            if name in status:
                chosen[name] = [_container_status(item) for item in mappings(status[name])]
    if chosen:
        kept["status"] = chosen
    result: dict[str, Any] = without_values(kept)
    return result


def _meta(meta: dict[str, Any], keep_version: bool) -> dict[str, Any]:
    kept = {key: value for key, value in meta.items() if key not in _DROPPED_META}
    if keep_version and "resourceVersion" in meta:
        kept["resourceVersion"] = meta["resourceVersion"]
    notes = kept.get("annotations")
    if isinstance(notes, dict):
        kept["annotations"] = {
            key: value
            for key, value in notes.items()
            if key != "kubectl.kubernetes.io/last-applied-configuration"
            and not key.startswith("control-plane.alpha.kubernetes.io/")
            and len(str(value)) <= MAX_ANNOTATION
        }
    return kept


def _container_status(item: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {key: item[key] for key in _CONTAINER_STATUS if key in item}
    running = mapping(mapping(item.get("state")).get("running"))
    if running:
        kept["state"] = {"running": {"startedAt": running.get("startedAt")}}
    return kept


def without_values(value: Any, depth: int = 0) -> Any:
    """Return a document whose `env` entries have no literal values: they are where credentials are put by mistake."""
    if depth > 40:
        return None
    if isinstance(value, list):
        return [without_values(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: [_hidden(item) for item in mappings(item)]
        if key == "env" and isinstance(item, list)
        else without_values(item, depth + 1)
        for key, item in value.items()
    }


def _hidden(item: dict[str, Any]) -> dict[str, Any]:
    return {key: None if key == "value" else value for key, value in item.items()}
