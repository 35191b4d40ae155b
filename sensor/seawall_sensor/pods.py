"""The node's pods, as Kubernetes describes them: by uid and by container."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

KEPT_S = 120.0
"""How long a deleted pod is remembered: its last events may be under way."""


@dataclass(slots=True)
class Pod:
    """One pod as far as events need it. `containers` are by id without the runtime's prefix: (name, image, digest)."""

    name: str
    namespace: str
    uid: str
    labels: dict[str, str]
    owner: str = ""
    service_account: str = ""
    ip: str = ""
    host_network: bool = False
    host_pid: bool = False
    containers: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    config_hash: str = ""
    """Of a static pod: what the kubelet names its cgroup by."""
    gone_at: float = 0.0

    def facts(self, container_id: str) -> dict[str, Any]:
        """Return fields of a `ContainerContext`."""
        found: dict[str, Any] = {
            "pod": self.name, "namespace": self.namespace, "pod_uid": self.uid, "labels": self.labels, "owner": self.owner,
            "service_account": self.service_account, "pod_ip": self.ip, "host_network": self.host_network,
            "host_pid": self.host_pid,
        }  # fmt: skip
        if container_id in self.containers:
            found["name"], found["image"], found["image_digest"] = self.containers[container_id]
        return found


class PodDirectory:
    """The node's pods by uid and by container. Thread-safe."""

    def __init__(self, limit: int = 2048) -> None:
        self._limit, self._lock = limit, threading.Lock()
        self._pods: OrderedDict[str, Pod] = OrderedDict()
        self._by_container: dict[str, Pod] = {}
        self._by_hash: dict[str, Pod] = {}
        self.synced = False
        """Whether all pods were listed once."""

    def __len__(self) -> int:
        return len(self._pods)

    def put(self, pod: Pod) -> None:
        """Take in a pod, or its newer state."""
        with self._lock:
            old = self._pods.pop(pod.uid, None)
            if old is not None:
                pod.containers = (
                    old.containers | pod.containers
                )  # a restart names a new id; the old one's events may come
                while len(pod.containers) > 64:
                    del pod.containers[next(iter(pod.containers))]
                self._forget(old)
            self._pods[pod.uid] = pod
            self._by_container |= dict.fromkeys(pod.containers, pod)
            if pod.config_hash:
                self._by_hash[pod.config_hash] = pod
            now = time.monotonic()
            for uid, each in list(self._pods.items()):
                if (each.gone_at and now - each.gone_at > KEPT_S) or len(self._pods) > self._limit:
                    self._forget(self._pods.pop(uid))

    def gone(self, uid: str) -> None:
        """A pod was deleted."""
        with self._lock:
            if uid in self._pods:
                self._pods[uid].gone_at = time.monotonic()

    def only(self, uids: set[str]) -> None:
        """All pods were listed: the others are gone."""
        for uid in set(self._pods) - uids:
            self.gone(uid)
        self.synced = True

    def find(self, container_id: str, pod_uid: str = "") -> dict[str, Any]:
        """Return what is known of a container, by its id or else by its pod; empty = nothing."""
        with self._lock:
            pod = self._by_container.get(container_id) or self._pods.get(pod_uid) or self._by_hash.get(pod_uid)
            return pod.facts(container_id) if pod is not None else {}

    def _forget(self, pod: Pod) -> None:
        for identity in pod.containers:
            if self._by_container.get(identity) is pod:
                del self._by_container[identity]
        if self._by_hash.get(pod.config_hash) is pod:
            del self._by_hash[pod.config_hash]


def parse_pod(item: dict[str, Any]) -> Pod | None:
    """Return a pod of the API (core/v1); None when it has no name or uid."""
    meta, spec, status = (item.get(key) or {} for key in ("metadata", "spec", "status"))
    name, uid = meta.get("name"), meta.get("uid")
    if not name or not uid:
        return None
    notes = meta.get("annotations") or {}
    pod = Pod(
        str(name),
        str(meta.get("namespace", "")),
        str(uid),
        {str(key): str(value) for key, value in list((meta.get("labels") or {}).items())[:128]},
        service_account=str(spec.get("serviceAccountName", "")),
        ip=str(status.get("podIP", "")),
        host_network=bool(spec.get("hostNetwork")),
        host_pid=bool(spec.get("hostPID")),
        config_hash=str(notes.get("kubernetes.io/config.hash", "")),
    )
    asked = {
        each.get("name"): str(each.get("image", ""))
        for kind in ("initContainers", "containers", "ephemeralContainers")
        for each in spec.get(kind) or []
    }
    for kind in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for each in status.get(kind) or []:
            identity = str(each.get("containerID") or "").rpartition("://")[2]
            if identity:
                digest = str(each.get("imageID", "")).rpartition("@")  # without "@" it is the configuration's digest
                called = str(each.get("name", ""))
                image = asked.get(called) or str(each.get("image", ""))
                pod.containers[identity] = (called, image, digest[2] if digest[1] else "")
    return pod


def controller_of(meta: dict[str, Any]) -> tuple[str, str]:
    """Return (kind, name) of the owner that controls an object; empty when none does."""
    for owner in meta.get("ownerReferences") or []:
        if owner.get("controller"):
            return str(owner.get("kind", "")), str(owner.get("name", ""))
    return "", ""
