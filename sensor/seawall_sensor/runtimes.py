"""What container runtimes keep of their containers on disk: read only, no socket, no daemon asked."""

from __future__ import annotations

import contextlib
import glob
import json
import os
from dataclasses import dataclass, field
from typing import Any

from seawall.domain.runtime_events import CAPABILITIES

from seawall_sensor.host import read_text


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount that the runtime made from the node."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Described:
    """A container in its runtime's words. `facts` are fields of a `ContainerContext`, and `pod_uid`; empty ones say nothing."""

    facts: dict[str, Any] = field(default_factory=dict)
    mounts: tuple[Mount, ...] | None = None
    """None: not said."""
    sandbox: bool = False
    """The pod's own container, which only holds its namespaces."""
    rootfs: str = ""
    """Where its root lies on the node, as long as the runtime keeps it mounted there; empty = not said."""

    def over(self, below: Described) -> Described:
        """Return what this says, and what `below` says where this says nothing."""
        said = {name: value for name, value in self.facts.items() if value}
        return Described(
            below.facts | said,
            self.mounts if self.mounts is not None else below.mounts,
            self.sandbox or below.sandbox,
            self.rootfs or below.rootfs,
        )


class Runtimes:
    """Reads below `root`, the node's file system."""

    def __init__(self, root: str) -> None:
        self._root = root

    def describe(self, identity: str) -> Described | None:
        """Return what the runtime that has this container says of it; None when none has it.

        Raises:
            OSError, ValueError, KeyError, TypeError, AttributeError: its state is not what we know.
        """
        return self._containers_storage(identity) or self._containerd(identity) or self._docker(identity)

    def _containers_storage(self, identity: str) -> Described | None:
        """podman and CRI-O: containers/storage's index, and the OCI specification in the container's folder."""
        for store in self._stores():
            for index in (
                f"{store}/overlay-containers/containers.json",
                f"{store}/overlay-containers/volatile-containers.json",
            ):
                for row in _json(index, []):
                    if row.get("id") == identity:
                        return self._stored(store, row)
        return None

    def _stored(self, store: str, row: dict[str, Any]) -> Described:
        metadata = json.loads(row.get("metadata") or "{}")
        stored = Described(
            {
                "name": metadata.get("container-name") or (row.get("names") or [""])[0],
                "image": metadata.get("image-name", ""),
                "image_digest": self._digest_of(store, row.get("image", "")),
                "pod": metadata.get("pod-name", ""),
                "runtime": "cri-o" if "pod-name" in metadata else "podman",
            }
        )
        for state in (
            store,
            f"{self._root}/run/containers/storage",
            f"{self._root}/var/run/containers/storage",
        ):
            spec = _json(f"{state}/overlay-containers/{row['id']}/userdata/config.json", {})
            if spec:
                return from_spec(spec).over(stored)
        return stored

    def _stores(self) -> list[str]:
        return [
            f"{self._root}/var/lib/containers/storage",
            f"{self._root}/run/containers/storage",
            *glob.glob(f"{self._root}/home/*/.local/share/containers/storage"),
        ]

    @staticmethod
    def _digest_of(store: str, image: str) -> str:
        for row in _json(f"{store}/overlay-images/images.json", []):
            if row.get("id") == image:
                return str(row.get("digest", ""))
        return ""

    def _containerd(self, identity: str) -> Described | None:
        for place in ("run/containerd", "run/k3s/containerd"):
            for folder in glob.glob(f"{self._root}/{place}/io.containerd.runtime.v2.task/*/{identity}"):
                spec = _json(f"{folder}/config.json", {})
                if spec:
                    found = from_spec(spec, folder.removeprefix(self._root))
                    if folder.split("/")[-2] == "moby":
                        docker = self._docker(identity)
                        return docker.over(found) if docker is not None else found
                    return Described({"runtime": "containerd"}).over(found)
        return None

    def _docker(self, identity: str) -> Described | None:
        state = _json(f"{self._root}/var/lib/docker/containers/{identity}/config.v2.json", {})
        if not state:
            return None
        settings = state.get("Config") or {}
        labels = settings.get("Labels") or {}
        host = _json(f"{self._root}/var/lib/docker/containers/{identity}/hostconfig.json", {})
        return Described(
            {
                "name": labels.get("io.kubernetes.container.name") or str(state.get("Name", "")).lstrip("/"),
                "image": settings.get("Image", ""),
                "labels": {str(key): str(value) for key, value in labels.items()},
                "pod": labels.get("io.kubernetes.pod.name", ""),
                "namespace": labels.get("io.kubernetes.pod.namespace", ""),
                "pod_uid": labels.get("io.kubernetes.pod.uid", ""),
                "privileged": bool(host.get("Privileged")),
                "host_network": host.get("NetworkMode") == "host",
                "host_pid": host.get("PidMode") == "host",
                "runtime": "docker",
            },
            tuple(
                Mount(str(mount.get("Source", "")), str(target), not mount.get("RW", True))
                for target, mount in (state.get("MountPoints") or {}).items()
            ),
            labels.get("io.kubernetes.docker.type") == "podsandbox",
        )


def from_spec(spec: dict[str, Any], folder: str = "/") -> Described:
    """Return what an OCI runtime specification says (config.md), with the annotations of containerd's and CRI-O's CRI.

    `folder` is where the specification lies on the node: its root may be told from there.
    """
    notes = spec.get("annotations") or {}

    def note(*names: str) -> str:
        return next((str(notes[name]) for name in names if notes.get(name)), "")

    linux = spec.get("linux") or {}
    namespaces = {each.get("type") for each in linux.get("namespaces") or []}
    bounding = ((spec.get("process") or {}).get("capabilities") or {}).get("bounding") or []
    caps = 0
    for name in bounding:
        word = str(name).removeprefix("CAP_").lower()
        if word in CAPABILITIES:
            caps |= 1 << CAPABILITIES.index(word)
    labels = {}
    with contextlib.suppress(ValueError):
        labels = json.loads(note("io.kubernetes.cri-o.Labels") or "{}")
    return Described(
        {
            "name": note("io.kubernetes.cri.container-name", "io.kubernetes.container.name"),
            "image": note("io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"),
            "pod": note("io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"),
            "namespace": note("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"),
            "pod_uid": note("io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"),
            "labels": {str(key): str(value) for key, value in labels.items()},
            "caps": caps,
            # What the flag "privileged" does: every capability and nothing of /proc hidden.
            "privileged": bool(caps >> CAPABILITIES.index("sys_module") & 1) and not linux.get("maskedPaths"),
            "host_network": bool(namespaces) and "network" not in namespaces,
            "host_pid": bool(namespaces) and "pid" not in namespaces,
        },
        tuple(
            Mount(str(mount["source"]), str(mount["destination"]), "ro" in (mount.get("options") or []))
            for mount in spec.get("mounts") or []
            if mount.get("type") in ("bind", None) or "bind" in str(mount.get("options"))
            if str(mount.get("source", "")).startswith("/")
        ),
        "sandbox" in (note("io.kubernetes.cri.container-type"), note("io.kubernetes.cri-o.ContainerType")),
        os.path.join(folder, str(root)) if (root := (spec.get("root") or {}).get("path")) else "",
    )


def _json(path: str, default: Any) -> Any:
    raw = read_text(path)
    if not raw:
        return default
    with contextlib.suppress(ValueError):
        return json.loads(raw)
    return default
