"""How a response action is declared, and what every plan refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from seawall.domain.alerts import Entity, EntityKind
from seawall.domain.audit_events import parse_time
from seawall.domain.errors import InputError
from seawall.domain.responses import Change, Current, Plan, Request
from seawall.posture.objects import mapping, mappings, text
from seawall.posture.remediation.patches import json_patch
from seawall.posture.world import SYSTEM_NAMESPACES

_STATIC: Final = "kubernetes.io/config.mirror"
_CONTROL_PLANE: Final = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


@dataclass(frozen=True, slots=True)
class Rights:
    """One rule of a ClusterRole."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """What an action would change; none = it is so already. `refusals` are its own, beside those of every action."""

    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done. `draft` is a function of the present objects; what cannot be done is an `InputError`.

    `breaks` says in one sentence what its user loses. With `keeps_evidence` the pod is written down before it changes.
    """

    id: str
    title: str
    on: EntityKind
    breaks: str
    draft: Callable[[Current], Draft]
    rights: tuple[Rights, ...] = ()
    undoable: bool = True
    keeps_evidence: bool = False
    reads_policies: bool = False


EVIDENCE_RIGHTS: Final = (Rights("", ("pods/log",), ("get",)), Rights("", ("events",), ("list",)))
"""Without them the action goes on, and the evidence says what is missing."""


def cluster_role(action: Action) -> dict[str, Any]:
    """Return the ClusterRole with what an action needs, and nothing else; bind it per namespace where that is enough."""
    rights = action.rights + (EVIDENCE_RIGHTS if action.keeps_evidence else ())
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"seawall-respond-{action.id}"},
        "rules": [
            {"apiGroups": [item.group], "resources": list(item.resources), "verbs": list(item.verbs)} for item in rights
        ],
    }


def require_fit(action: Action, target: Entity) -> None:
    """Raise when an action is for another kind of thing.

    Raises:
        InputError: it is.
    """
    if action.on is not target.kind:
        raise InputError(f"{action.id} is for a {action.on.value}, not for {named(target)}")


def plan(action: Action, current: Current) -> Plan:
    """Return what `action` comes to on the target as it is now.

    Raises:
        InputError: it cannot be done, whoever wants it.
    """
    if current.kind == "Pod":
        _refuse_static(current)
    draft = action.draft(current)
    refused = (*_refusals(current), *draft.refusals)
    return Plan(action.id, current.target, uid_of(current), draft.changes, refused, draft.notes, not draft.changes)


def metadata(current: Current) -> Mapping[str, Any]:
    """Return the metadata of the target."""
    return mapping(current.object.get("metadata"))


def uid_of(current: Current) -> str:
    """Return the target's uid: what every request is bound to."""
    return text(metadata(current).get("uid"))


def controller_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the owner reference of the controller that brings the object back, empty without one."""
    owners = mappings(mapping(body.get("metadata")).get("ownerReferences"))
    return next((item for item in owners if item.get("controller") is True), {})


def patched(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Change:
    """Return the patch from `before` to `after` and its inverse, for objects that have a uid.

    Both test the uid and every value that they replace or remove: what was made or changed meanwhile is left alone.
    """
    return Change(_patch(path, before, after), _patch(path, after, before))


def _patch(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Request:
    operations: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/uid", "value": mapping(before.get("metadata"))["uid"]}
    ]
    for operation in json_patch(before, after):
        if operation["op"] != "add":
            operations.append({"op": "test", "path": operation["path"], "value": _at(before, operation["path"])})
        operations.append(operation)
    return Request("PATCH", path, operations)


def _at(body: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        body = body[int(key)] if isinstance(body, list) else body[key]
    return body


def _refuse_static(current: Current) -> None:
    """Raise for a pod that a file on its node makes: the API server shows a mirror of it, and changing that does nothing."""
    static = _STATIC in mapping(metadata(current).get("annotations"))
    if static or controller_of(current.object).get("kind") == "Node":
        raise InputError(
            f"pod {current.target.id} is static: its node's kubelet runs it from a file",
            hint="remove the file from the node's static pod folder",
        )


def _refusals(current: Current) -> Iterator[str]:
    """Yield why the target should be left alone whatever the action."""
    namespace = text(metadata(current).get("namespace"))
    labels = mapping(metadata(current).get("labels"))
    if is_platform(namespace):
        yield f"namespace {namespace} is the platform's"
    if text(labels.get("app.kubernetes.io/name")).startswith("seawall"):
        yield "it is a part of Seawall"
    if current.kind == "Node" and any(label in labels for label in _CONTROL_PLANE):
        yield "it is a node of the control plane"
    made = parse_time(text(metadata(current).get("creationTimestamp")))
    if current.seen_at is not None and made is not None and made > current.seen_at and current.kind != "Node":
        yield f"it was made at {made:%Y-%m-%d %H:%M:%S} UTC, after what the incident tells of: another one of that name"


def is_platform(namespace: str) -> bool:
    """Whether a namespace holds what the cluster itself needs."""
    return namespace in SYSTEM_NAMESPACES or namespace.startswith("openshift-")


def named(target: Entity) -> str:
    """Return a target as people and the command line say it: `pod shop/web-1`."""
    return f"{target.kind.value} {target.id}"
