"""From a container to its node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from seawall.graph.model import Step, Vertex, VertexKind, attack_edge
from seawall.graph.scene import Scene, Unit, covers, is_root, owner
from seawall.posture.rbac import grants_of, matches
from seawall.posture.workloads import Container

K = VertexKind
_DIRECTORY: Final = "hostPath "
_HARMLESS: Final = ("/var/log/containers", "/var/log/pods", "/etc/localtime", "/etc/ssl/certs", "/usr/share/zoneinfo", "/lib/modules", "/usr/src", "/sys/kernel/debug")  # fmt: skip
_SENSITIVE: Final = ("/home", "/root", "/root/.ssh", "/proc", "/etc", "/etc/kubernetes", "/etc/shadow", "/var/lib/kubelet", "/var/lib/etcd", "/run/secrets", "/var/run/secrets")  # fmt: skip
_SOCKETS: Final = ("/run/containerd/containerd.sock", "/var/run/docker.sock", "/run/docker.sock", "/run/crio/crio.sock", "/var/run/crio/crio.sock", "/var/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock")  # fmt: skip


def _escapes(scene: Scene, reason: Callable[[Unit, Container], str]) -> Iterator[Step]:
    for unit, vertex, container in scene.containers():
        if why := reason(unit, container):
            for node in unit.nodes:
                yield Step(vertex, node, f"{owner(unit)}, container {container.name}: {why}")


def _privileged(container: Container) -> bool:
    return container.sc.get("privileged") is True


@attack_edge(
    id="CE_MODULE_LOAD", title="Load a kernel module", source=K.CONTAINER, target=K.NODE, technique="T1611", likelihood=0.8,
    precondition="privileged, or SYS_MODULE or every capability added",
    remedy="Drop `privileged` and SYS_MODULE.",
    controls=("WL-001", "WL-007"),
)  # fmt: skip
def module_load(scene: Scene) -> Iterator[Step]:
    return _escapes(
        scene,
        lambda _, c: (
            "privileged" if _privileged(c) else "SYS_MODULE added" if {"SYS_MODULE", "ALL"} & set(c.added()) else ""
        ),
    )


@attack_edge(
    id="CE_NSENTER", title="Enter the namespaces of the node's first process", source=K.CONTAINER, target=K.NODE, technique="T1611", likelihood=0.95,
    precondition="privileged and hostPID", remedy="Drop `privileged` and `hostPID`.",
    controls=("WL-001", "WL-011"),
)  # fmt: skip
def nsenter(scene: Scene) -> Iterator[Step]:
    return _escapes(
        scene,
        lambda u, c: "privileged with hostPID" if _privileged(c) and u.workload.spec.get("hostPID") is True else "",
    )


@attack_edge(
    id="CE_PRIV_MOUNT", title="Mount the node's disk", source=K.CONTAINER, target=K.NODE, technique="T1611", likelihood=0.9,
    precondition="privileged", remedy="Drop `privileged`; add the one capability that is needed.",
    controls=("WL-001",),
)  # fmt: skip
def privileged_mount(scene: Scene) -> Iterator[Step]:
    return _escapes(scene, lambda _, c: "privileged" if _privileged(c) else "")


@attack_edge(
    id="CE_SYS_PTRACE", title="Inject code into a process of the node", source=K.CONTAINER, target=K.NODE, technique="T1611", likelihood=0.6,
    precondition="hostPID with SYS_PTRACE and SYS_ADMIN, AppArmor unconfined or a cluster older than 1.31",
    remedy="Drop hostPID or the two capabilities.",
    controls=("WL-011", "WL-007", "WL-008"),
)  # fmt: skip
def ptrace(scene: Scene) -> Iterator[Step]:
    minor = scene.world.minor

    def reason(unit: Unit, container: Container) -> str:
        added = set(container.added())
        if unit.workload.spec.get("hostPID") is not True or not (
            "ALL" in added or {"SYS_PTRACE", "SYS_ADMIN"} <= added
        ):
            return ""
        unconfined = _unconfined(unit, container)
        if not unconfined and minor is not None and minor >= 31:
            return ""
        return "SYS_PTRACE and SYS_ADMIN with hostPID"

    return _escapes(scene, reason)


def _unconfined(unit: Unit, container: Container) -> bool:
    if _privileged(container):
        return True
    profiles = (container.sc.get("appArmorProfile"), unit.workload.sc.get("appArmorProfile"))
    for profile in profiles:
        if isinstance(profile, dict):
            return profile.get("type") == "Unconfined"
    note = unit.workload.annotations.get(f"container.apparmor.security.beta.kubernetes.io/{container.name}")
    return note == "unconfined"


def _mounted(scene: Scene, test: Callable[[str, bool, Unit, Container], bool]) -> Iterator[Step]:
    for unit, vertex, container in scene.containers():
        for mount in scene.host_mounts(unit, container):
            if test(mount.path, mount.read_only, unit, container):
                cause = f"{owner(unit)}, volume {mount.volume}: {_DIRECTORY}{mount.path}"
                for node in unit.nodes:
                    yield Step(vertex, node, cause)


@attack_edge(
    id="CE_UMH_CORE_PATTERN", title="Have the kernel run a program through core_pattern", source=K.CONTAINER, target=K.NODE, technique="T1611", likelihood=0.8,
    precondition="/, /proc, /proc/sys or /proc/sys/kernel of the node mounted writable",
    remedy="Remove the hostPath volume or mount it read-only.",
    controls=("WL-016", "WL-017"),
)  # fmt: skip
def core_pattern(scene: Scene) -> Iterator[Step]:
    return _mounted(
        scene,
        lambda path, read_only, u, c: not read_only and covers(path, "/proc/sys/kernel") and is_root(c, u.workload),
    )


@attack_edge(
    id="CE_VAR_LOG_SYMLINK", title="Read the node's files through a link in its log folder", source=K.CONTAINER, target=K.NODE, technique="T1611", likelihood=0.5,
    precondition="root, /, /var or /var/log of the node mounted writable, and an identity that may get pods/log or nodes/log",
    remedy="Mount a narrower folder read-only, or take pods/log from the service account.",
    controls=("WL-016", "WL-017"),
)  # fmt: skip
def log_symlink(scene: Scene) -> Iterator[Step]:
    verbs, core = frozenset({"get"}), frozenset({""})
    resources = frozenset({"pods/log", "nodes/log", "nodes/proxy"})

    def test(path: str, read_only: bool, unit: Unit, container: Container) -> bool:
        return (
            not read_only
            and covers(path, "/var/log")
            and is_root(container, unit.workload)
            and any(
                matches(rule, verbs, core, resources)
                for _, rule in grants_of(scene.world, unit.namespace, unit.workload.service_account)
            )
        )

    return _mounted(scene, test)


@attack_edge(
    id="EXPLOIT_HOST_READ", title="Read keys and tokens of the node", source=K.CONTAINER, target=K.NODE, technique="T1611", likelihood=0.5,
    precondition="a read-only hostPath that holds keys, such as /, /root, /root/.ssh, /home, /etc or /proc",
    remedy="Remove the hostPath volume.",
    controls=("WL-015", "WL-017"),
)  # fmt: skip
def host_read(scene: Scene) -> Iterator[Step]:
    return _mounted(scene, lambda path, read_only, *_: read_only and (path == "/" or path in _SENSITIVE or path.endswith("/.ssh")))  # fmt: skip


@attack_edge(
    id="EXPLOIT_HOST_WRITE", title="Write programs or keys onto the node", source=K.CONTAINER, target=K.NODE, technique="T1611", likelihood=0.85,
    precondition="a writable hostPath outside a short list of harmless folders",
    remedy="Remove the hostPath volume or mount it read-only.",
    controls=("WL-015", "WL-016", "WL-017"),
)  # fmt: skip
def host_write(scene: Scene) -> Iterator[Step]:
    return _mounted(
        scene,
        lambda path, read_only, *_: (
            not read_only and not any(covers(folder, path) for folder in _HARMLESS) and path not in _SOCKETS
        ),
    )


@attack_edge(
    id="EXPLOIT_CONTAINERD_SOCK", title="Drive the container runtime", source=K.CONTAINER, target=(K.CONTAINER, K.NODE), technique="T1610", likelihood=0.95,
    precondition="a runtime's socket, or a folder that holds it, mounted; read-only does not help, the socket still answers",
    remedy="Remove the socket from the pod.",
    controls=("WL-018",),
)  # fmt: skip
def runtime_socket(scene: Scene) -> Iterator[Step]:
    return _mounted(
        scene, lambda path, *_: any(covers(path, socket) for socket in _SOCKETS) and is_folder_of_socket(path)
    )


def is_folder_of_socket(path: str) -> bool:
    """Whether a path is a socket or a folder close to one; the whole disk is told by EXPLOIT_HOST_READ and _WRITE."""
    return path not in {"/", "/var"}


@attack_edge(
    id="SHARE_PS_NAMESPACE", title="Reach a neighbour through the shared process table", source=K.CONTAINER, target=K.CONTAINER, technique="T1080", likelihood=0.7,
    precondition="shareProcessNamespace in a pod of several containers", remedy="Drop `shareProcessNamespace`.",
    controls=("WL-055",),
)  # fmt: skip
def shared_processes(scene: Scene) -> Iterator[Step]:
    for unit in scene.units:
        if unit.workload.spec.get("shareProcessNamespace") is True and len(unit.containers) > 1:
            hub = Vertex(K.GROUP, unit.namespace, f"process table of {unit.pod.name}")
            cause = f"{owner(unit)}: shareProcessNamespace"
            for vertex, _ in unit.containers:
                yield Step(vertex, hub, cause)
                yield Step(hub, vertex, cause)
