"""What every event of the sensor carries: the acting process, its container, where and when."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

CAPABILITIES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
)  # fmt: skip
"""Bit n of a capability mask is CAPABILITIES[n] (capabilities(7), linux/capability.h)."""


class Ancestor(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A process above another one. Source: the sensor's process cache, `/proc` for what ran before it started."""

    pid: int
    """In the node's pid namespace."""
    exe: str = ""
    """Path of the executable; the kernel's short name (`comm`, 15 bytes) when the path was never seen."""
    args: tuple[str, ...] = ()
    """Arguments with args[0]; at most 16, at most 512 characters together."""
    start_ns: int = 0
    """Start in ns since boot (CLOCK_BOOTTIME); with `pid` it names one process of this boot."""
    uid: int = 0
    listens: bool = False
    """Whether it listened on a TCP port by then. Told of processes in containers."""

    @property
    def name(self) -> str:
        """The last part of `exe`."""
        return self.exe.rpartition("/")[2]


class Process(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The acting process as it was when the event happened. Source: kernel task, completed from the process cache."""

    pid: int
    """Thread group id in the node's pid namespace."""
    ppid: int = 0
    """Parent's thread group id in the node's pid namespace; 0 = none or in no visible namespace."""
    start_ns: int = 0
    """Start of the thread group leader in ns since boot."""
    exe: str = ""
    """Path of the executable (d_path of mm->exe_file), without " (deleted)". For memfd: `memfd:<name>`."""
    args: tuple[str, ...] = ()
    """Arguments with args[0] as passed to exec; at most 128, at most 8,192 characters together."""
    args_truncated: bool = False
    cwd: str = ""
    uid: int = 0
    """Real user id in the initial user namespace."""
    euid: int = 0
    """Effective user id in the initial user namespace."""
    gid: int = 0
    caps: int = 0
    """Effective capabilities as a bit mask, see `CAPABILITIES`."""
    tty: str = ""
    """Name of the controlling terminal (`pts0`), empty = none."""
    session: int = 0
    """Session id, a pid of the node's namespace."""
    loginuid: int = -1
    """Audit login user, -1 = none."""
    ns_pid: int = 0
    """The pid that the process itself sees."""
    tid: int = 0
    """The acting thread; 0 = the leader."""
    ancestors: tuple[Ancestor, ...] = ()
    """Parent first, then its parent; at most 16; ends at the container's first process's parent (its shim) inclusive."""
    origin: str = ""
    """Where the executable lies: image (lower overlay layer), upper (the container's writable layer), memfd, tmpfs, bind
    (a mount from outside the image), host (no container), empty = not known."""
    drift: bool = False
    """In a container: the executable was not in the image (origin upper, memfd, tmpfs or bind). Source: overlay inode."""
    memfd: bool = False
    """The executable is an anonymous memory file."""
    deleted: bool = False
    """The executable had no link left when it was executed."""
    exe_inode: int = 0
    exe_device: int = 0
    """st_dev as the kernel packs it (major << 20 | minor)."""
    exe_size_bytes: int = 0
    exe_mode: int = 0
    """st_mode with the type; bits 0o4000 and 0o2000 are setuid and setgid."""
    exe_mtime_ns: int = 0
    """Last change of the executable's content, ns since 1970 UTC."""
    exe_ctime_ns: int = 0
    """Last change of the executable's inode, ns since 1970 UTC."""
    entered: bool = False
    """Came into the container from outside (runtime exec: `kubectl exec`, probe, `docker exec`), it or an ancestor: its
    chain does not lead to the container's first process."""
    user_ns: int = 0
    """Inode number of the user namespace; 0 = the initial one."""
    script_drift: bool = False
    """In a container: the script that this interpreter runs was not in the image (see `ScriptRun`)."""

    @property
    def name(self) -> str:
        """The last part of `exe`."""
        return self.exe.rpartition("/")[2]

    @property
    def command_line(self) -> str:
        """Arguments joined by blanks, for people and for patterns that cross arguments."""
        return " ".join(self.args)

    def has_capability(self, name: str) -> bool:
        """Whether the effective set holds `name`, e.g. "sys_admin"."""
        return bool(self.caps >> CAPABILITIES.index(name) & 1)

    def __str__(self) -> str:
        return f"{self.exe or self.name or '?'} (pid {self.pid})"


NO_PROCESS = Process(pid=0)
"""For events that no process did."""


class ContainerContext(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The container of a process. Source: its cgroup; the rest from the runtime, the kubelet or the API server."""

    id: str
    """The runtime's id, 64 hex digits for all known runtimes."""
    name: str = ""
    """Name of the container in its pod, or the runtime's name for it."""
    image: str = ""
    """Reference as it was asked for, e.g. `registry.example/shop/web:1.2`."""
    image_digest: str = ""
    """`sha256:<hex>` of the platform manifest or index that the runtime resolved; empty = not known."""
    pod: str = ""
    pod_uid: str = ""
    namespace: str = ""
    labels: dict[str, str] = {}
    """Labels of the pod, or of the container outside Kubernetes."""
    owner: str = ""
    """Workload as `Kind/name`, resolved through ReplicaSets and Jobs: `Deployment/web`, `CronJob/report`."""
    service_account: str = ""
    privileged: bool = False
    runtime: str = ""
    """containerd, cri-o, docker or podman."""
    host_network: bool = False
    host_pid: bool = False
    started_ns: int = 0
    """Start of the container, ns since 1970 UTC; 0 = not known."""
    caps: int = 0
    """Capabilities that the container's first process was given (its bounding set); 0 = not known."""
    pod_ip: str = ""


class RuntimeEvent(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="event", tag=True
):
    """What every event of the sensor carries."""

    ts_ns: int
    """When it happened, ns since 1970 UTC: kernel boot clock plus the offset measured when the batch was read."""
    process: Process
    """Who did it; pid 0 for events that no process did (losses, heartbeats)."""
    container: ContainerContext | None = None
    """None: a process of the node itself."""
    node: str = ""
    cluster: str = ""
    boot: str = ""
    """The kernel's boot id, `/proc/sys/kernel/random/boot_id`."""
    seq: int = 0
    """Number of the event within `boot`, growing. The sensor starts it at the µs since boot of its own start, so that a
    restarted sensor never repeats a number. (node, boot, seq) name one event."""
    complete: bool = True
    """False: metadata of the container did not arrive in time; the event went out without it."""
    count: int = 1
    """How many equal events the kernel folded into this one; `ts_ns` is the first one's."""
    cpu: int = -1
    """Processor that reported it; -1 = not said."""
    result: int = 0
    """0 = it was done; else the errno (positive) that the kernel refused it with: an attempt."""

    @property
    def id(self) -> str:
        """`<boot>:<seq>`, unique per node: the event id that evidence names."""
        return f"{self.boot}:{self.seq}"

    @property
    def ts(self) -> datetime:
        """`ts_ns` as a time in UTC (microseconds)."""
        return datetime.fromtimestamp(self.ts_ns / 1e9, UTC)

    @property
    def container_id(self) -> str:
        """Id of the container, empty on the node itself."""
        return self.container.id if self.container is not None else ""

    @property
    def scope(self) -> str:
        """What counts and windows run over: the container, or the node for its own processes."""
        return self.container.id if self.container is not None else f"node:{self.node}"

    @property
    def workload(self) -> str:
        """`namespace/Kind/name` of the owner; the image outside Kubernetes; `node:<name>` on the node itself."""
        container = self.container
        if container is None:
            return f"node:{self.node}"
        if container.owner or container.pod:
            return f"{container.namespace}/{container.owner or 'Pod/' + container.pod}"
        return container.image or container.id

    @property
    def actor_process(self) -> str:
        """Name of one process on its node: pid and start."""
        return f"{self.node}:{self.process.pid}:{self.process.start_ns}"

    @property
    def parent_process(self) -> str:
        """Name of the parent process, as `actor_process`."""
        start_ns = self.process.ancestors[0].start_ns if self.process.ancestors else 0
        return f"{self.node}:{self.process.ppid}:{start_ns}"

    @property
    def session(self) -> int:
        """Session id of the process; the process itself where none is known."""
        return self.process.session or self.process.pid

    @property
    def command(self) -> str:
        """The process's command line."""
        return self.process.command_line

    @property
    def subject(self) -> str:
        """What the event is about: the program, path, peer or name. Windows count different ones."""
        return self.process.name
