"""Facts of the node that the sensor runs on: boot, clocks, cgroup hierarchies, security modules."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import logging
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

_CLONE_NEWCGROUP = 0x02000000
_INITIAL_CGROUP_NAMESPACE = 0xEFFFFFFB
"""PROC_CGROUP_INIT_INO of linux/proc_ns.h: the same on every machine."""

V1_CONTROLLERS = ("pids", "memory", "devices", "cpu", "freezer")
"""Controllers that every container runtime puts its containers in, in the order that we prefer."""


def read_text(path: str | Path) -> str:
    """Return a small file's text; empty when it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Host:
    """What does not change while the sensor runs.

    `cgroup_subsystem` is the kernel's index of the v1 controller whose cgroups name containers, -1 on cgroup v2;
    `cgroup_root` the folder of that hierarchy; `cgroup2` the folder of the v2 hierarchy that network programs attach to,
    None = there is none; `hierarchy` its number in `/proc/PID/cgroup`.
    """

    node: str
    boot: str
    kernel: str
    machine: str
    mount_namespace: int
    cgroup_subsystem: int
    cgroup_root: str
    cgroup2: str | None
    hierarchy: int
    proc: str = "/proc"
    cpus: int = 0
    """Processors that are online."""

    @classmethod
    def here(cls, node: str = "") -> Host:
        """Return the facts of this machine. In a container the calling thread, and those that it starts, see the node's
        cgroups from then on."""
        _join_cgroup_namespace()
        uname = os.uname()
        subsystem, root, hierarchy = _container_hierarchy()
        return cls(
            node=node or os.environ.get("SEAWALL_NODE", "") or uname.nodename,
            boot=read_text("/proc/sys/kernel/random/boot_id").strip(),
            kernel=uname.release,
            machine=uname.machine,
            mount_namespace=_mount_namespace(),
            cgroup_subsystem=subsystem,
            cgroup_root=root,
            cgroup2=_cgroup2_folder(),
            hierarchy=hierarchy,
            cpus=os.sysconf("SC_NPROCESSORS_ONLN"),
        )

    def own_cgroup(self) -> int:
        """Return the number of the sensor's own cgroup, as the kernel's programs tell it; 0 when it can not be found."""
        for line in read_text("/proc/self/cgroup").splitlines():
            number, _, rest = line.partition(":")
            if number == str(self.hierarchy):
                with contextlib.suppress(OSError):
                    return os.stat(self.cgroup_root + rest.partition(":")[2]).st_ino
        return 0

    def has_bpf_lsm(self) -> bool:
        """Whether LSM programs are called: without "bpf" in `lsm=` they attach without an error and never run."""
        return "bpf" in self.security_modules()

    @staticmethod
    def security_modules() -> tuple[str, ...]:
        """Return the active modules; empty when securityfs is not mounted (then BPF LSM programs are not used)."""
        text = read_text("/sys/kernel/security/lsm").strip()
        return tuple(text.split(",")) if text else ()


def _mount_namespace() -> int:
    """Of the node's first process where we may look at it (a container with the host's pids), else our own."""
    for pid in ("1", "self"):
        try:
            return os.stat(f"/proc/{pid}/ns/mnt").st_ino
        except OSError:
            continue
    return 0


def _join_cgroup_namespace() -> None:
    """In a container with a cgroup namespace of its own, paths of cgroups are told from the container's: other containers
    would have none. Needs CAP_SYS_ADMIN and a process of the node's; without, what can be seen stays as it is."""
    if _inode("/proc/self/ns/cgroup") in (_INITIAL_CGROUP_NAMESPACE, 0):
        return
    # The node's first process, or whoever else is in its namespace and may be looked at: the container's monitor is.
    others = (each for each in os.listdir("/proc") if each.isdecimal())
    for pid in itertools.chain(("1", str(os.getppid())), itertools.islice(others, 4096)):
        path = f"/proc/{pid}/ns/cgroup"
        if _inode(path) != _INITIAL_CGROUP_NAMESPACE:
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            failed = ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWCGROUP)
            os.close(descriptor)
            if failed:
                log.warning("the node's cgroup namespace can not be joined: %s", os.strerror(ctypes.get_errno()))
            return


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _mounts(kind: str) -> list[tuple[str, str]]:
    """Return (folder, superblock options) of the mounts of a file system type: those of its whole, if there are any; in a
    container `/sys/fs/cgroup` shows its own part, and the node's is below `/host`."""
    whole: list[tuple[str, str]] = []
    parts: list[tuple[str, str]] = []
    for line in read_text("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        fields, type_and_options = left.split(), right.split()
        if len(fields) > 4 and len(type_and_options) > 2 and type_and_options[0] == kind:
            (whole if fields[3] == "/" else parts).append((fields[4], type_and_options[2]))
    return whole or parts


def _container_hierarchy() -> tuple[int, str, int]:
    """Return (index of the controller, folder, hierarchy number): v2 when it stands alone, else a v1 controller."""
    v1 = {option: folder for folder, options in _mounts("cgroup") for option in options.split(",")}
    rows = [line.split() for line in read_text("/proc/cgroups").splitlines() if line and not line.startswith("#")]
    for controller in V1_CONTROLLERS:
        if controller not in v1:
            continue
        for row in rows:
            if row[0] == controller and int(row[1]):
                # Rows stand in the kernel's order of enabled controllers, which is that of css_set.subsys (threaded and
                # disabled ones included, since /proc/cgroups lists all).
                return _subsystem_index(controller, [each[0] for each in rows]), v1[controller], int(row[1])
    folders = _mounts("cgroup2")
    return -1, folders[0][0] if folders else "/sys/fs/cgroup", 0


def _subsystem_index(controller: str, listed: list[str]) -> int:
    """Return the value of `<controller>_cgrp_id` from the kernel's BTF; the place in `/proc/cgroups` where it has none."""
    from seawall_sensor.libbpf import enum_value

    value = enum_value("cgroup_subsys_id", f"{controller}_cgrp_id")
    return listed.index(controller) if value is None else value


def _cgroup2_folder() -> str | None:
    folders = _mounts("cgroup2")
    if folders:
        return min((folder for folder, _ in folders), key=len)
    # A node with v1 controllers only: the v2 hierarchy can still be mounted, privately; sockets belong to its root.
    folder = tempfile.mkdtemp(prefix="seawall-cgroup2-")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"seawall", folder.encode(), b"cgroup2", 0, None) == 0:
        return folder
    Path(folder).rmdir()
    return None


def boot_offset_ns() -> int:
    """Return what to add to CLOCK_BOOTTIME to get ns since 1970: measured anew by the caller, so clock steps show."""
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    wall = time.time_ns()
    after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return wall - (before + after) // 2
