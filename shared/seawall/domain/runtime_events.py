"""What the sensor sees on a node, one class per kind of event.

Every event is an immutable `msgspec.Struct` (under 1 µs to make) that encodes to a map tagged by `event`. Defaults
are left out when it is encoded, so a reader of an older version skips nothing it needs. Texts that come from the kernel
are UTF-8 with undecodable bytes replaced by U+FFFD (never surrogates). Paths are absolute in the mount namespace of the
process unless a field says otherwise. Numbers without a unit in their name are the kernel's own (uid, pid, errno, flags).

Field names never change meaning; new fields are added at the end with a default.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

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


class FileEvent(RuntimeEvent, frozen=True):
    """A change to a file or folder."""

    path: str
    """Resolved: symlinks followed, no `..`."""

    @property
    def changed(self) -> str:
        """The path that is different afterwards: the new name of a rename or link, else `path`."""
        return self.path

    @property
    def subject(self) -> str:
        """The changed path."""
        return self.changed


class PeerEvent(RuntimeEvent, frozen=True):
    """Traffic with a network peer."""

    address: str = ""
    """Numeric peer address (IPv4-mapped IPv6 written as IPv4); for unix sockets the path, `@name` when abstract; for
    listeners the local address (`0.0.0.0` or `::` = all)."""
    port: int = 0

    @property
    def subject(self) -> str:
        """`address:port`."""
        return f"{self.address}:{self.port}"


_SECOND_LEVELS = frozenset({"co", "com", "net", "org", "gov", "edu", "ac", "or", "ne", "go", "gob", "gouv"})
"""Labels that countries put between a registered name and their own domain (co.uk, com.au)."""


class DnsMessage(RuntimeEvent, frozen=True):
    """A DNS question, or the answer to one."""

    name: str
    """Lower case, without the dot at the end, non-ASCII octets as `\\ddd`."""
    type: str = "A"
    """Mnemonic (A, AAAA, TXT, NULL, ...) or `TYPE<n>`."""
    server: str = ""
    port: int = 53
    transport: str = "udp"
    """udp or tcp."""
    opcode: int = 0
    size_bytes: int = 0
    """Length of the message."""
    malformed: str = ""
    """What breaks RFC 1035, empty = nothing."""

    @property
    def subject(self) -> str:
        """The name."""
        return self.name

    @property
    def registered(self) -> str:
        """The registered domain that `name` lies under, by the usual second-level labels of countries."""
        labels = self.name.rsplit(".", 3)
        deep = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVELS
        return ".".join(labels[-3:] if deep else labels[-2:])


class ProcessExec(RuntimeEvent, frozen=True, tag="process_exec"):
    """A process runs a new program; `process` is as after the exec. Source: tp_btf/sched_process_exec.

    A failed exec never appears.
    """

    previous_exe: str = ""
    """What the process ran before."""
    script: str = ""
    """Path of the script, when the program is an interpreter started for one (`#!` or an argument that is a file)."""
    script_drift: bool = False
    """The script is not from the image. Sensors from 0.2 on say so by a `ScriptRun`."""
    stdio: tuple[str, str, str] = ("", "", "")
    """Kind of descriptors 0, 1, 2: tty, pipe, file, null, socket, unix, closed or empty = not known. Source: inode mode."""
    peer: str = ""
    """`address:port` of the far end when one of `stdio` is an internet socket."""
    gained: bool = False
    """The exec raised privileges (setuid, setgid or file capabilities; the kernel's secure-exec)."""
    environment: dict[str, str] = {}
    """Values of watched variables only: LD_PRELOAD, LD_LIBRARY_PATH, LD_AUDIT, GLIBC_TUNABLES, HISTFILE, HISTSIZE,
    HISTCONTROL, HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, npm_lifecycle_event. Never others: they hold secrets."""
    sha256: str = ""
    """Of the executable, when the sensor hashed it."""


class ScriptRun(RuntimeEvent, frozen=True, tag="script_run"):
    """An interpreter in a container read the script it was told to run, and the script is not from the image.

    Source: the file that the interpreter opened, by its inode; links and renames do not hide it.
    """

    path: str
    """The file that was read; `-` when it is the standard input."""
    origin: str = ""
    """upper, memfd, tmpfs or bind, as `Process.origin`."""
    asked: str = ""
    """The path as the interpreter gave it, when that differs."""

    @property
    def subject(self) -> str:
        """The script."""
        return self.path


class ProcessExit(RuntimeEvent, frozen=True, tag="process_exit"):
    """A process (its last thread) ended. Source: tp_btf/sched_process_exit."""

    exit_code: int = 0
    """As wait(2) gives: 0 to 255."""
    signal: int = 0
    """Signal that ended it, 0 = none."""
    duration_ns: int = 0
    cpu_ns: int = 0
    """User and system time together; 0 = not measured."""


class ProcessFork(RuntimeEvent, frozen=True, tag="process_fork"):
    """`process` made a child process (not a thread). Source: tp_btf/sched_process_fork."""

    child_pid: int = 0
    child_start_ns: int = 0


class FileOpen(FileEvent, frozen=True, tag="file_open"):
    """A file was opened: for writing anywhere watched, for reading never (that is `SensitiveRead`)."""

    flags: int = 0
    """open(2) flags of x86-64."""
    writes: bool = False
    """O_WRONLY or O_RDWR."""
    creates: bool = False
    """O_CREAT, and the file was not there before."""
    truncates: bool = False
    asked: str = ""
    """The path as the caller gave it, when it differs from `path`."""
    mode: int = 0
    """Permission bits of the file."""
    inode: int = 0
    device: int = 0
    origin: str = ""
    """Where the file lies: as `Process.origin`."""


class FileRename(FileEvent, frozen=True, tag="file_rename"):
    """A file got another name. Source: LSM or syscall tracepoints."""

    target: str
    """The new name; `path` is the old one."""

    @property
    def changed(self) -> str:
        """The new name."""
        return self.target


class FileUnlink(FileEvent, frozen=True, tag="file_unlink"):
    """A name of a file, or an empty folder, was removed."""

    directory: bool = False


class FileChmod(FileEvent, frozen=True, tag="file_chmod"):
    """Permission bits were set."""

    mode: int
    """The new bits, 0o7777."""
    previous_mode: int = -1
    """Before; -1 = not known."""
    directory: bool = False
    """Of a folder: looked for where setuid or setgid was set."""


class FileLink(FileEvent, frozen=True, tag="file_link"):
    """A hard or symbolic link was made."""

    target: str
    """The new name; `path` is what it leads to, as the caller gave it."""
    symbolic: bool = False

    @property
    def changed(self) -> str:
        """The new name."""
        return self.target


class Mount(RuntimeEvent, frozen=True, tag="mount"):
    """mount(2), fsopen/move_mount or umount(2)."""

    source: str
    """Device or folder."""
    target: str
    filesystem: str = ""
    flags: int = 0
    """MS_* flags; 0x1000 is a bind mount."""
    unmount: bool = False


class SensitiveRead(RuntimeEvent, frozen=True, tag="sensitive_read"):
    """A file on the short list of sensitive paths was opened for reading."""

    path: str
    """Resolved."""
    asked: str = ""
    """The path as the caller gave it, when it differs from `path`."""
    inode: int = 0
    target_pid: int = 0
    """For `/proc/<pid>/…`: that pid in the node's namespace; 0 = not such a path."""
    target_container: str = ""
    """Container id of `target_pid`, empty = the node or not known."""
    file_type: str = ""
    """block or char: a device; empty = a regular file."""


class Connect(PeerEvent, frozen=True, tag="connect"):
    """A stream socket connects, or a datagram socket sets its peer. Repeats in a window are folded into `count`."""

    family: str = "inet"
    """inet, inet6 or unix."""
    protocol: str = "tcp"
    """tcp, udp, sctp or unix."""
    source_address: str = ""
    source_port: int = 0
    result: int = 0
    """0 = connected, else the errno (positive); 115 (EINPROGRESS) while not known."""
    host: str = ""
    """Name that the pod resolved to this address shortly before, from its own DNS answers; empty = none seen."""


class Accept(PeerEvent, frozen=True, tag="accept"):
    """A connection came in on a listening socket."""

    family: str = "inet"
    local_address: str = ""
    local_port: int = 0


class Listen(PeerEvent, frozen=True, tag="listen"):
    """A socket starts to take connections."""

    family: str = "inet"
    protocol: str = "tcp"


class UdpSend(PeerEvent, frozen=True, tag="udp_send"):
    """Datagrams sent to one peer; repeats in a window are folded into `count`."""

    family: str = "inet"
    source_port: int = 0
    size_bytes: int = 0
    """Payload of all folded datagrams together."""


class Flow(PeerEvent, frozen=True, tag="flow"):
    """Bytes that went over connections of one process to one peer in an interval. Source: socket close and a timer."""

    protocol: str = "tcp"
    sent_bytes: int = 0
    received_bytes: int = 0
    duration_ns: int = 0
    inbound: bool = False
    """The far end opened the connection."""
    host: str = ""


class DnsQuery(DnsMessage, frozen=True, tag="dns_query"):
    """A DNS question left the container. Source: packets at the cgroup's egress."""


class DnsAnswer(DnsMessage, frozen=True, tag="dns_answer"):
    """A DNS answer reached the container. Source: packets at the cgroup's ingress."""

    rcode: int = 0
    """0 NOERROR, 2 SERVFAIL, 3 NXDOMAIN (RFC 1035, RFC 6895)."""
    answers: tuple[tuple[str, str], ...] = ()
    """(type, value) of the records; addresses numeric, names as in `name`, TXT as text; at most 32."""
    ttl_s: int = 0
    """Smallest of the records; 0 without records."""


class RawSocket(RuntimeEvent, frozen=True, tag="raw_socket"):
    """A packet or raw socket was made."""

    family: str
    """packet, inet or inet6."""
    protocol: int = 0
    """For packet: the Ethernet type (0x0003 all, 0x0806 ARP); else the IP protocol (1 ICMP)."""
    dgram: bool = False
    """SOCK_DGRAM (ping sockets) instead of SOCK_RAW."""


class Ptrace(RuntimeEvent, frozen=True, tag="ptrace"):
    """ptrace(2) with a request that reads or changes another process, or TRACEME."""

    request: str
    """traceme, attach, seize, peek, poke, getregs, setregs, or `request<n>`."""
    target_pid: int = 0
    target_exe: str = ""
    target_container: str = ""
    """Container id of the target; empty = the node."""


class NamespaceChange(RuntimeEvent, frozen=True, tag="namespace_change"):
    """A process enters (setns) or makes (unshare, clone) namespaces."""

    operation: str
    """setns, unshare or clone."""
    namespaces: tuple[str, ...] = ()
    """mnt, uts, ipc, user, pid, net, cgroup, time."""
    target_pid: int = 0
    """For setns over a pidfd or `/proc/<pid>/ns`: that pid; 0 = not known."""


class CredentialChange(RuntimeEvent, frozen=True, tag="credential_change"):
    """User ids or capabilities of a running process changed. `process` is as after the change."""

    operation: str
    """setuid, setgid, capset, or kernel (changed without such a call: an exploit's mark)."""
    previous_uid: int = 0
    previous_euid: int = 0
    previous_caps: int = 0


class ModuleLoad(RuntimeEvent, frozen=True, tag="module_load"):
    """A kernel module was loaded. Source: tp_btf/module_load."""

    name: str
    path: str = ""
    """File given to finit_module; empty = from memory."""


class BpfLoad(RuntimeEvent, frozen=True, tag="bpf_load"):
    """bpf(2) loads a program."""

    program_type: str
    """Lower-case name without the prefix (kprobe, tracing, xdp, ...)."""
    name: str = ""


class IoUring(RuntimeEvent, frozen=True, tag="io_uring"):
    """An io_uring was set up, or a request that matters went through one."""

    operation: str
    """setup, openat, openat2, connect, accept, send, sendmsg, recv, unlinkat, renameat, linkat, ... (linux/io_uring.h)."""
    path: str = ""
    address: str = ""
    port: int = 0
    writes: bool = False


class Signal(RuntimeEvent, frozen=True, tag="signal"):
    """A signal that can end or stop a process, sent to another process. Source: tp_btf/signal_generate."""

    signal: int
    target_pid: int
    target_exe: str = ""
    target_container: str = ""
    """Container id of the target; empty = the node."""


class ProcessVmWrite(RuntimeEvent, frozen=True, tag="process_vm_write"):
    """process_vm_writev(2) or a write to `/proc/<pid>/mem` of another process."""

    target_pid: int
    target_exe: str = ""
    target_container: str = ""
    size_bytes: int = 0


class ContainerStart(RuntimeEvent, frozen=True, tag="container_start"):
    """A container began: `process` is its first process, `container` the new container."""

    mounts: tuple[tuple[str, str, bool], ...] = ()
    """(source on the node, path in the container, read-only) of mounts from the node, where the runtime says them."""


class ContainerStop(RuntimeEvent, frozen=True, tag="container_stop"):
    """The last process of a container ended."""

    exit_code: int = -1
    """-1 = not known."""


class Enforced(RuntimeEvent, frozen=True, tag="enforced"):
    """A policy of the sensor acted (or, in audit mode, would have)."""

    policy: str
    action: str
    """audit, kill or block."""
    reason: str
    """drift, listed, malware or network."""
    path: str = ""
    """The executable that was stopped."""
    address: str = ""
    port: int = 0
    sha256: str = ""


class FileVerdict(RuntimeEvent, frozen=True, tag="file_verdict"):
    """An executable was checked by hash and signature and is on a list. `process` ran it. Source: the sensor's scanner."""

    path: str
    sha256: str = ""
    size_bytes: int = 0
    signatures: tuple[str, ...] = ()
    """Names of the signatures that matched; `hash:<list>` for a listed hash."""
    severity: str = "high"
    """Highest of the signatures: low, medium, high or critical."""
    on_disk: bool = False
    """Found lying on a disk (node or snapshot scan), not executed."""
    skipped: str = ""
    """Why the file was not checked whole (too large, timed out), empty = it was."""


class ImageInUse(RuntimeEvent, frozen=True, tag="image_in_use"):
    """Files of an image that were really executed or opened: what findings' priority asks."""

    full: bool = False
    """True: a snapshot that replaces what was said before; False: additions since."""
    executed: tuple[str, ...] = ()
    """Programs of the image that belong to no package, at most 64."""
    opened: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    """Packages whose files are among them, as `<purl type>/<name>` without a version: `deb/libssl3`, `npm/@scope/name`."""


class ContainerInUse(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One container of a `NodeInventory`."""

    container: ContainerContext
    packages: tuple[str, ...] = ()
    """As `ImageInUse.packages`."""
    executed: tuple[str, ...] = ()
    """Programs of the image that belong to no package, at most 64."""


class NodeInventory(RuntimeEvent, frozen=True, tag="node_inventory"):
    """Every container that runs on the node now; what is not in it does not run. At start, then every 10 minutes."""

    containers: tuple[ContainerInUse, ...] = ()


class Loss(RuntimeEvent, frozen=True, tag="loss"):
    """Events that were not delivered, counted where they were lost. Never silent: zero losses send no `Loss`."""

    lost: int
    """Since the last `Loss` of the same class, stage and processor."""
    event_class: str = ""
    """exec, file, network, dns, kernel, ... as the sensor sheds them; empty = all classes."""
    stage: str = ""
    """ring (no room in the kernel's buffer), shed (self-limit), map (a kernel table was full), spool (disk bound by size
    or age), gap (batches missing at the receiver)."""
    since_ns: int = 0
    """Start of the interval, ns since 1970 UTC."""


class Heartbeat(RuntimeEvent, frozen=True, tag="heartbeat"):
    """The sensor says that it lives and what it can see. At start (state ready), then every 60 s, and at the end."""

    state: str
    """starting, ready, degraded or stopping."""
    version: str = ""
    """Of the sensor."""
    kernel: str = ""
    """uname release."""
    hooks: tuple[str, ...] = ()
    """Attached programs."""
    missing: tuple[str, ...] = ()
    """Hooks that rules want and this kernel does not have."""
    blind: tuple[str, ...] = ()
    """Ids of analytics that can not work here."""
    uptime_s: float = 0.0
    lag_s: float = 0.0
    """Age of the oldest event that was not read yet."""
    events: int = 0
    """Read since start."""
    lost: int = 0
    """Lost since start, all classes and stages."""
    spooled_bytes: int = 0
    rss_bytes: int = 0
    cpu_share: float = 0.0
    """Of one core, since the last heartbeat."""
    rules: str = ""
    """Content id of the analytics and lists in use."""
    shed: tuple[str, ...] = ()
    """Kinds of records that are switched off now by self-limits: `in_use`, `flow`, `open`, ..."""
    certificate_expires_ns: int = 0
    """End of the delivery certificate, ns since 1970 UTC; 0 = none in use."""
    cpus: int = 0
    """Processors of the node that are online: its vCores."""
    containers: int = 0
    """Containers that run on the node."""
    delivered: int = 0
    """Records that the receiver confirmed since start."""


AnyRuntimeEvent = (
    ProcessExec | ScriptRun | ProcessExit | ProcessFork | FileOpen | FileRename | FileUnlink | FileChmod | FileLink | Mount
    | SensitiveRead | Connect | Accept | Listen | UdpSend | Flow | DnsQuery | DnsAnswer | RawSocket | Ptrace
    | NamespaceChange | CredentialChange | ModuleLoad | BpfLoad | IoUring | Signal | ProcessVmWrite | ContainerStart
    | ContainerStop | Enforced | FileVerdict | ImageInUse | NodeInventory | Loss
    | Heartbeat
)  # fmt: skip
"""Every kind of event, as one type: what a batch holds."""

EVENT_TYPES: dict[str, type[Any]] = {
    str(msgspec.inspect.type_info(kind).tag): kind  # type: ignore[attr-defined]
    for kind in AnyRuntimeEvent.__args__
}
"""Event class by the `event` tag of its encoding."""

NO_PROCESS = Process(pid=0)
"""For events that no process did."""
