"""What can be done beside pods: stop a workload, keep a node from new pods, refuse an image."""

from __future__ import annotations

from typing import Final

from seawall.domain.alerts import EntityKind
from seawall.domain.errors import InputError
from seawall.domain.responses import DENY_IMAGE, Change, Current, Request
from seawall.posture.objects import mapping
from seawall.response.action import Action, Draft, Rights, patched, uid_of

_SCALED: Final = {"Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"}
_SUSPENDED: Final = {"CronJob", "Job"}
_GITOPS: Final = "A GitOps tool or operator that owns it starts it again: stop it there too."
_RUNNING_JOBS: Final = "Jobs of it that run already go on: stop each."


def _stop(current: Current) -> Draft:
    spec = mapping(current.object.get("spec"))
    if current.kind in _SCALED:
        replicas = spec.get("replicas", 1)
        return Draft((_scale(current, replicas),) if replicas else (), (_GITOPS,))
    if current.kind not in _SUSPENDED:
        raise InputError(
            f"{current.kind} {current.target.id} cannot be scaled or suspended", hint="terminate or quarantine its pods"
        )
    after = {**current.object, "spec": {**spec, "suspend": True}}
    changes = () if spec.get("suspend") is True else (patched(current.path, current.object, after),)
    return Draft(changes, (_GITOPS, _RUNNING_JOBS) if current.kind == "CronJob" else (_GITOPS,))


def _scale(current: Current, replicas: int) -> Change:
    """Return the change by the subresource: the right to scale is smaller than the right to change the workload."""
    same: dict[str, object] = {"op": "test", "path": "/metadata/uid", "value": uid_of(current)}
    path, field = f"{current.path}/scale", "/spec/replicas"
    return Change(
        Request(
            "PATCH",
            path,
            [same, {"op": "test", "path": field, "value": replicas}, {"op": "replace", "path": field, "value": 0}],
        ),
        # A scale of 0 is not written out, so there the field is absent: null.
        Request(
            "PATCH",
            path,
            [same, {"op": "test", "path": field, "value": None}, {"op": "add", "path": field, "value": replicas}],
        ),
    )


def _cordon(current: Current) -> Draft:
    spec = mapping(current.object.get("spec"))
    if spec.get("unschedulable") is True:
        return Draft(())
    return Draft((patched(current.path, current.object, {**current.object, "spec": {**spec, "unschedulable": True}}),))


def _deny(current: Current) -> Draft:
    digest = current.target.id
    if digest in current.denied:
        return Draft(())
    path = f"gate:/images/{digest}"
    return Draft((Change(Request("DENY", path), Request("ALLOW", path)),))


STOP = Action(
    id="stop-workload",
    title="Stop the workload",
    on=EntityKind.WORKLOAD,
    breaks="All its pods end, or no new job starts: what it serves is down until it is undone.",
    draft=_stop,
    rights=(
        Rights("", ("replicationcontrollers",), ("get",)),
        Rights("", ("replicationcontrollers/scale",), ("patch",)),
        Rights("apps", ("deployments", "statefulsets", "daemonsets", "replicasets"), ("get",)),
        Rights("apps", ("deployments/scale", "statefulsets/scale", "replicasets/scale"), ("patch",)),
        Rights("batch", ("cronjobs", "jobs"), ("get", "patch")),
    ),
)
CORDON = Action(
    id="cordon-node",
    title="Keep new pods off the node",
    on=EntityKind.NODE,
    breaks="The scheduler places nothing on the node; what runs there goes on.",
    draft=_cordon,
    rights=(Rights("", ("nodes",), ("get", "patch")),),
)
DENY = Action(
    id=DENY_IMAGE,
    title="Refuse the image at admission",
    on=EntityKind.IMAGE,
    breaks="No new pod with the image starts where API servers ask the admission gate; what runs goes on until it is restarted.",
    draft=_deny,
)
