"""Use case: from what was collected to the asset graph and to what runs now."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final

from seawall.app.record_running import record_snapshot
from seawall.assets.clouds import KINDS as CLOUD_KINDS
from seawall.assets.clouds import cloud_states
from seawall.assets.ids import cluster_id
from seawall.assets.kubernetes import running_digest, states_of
from seawall.domain.assets import Asset, AssetSnapshot, AssetState
from seawall.domain.audit_events import parse_time
from seawall.domain.running import RunningContainer, RunningSnapshot, RunningSource
from seawall.ports.assets import Applied
from seawall.ports.store import Store
from seawall.posture.objects import Obj, mapping, mappings, text
from seawall.posture.workloads import workloads_of

UNPUBLISHED: Final = frozenset({"Pod", "Container", "ReplicaSet", "Job", "ConfigMap", "User", "Group"})
"""Kinds that come and go by the thousand: kept, but not sent on."""


def record_assets(
    store: Store, scope: str, objects: Collection[Obj], complete: Iterable[str], taken_at: datetime, now: datetime
) -> tuple[Applied, list[Asset]]:
    """Keep a listing; return what it changed and the assets worth publishing.

    Args:
        complete: kinds of which every object is here; of the others only what is new or changed counts.
    """
    kinds = {CLOUD_KINDS.get(kind, kind) for kind in complete}
    if "Pod" in kinds:
        kinds.add("Container")
    if {"RoleBinding", "ClusterRoleBinding"} <= kinds:
        kinds |= {"User", "Group"}
    states = {state.asset.id: state for state in states_of(objects, scope)}
    states.update((state.asset.id, state) for state in cloud_states(objects, scope))
    if any(obj.kind in {"Node", "Namespace", "Pod", "Deployment"} for obj in objects):
        cluster = _cluster(scope, objects)
        states[cluster.asset.id] = cluster
    applied = store.assets.apply(AssetSnapshot(scope, taken_at, frozenset(kinds), tuple(states.values())))
    if "Pod" in kinds:
        snapshot = RunningSnapshot(
            source=RunningSource.CLUSTER,
            cluster=scope,
            taken_at=taken_at,
            containers=tuple(running_containers(objects, scope, taken_at)),
        )
        record_snapshot(store.running, snapshot, now)
    touched = {*applied.added, *applied.changed}
    return applied, [
        states[identifier].asset
        for identifier in sorted(touched)
        if identifier in states and states[identifier].asset.kind not in UNPUBLISHED
    ]


def _cluster(scope: str, objects: Iterable[Obj]) -> AssetState:
    version = next((text(obj.body.get("gitVersion")) for obj in objects if obj.kind == "ServerVersion"), "")
    properties = {"version": version} if version else {}
    return AssetState(scope, Asset(cluster_id(scope), "Cluster", scope, "", properties))


def running_containers(objects: Iterable[Obj], cluster: str, taken_at: datetime) -> list[RunningContainer]:
    """Return the containers that run by what their pods' status says."""
    found: list[RunningContainer] = []
    known = list(objects)
    for workload in workloads_of(known):
        pods = [workload.obj] if workload.kind == "Pod" else workload.pods
        owner = f"{workload.kind}/{workload.obj.name}"
        for pod in pods:
            found += _of_pod(pod, cluster, owner, taken_at)
    return found


def _of_pod(pod: Obj, cluster: str, owner: str, taken_at: datetime) -> Iterable[RunningContainer]:
    status = mapping(pod.body.get("status"))
    for name in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for item in mappings(status.get(name)):
            running, identifier = mapping(mapping(item.get("state")).get("running")), text(item.get("containerID"))
            if not running or not identifier:
                continue
            spec = next((entry for entry in _specs(pod) if entry.get("name") == item.get("name")), {})
            yield RunningContainer(
                cluster=cluster,
                container_id=identifier,
                seen_at=taken_at,
                node=text(pod.spec.get("nodeName")),
                namespace=pod.in_namespace,
                pod=pod.name,
                owner=owner,
                container=text(item.get("name")),
                image=text(spec.get("image")) or text(item.get("image")),
                digest=running_digest(text(item.get("imageID"))),
                started_at=parse_time(text(running.get("startedAt"))),
            )


def _specs(pod: Obj) -> Iterable[dict[str, object]]:
    for name in ("containers", "initContainers", "ephemeralContainers"):
        yield from mappings(pod.spec.get(name))
