"""Whose results may change when another object does: a namespace's label decides about its pods, a binding about accounts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from seawall.posture.objects import CLUSTER_SCOPED, Obj
from seawall.posture.world import World

_WORKLOADS: Final = "workloads"
_ROUTES: Final = ("Ingress", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute")
_OF_POLICY: Final = (_WORKLOADS, "Namespace")
_OF_WORKLOAD: Final = ("Service", "NetworkPolicy", "PodDisruptionBudget", "HorizontalPodAutoscaler", "ServiceAccount")
_DEPENDENTS: Final[dict[str, tuple[str, ...]]] = {
    "Namespace": (_WORKLOADS,),
    **dict.fromkeys(
        (
            "NetworkPolicy", "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "GlobalNetworkPolicy",
            "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "LimitRange", "ResourceQuota",
        ),
        _OF_POLICY,
    ),
    "ServiceAccount": (_WORKLOADS, "RoleBinding"),
    "RoleBinding": (_WORKLOADS, "ServiceAccount", "Role"),
    "Role": ("RoleBinding", _WORKLOADS),
    "ClusterRoleBinding": ("ClusterRole", "ServiceAccount", _WORKLOADS),
    "ClusterRole": ("ClusterRoleBinding", "RoleBinding", _WORKLOADS),
    "Service": (_WORKLOADS, "Service", *_ROUTES),
    "Ingress": (_WORKLOADS, "Ingress"),
    "PodDisruptionBudget": (_WORKLOADS,),
    "HorizontalPodAutoscaler": (_WORKLOADS,),
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "CronJob", "Job", "Pod"), _OF_WORKLOAD),
}  # fmt: skip
"""By kind of what changed. Objects in the same namespace are meant, of a kind without namespace those of the cluster."""


def dependents(world: World, kind: str, namespace: str, name: str) -> Iterator[Obj]:
    """Yield the objects of `world` to judge again after a change or the end of an object, which itself is left out.

    What a deleted object selected is not known any more, so that its whole namespace is meant.
    """
    space = name if kind == "Namespace" else namespace or ("" if kind in CLUSTER_SCOPED else "default")
    for part in _DEPENDENTS.get(kind, ()):
        if part == _WORKLOADS:
            groups = [world.workloads_in.get(space, [])] if space else world.workloads_in.values()
            found = [item.obj for item in chain.from_iterable(groups) if item.obj.index >= 0]
        elif part == "Namespace":
            found = [obj for obj in world.of(part) if not space or obj.name == space]
        else:
            found = [obj for obj in world.of(part) if not space or obj.in_namespace == space]
        yield from (obj for obj in found if (obj.kind, obj.name) != (kind, name))
