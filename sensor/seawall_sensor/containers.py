"""Which container a cgroup is, and what the runtime says of it.

The id stands in the cgroup's path for every runtime (containerd, CRI-O, Docker, podman; cgroup v1 and v2, systemd or
not). Name, image, mounts and capabilities come from the runtime's own state on disk: read only, no socket, no daemon
asked. Where cgroups are switched off the id comes from the monitor process above the container (conmon, shim).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from seawall.domain.runtime_events import ContainerContext

from seawall_sensor.host import Host, read_text
from seawall_sensor.pods import PodDirectory
from seawall_sensor.processes import Entry, ProcessCache
from seawall_sensor.runtimes import Mount, Runtimes

log = logging.getLogger(__name__)

_ID = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?=\.scope|\.service|/|$)")
_POD_UID = re.compile(r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?=[./]|$)")
"""Of a pod's cgroup: the systemd driver writes `_` for `-`; static pods have a hash of their file."""
_MONITOR = re.compile(r"(?:conmon|crio-conmon|supervisor)-")
_RUNTIMES = (
    ("cri-containerd", "containerd"), ("containerd", "containerd"), ("crio", "cri-o"), ("docker", "docker"),
    ("libpod", "podman"), ("kubepods", "containerd"),
)  # fmt: skip
_MONITOR_ARGUMENT = {"conmon": "-c", "containerd-shim": "-id", "containerd-shim-runc-v2": "-id"}


def container_id(path: str) -> str:
    """Return the container id in a cgroup's path, of the innermost container; empty when it is none.

    A pod's own cgroup, a monitor's and anything of the node's give nothing.
    """
    found = ""
    for match in _ID.finditer(path):
        before = path[: match.start(1)].rpartition("/")[2]
        if not _MONITOR.search(before):
            found = match[1]
    return found


def runtime_of(path: str) -> str:
    """Return the runtime by the words in a cgroup's path: containerd, cri-o, docker or podman; empty when not known."""
    for word, runtime in _RUNTIMES:
        if word in path:
            return runtime
    return ""


@dataclass(slots=True)
class Container:
    """A container we know. `context` is replaced when more becomes known; `first_pid` is its first process."""

    context: ContainerContext
    cgroup: int = 0
    path: str = ""
    first_pid: int = 0
    mounts: tuple[Mount, ...] = ()
    rootfs: str = ""
    """Where its root lies on the node, as long as the runtime keeps it mounted there."""
    complete: bool = False
    announced: bool = False
    sandbox: bool = False
    """The pod's own container, which only holds its namespaces."""
    gone: bool = False
    asked: int = 0
    exit_code: int = -1
    cgroups: set[int] = field(default_factory=set)

    def mounted(self) -> tuple[tuple[str, str, bool], ...]:
        """Return the mounts from the node as a `ContainerStart` says them."""
        return tuple((mount.source, mount.target, mount.read_only) for mount in self.mounts[:64])

    def node_path(self, path: str) -> str:
        """Return where a path of the container lies on the node; empty when it is in nothing that is mounted from there."""
        best: Mount | None = None
        for mount in self.mounts:
            target = mount.target.rstrip("/")
            inside = path.startswith(target) and path[len(target) : len(target) + 1] in ("", "/")
            if inside and mount.source.startswith("/") and (best is None or len(mount.target) > len(best.target)):
                best = mount
        return best.source.rstrip("/") + path[len(best.target.rstrip("/")) :] if best is not None else ""


class ContainerIndex:
    """Containers by cgroup. `on_host_cgroup` is called for every cgroup found to be the node's own."""

    def __init__(
        self,
        host: Host,
        processes: ProcessCache,
        *,
        root: str = "/",
        on_host_cgroup: Callable[[int], None] = lambda _cgroup: None,
        on_container: Callable[[Container], None] = lambda _container: None,
        limit: int = 4096,
    ) -> None:
        self._host, self._processes, self._limit = host, processes, limit
        self._root = root.rstrip("/")
        self._runtimes = Runtimes(self._root)
        self._on_host_cgroup, self._on_container = on_host_cgroup, on_container
        self.pods: PodDirectory | None = None
        """Where the node's pods are known from, beside the runtime's own state."""
        self._paths: OrderedDict[int, str] = OrderedDict()
        self._by_cgroup: dict[int, Container | None] = {}
        self._by_namespace: OrderedDict[int, tuple[int, int, Container | None]] = OrderedDict()
        """Mount namespace: (pid, start) of a process in it, the container. A namespace's number is given to another one
        when its last process ended, so an entry holds as long as that process lives."""
        self.by_id: OrderedDict[str, Container] = OrderedDict()

    def running(self) -> list[Container]:
        """Return the containers that run; safe in any thread."""
        found = {each.context.id: each for each in list(self._by_cgroup.values()) if each is not None and not each.gone}
        return list(found.values())

    def folders(self, identity: str) -> tuple[str, ...]:
        """Return what shows a container's files when its processes are gone: the runtime's mount, the upper layer."""
        container = self.by_id.get(identity)
        if container is None or not container.rootfs.startswith("/"):
            return ()
        mount = self._root + container.rootfs
        return (mount, f"{mount.removesuffix('/merged')}/diff") if mount.endswith("/merged") else (mount,)

    def scan(self) -> None:
        """Learn the cgroups that are there."""
        base = self._host.cgroup_root
        for folder, _, _ in os.walk(base):
            with contextlib.suppress(OSError):
                self.learn(os.stat(folder).st_ino, folder[len(base) :] or "/")

    def learn(self, cgroup: int, path: str) -> None:
        """Take in a cgroup's path: from a scan or from the kernel's own announcement."""
        self._paths[cgroup] = path
        while len(self._paths) > 4 * self._limit:
            old, _ = self._paths.popitem(last=False)
            self._by_cgroup.pop(old, None)
        self._by_cgroup.pop(cgroup, None)
        if not container_id(path):
            self._on_host_cgroup(cgroup)

    def adopt(self, cgroup: int) -> None:
        """Look a learned cgroup's container up before it did anything."""
        path = self._paths.get(cgroup, "")
        if self._by_cgroup.get(cgroup) is None and container_id(path):
            self._by_cgroup[cgroup] = self._look_up(cgroup, 0)

    def adopt_all(self) -> None:
        """Look up the containers of all learned cgroups."""
        for cgroup in list(self._paths):
            self.adopt(cgroup)

    def forget(self, cgroup: int) -> Container | None:
        """A cgroup was removed: return the container that ended with it, if it was its last."""
        self._paths.pop(cgroup, None)
        container = self._by_cgroup.pop(cgroup, None)
        if container is None:
            return None
        container.cgroups.discard(cgroup)
        if container.cgroups or container.gone:
            return None
        container.gone = True
        return container

    def cgroup_of(self, pid: int) -> int:
        """Return the number of a running process's cgroup; 0 when it is gone."""
        path = self._path_of(pid)
        if path is None:
            return 0
        with contextlib.suppress(OSError):
            return os.stat(self._host.cgroup_root + path).st_ino
        return 0

    def find(self, cgroup: int, entry: Entry) -> Container | None:
        """Return the container of a process, None for the node's own."""
        try:
            found = self._by_cgroup[cgroup]
        except KeyError:
            found = self._by_cgroup[cgroup] = self._look_up(cgroup, entry.pid)
        if found is None and entry.mnt_ns and entry.mnt_ns != self._host.mount_namespace:
            return self._by_monitor(entry)
        return found

    def known(self, cgroup: int) -> Container | None:
        """Return the container of a cgroup as far as it was looked up."""
        return self._by_cgroup.get(cgroup)

    def is_host(self, cgroup: int, namespace: int) -> bool:
        """Whether a cgroup was found to be the node's own, for processes of this mount namespace too."""
        return self._by_cgroup.get(cgroup, cgroup) is None and self._in_namespace(namespace)[1] is None

    def runtime_above(self, container: Container, parent: Entry, cgroup: int, namespace: int) -> bool:
        """Whether a process in a container's cgroup is still the runtime on its way in: its mount namespace is that of a
        parent outside the container."""
        if parent.mnt_ns != namespace or parent.cgroup == cgroup or not parent.cgroup:
            return False
        if namespace == self._host.mount_namespace:
            return False  # an escaped process can be here, with init as its parent: runtimes are known by name
        return self.find(parent.cgroup, parent) is not container

    def announced(self, args: tuple[str, ...]) -> None:
        """Take in the arguments of a container's monitor (conmon, a shim): the container comes right after it."""
        name = args[0].rpartition("/")[2] if args else ""
        flag = _MONITOR_ARGUMENT.get(name)
        if flag is None or flag not in args[:-1]:
            return
        identity = args[args.index(flag) + 1]
        if not re.fullmatch(r"[0-9a-f]{64}", identity):
            return
        container = self._container(identity, "libpod" if name == "conmon" else "")
        if name == "conmon" and "-n" in args[:-1] and not container.context.name:
            container.context = msgspec.structs.replace(container.context, name=args[args.index("-n") + 1])
            self._on_container(container)

    def _look_up(self, cgroup: int, pid: int) -> Container | None:
        path = self._paths.get(cgroup)
        if path is None:
            path = self._path_of(pid)
            if path is None:
                self.scan()
                path = self._paths.get(cgroup)
            if path is None:
                return None
            self.learn(cgroup, path)
        identity = container_id(path)
        if not identity:
            return None
        container = self._container(identity, path)
        if container.path != path:  # it was met by its monitor, whose word says less
            container.path = path
            self.complete(container)
        container.cgroup = cgroup
        container.cgroups.add(cgroup)
        self._on_container(container)
        return container

    def _path_of(self, pid: int) -> str | None:
        for line in read_text(f"{self._host.proc}/{pid}/cgroup").splitlines():
            number, _, rest = line.partition(":")
            if number == str(self._host.hierarchy):
                return rest.partition(":")[2]
        return None

    def _in_namespace(self, namespace: int) -> tuple[bool, Container | None]:
        """Return whether the container of a mount namespace is known, and which it is."""
        held = self._by_namespace.get(namespace)
        if held is None:
            return False, None
        pid, start_ns, found = held
        witness = self._processes.peek(pid)
        if witness is None or witness.ended or witness.start_ns != start_ns or witness.mnt_ns != namespace:
            return False, None
        return True, found

    def _by_monitor(self, entry: Entry) -> Container | None:
        known, found = self._in_namespace(entry.mnt_ns)
        if known:
            return found
        found = None
        for above in self._processes.ancestors(entry):
            flag = _MONITOR_ARGUMENT.get(above.name)
            if flag is None:
                continue
            # An ancestor keeps 16 arguments; the monitor's id stands among the first.
            whole = self._processes.peek(above.pid)
            if whole is not None and whole.mnt_ns == entry.mnt_ns:
                break  # a runtime in a mount namespace of its own: nothing of the container yet
            args = whole.args if whole is not None else above.args
            if flag in args[:-1]:
                identity = args[args.index(flag) + 1]
                if re.fullmatch(r"[0-9a-f]{64}", identity):
                    found = self._container(identity, "libpod" if above.name == "conmon" else "")
            break
        self._by_namespace[entry.mnt_ns] = entry.pid, entry.start_ns, found
        self._by_namespace.move_to_end(entry.mnt_ns)
        if len(self._by_namespace) > self._limit:
            self._by_namespace.popitem(last=False)
        return found

    def _container(self, identity: str, path: str) -> Container:
        container = self.by_id.get(identity)
        if container is None:
            container = Container(ContainerContext(identity, runtime=runtime_of(path)), path=path)
            self.by_id[identity] = container
            self.complete(container)
            while len(self.by_id) > self._limit:
                self.by_id.popitem(last=False)
        return container

    def complete(self, container: Container) -> None:
        """Look up what the runtime says, again when it did not say it yet."""
        identity = container.context.id
        known: dict[str, Any] = {}
        try:
            described = self._runtimes.describe(identity)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.debug("runtime state not readable", extra={"container": identity, "error": repr(error)[:200]})
        else:
            if described is not None:
                known = dict(described.facts)
                container.sandbox = described.sandbox
                container.mounts = described.mounts if described.mounts is not None else container.mounts
                container.rootfs = described.rootfs or container.rootfs
        pod = self._pod(container, str(known.get("pod_uid", "")))
        known |= {name: value for name, value in pod.items() if value}
        if known:
            container.context = msgspec.structs.replace(
                container.context, **{name: value for name, value in known.items() if value}
            )
        # A pod's own container is in no pod's list, and nothing that matters happens in it.
        in_pod = "kubepods" in container.path and not container.sandbox
        container.complete = bool(container.context.image) and (
            not in_pod or bool(pod if self.pods is not None else container.context.pod)
        )
        self._on_container(container)

    def _pod(self, container: Container, uid: str) -> dict[str, Any]:
        if self.pods is None:
            return {}
        match = _POD_UID.search(container.path)
        return self.pods.find(container.context.id, uid or (match[1].replace("_", "-") if match else ""))
