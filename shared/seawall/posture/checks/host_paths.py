"""Paths of the node inside a pod."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any, Final

from seawall.posture.check import Finding, check, fail
from seawall.posture.objects import mapping, sequence, text
from seawall.posture.parts import Part
from seawall.posture.workloads import Workload
from seawall.posture.world import World

SENSITIVE: Final = frozenset(
    [
        "/",
        "/boot",
        "/dev",
        "/etc",
        "/etc/kubernetes",
        "/home",
        "/lib",
        "/proc",
        "/root",
        "/run",
        "/sys",
        "/usr",
        "/var",
        "/var/lib",
        "/var/lib/kubelet",
        "/var/log",
        "/var/run",
    ]
)
"""Folders whose content gives the node, or credentials of other workloads, away."""

BELOW: Final = ("/boot", "/dev", "/etc", "/home", "/lib", "/proc", "/root", "/sys", "/usr", "/var/lib/kubelet")
"""Folders everything below which is sensitive too."""

SOCKETS: Final = (
    "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock",
    "/run/crio/crio.sock", "/var/run/crio/crio.sock", "/run/cri-dockerd.sock", "/var/run/cri-dockerd.sock",
    "/var/run/dockershim.sock", "/run/dockershim.sock", "/run/k3s/containerd/containerd.sock", "/run/podman/podman.sock",
)  # fmt: skip
SOCKET_NAMES: Final = frozenset(
    {"docker.sock", "containerd.sock", "crio.sock", "cri-dockerd.sock", "dockershim.sock", "podman.sock"}
)

CREDENTIALS: Final = (
    "/etc/kubernetes/azure.json", "/etc/kubernetes/cloud.conf", "/etc/kubernetes/cloud-config", "/root/.aws", "/home/.aws",
    "/.aws", "/root/.azure", "/root/.config/gcloud", "/.config/gcloud", "/root/.kube", "/var/lib/kubelet", "/etc/kubernetes/admin.conf",
    "/.azure", "/etc/aws", "/gcloud",
)  # fmt: skip


def is_at_or_above(path: str, other: str) -> bool:
    """Whether `path` is `other` or a folder that contains it."""
    return path == "/" or other == path or other.startswith(f"{path}/")


def host_paths(workload: Workload) -> Iterator[tuple[int, str, str]]:
    """Yield index, volume name and the normal form of each host path."""
    for index, volume in workload.volumes:
        if volume.get("hostPath") is not None:
            raw = text(mapping(volume["hostPath"]).get("path"))
            yield index, text(volume.get("name")), posixpath.normpath("/" + raw.strip().lstrip("/")) if raw else ""


def mounts(workload: Workload, volume: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield JSON path, container name and mount of a volume."""
    for container in workload.containers:
        for index, mount in enumerate(sequence(container.body.get("volumeMounts"))):
            if isinstance(mount, dict) and mount.get("name") == volume:
                yield f"{container.path}.volumeMounts[{index}]", container.name, mount


@check("WL-016", on=Workload, reads=(Part.STORAGE,))
def writable_host_path(workload: Workload, _: World) -> Iterator[Finding]:
    """Mounts of hostPath volumes are read-only."""
    for _index, volume, path in host_paths(workload):
        for at, name, mount in mounts(workload, volume):
            if mount.get("readOnly") is not True:
                yield fail(
                    f"{at}.readOnly", mount.get("readOnly"), True, f"writes to {path} on the node", f"{name}/{volume}"
                )


@check("WL-017", on=Workload, reads=(Part.STORAGE,))
def sensitive_host_path(workload: Workload, _: World) -> Iterator[Finding]:
    """hostPath volumes against a list of folders that give the node away."""
    for index, volume, path in host_paths(workload):
        if path in SENSITIVE or any(path.startswith(f"{folder}/") for folder in BELOW):
            yield fail(
                workload.at(f"volumes[{index}].hostPath.path"), path, "no folder of the node's system", part=volume
            )


@check("WL-018", on=Workload, reads=(Part.STORAGE,))
def runtime_socket(workload: Workload, _: World) -> Iterator[Finding]:
    """hostPath volumes that are, or contain, the socket of a container runtime."""
    for index, volume, path in host_paths(workload):
        reached = posixpath.basename(path) in SOCKET_NAMES or any(is_at_or_above(path, socket) for socket in SOCKETS)
        if path and reached:
            yield fail(workload.at(f"volumes[{index}].hostPath.path"), path, "no runtime socket", part=volume)


@check("WL-063", on=Workload, reads=(Part.STORAGE,))
def cloud_credentials(workload: Workload, _: World) -> Iterator[Finding]:
    """hostPath volumes and sub-paths that reach the node's cloud credentials."""
    for index, volume, path in host_paths(workload):
        if any(is_at_or_above(path, place) for place in CREDENTIALS) or any(
            path.startswith(f"{place}/") for place in CREDENTIALS
        ):
            yield fail(
                workload.at(f"volumes[{index}].hostPath.path"), path, "no folder with cloud credentials", part=volume
            )
            continue
        for at, name, mount in mounts(workload, volume):
            inner = text(mount.get("subPath"))
            whole = posixpath.normpath(f"{path}/{inner}") if inner else ""
            if whole and any(whole == place or whole.startswith(f"{place}/") for place in CREDENTIALS):
                yield fail(f"{at}.subPath", inner, "no folder with cloud credentials", part=f"{name}/{volume}")
