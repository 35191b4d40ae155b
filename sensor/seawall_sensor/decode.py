"""Records of the kernel into the events of `seawall.domain.runtime_events`, with process and container joined in."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
import struct
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from seawall.domain.runtime_events import (
    NO_PROCESS,
    Accept,
    BpfLoad,
    Connect,
    ContainerStart,
    ContainerStop,
    CredentialChange,
    DnsAnswer,
    DnsQuery,
    Enforced,
    FileChmod,
    FileLink,
    FileOpen,
    FileRename,
    FileUnlink,
    Flow,
    IoUring,
    Listen,
    ModuleLoad,
    Mount,
    NamespaceChange,
    ProcessExec,
    ProcessExit,
    ProcessFork,
    ProcessVmWrite,
    Ptrace,
    RawSocket,
    RuntimeEvent,
    ScriptRun,
    SensitiveRead,
    Signal,
    UdpSend,
)

from seawall_sensor import dns, records, sensitive
from seawall_sensor.containers import Container, ContainerIndex
from seawall_sensor.files import runs_standard_input, script_of, sources
from seawall_sensor.host import Host, boot_offset_ns
from seawall_sensor.processes import Entry, ProcessCache, arguments
from seawall_sensor.records import (
    DRIFTED,
    EXE_GAINED,
    EXE_SCRIPT,
    EXEC_BYTES,
    HEAD,
    OPEN_CREATED,
    OPEN_SCRIPT,
    OPEN_WRITES,
    ORIGINS,
    STDIO,
    Exec,
    File,
    Head,
    Kernel,
    Kind,
    Net,
)
from seawall_sensor.watched import HostFiles

WATCHED_VARIABLES = frozenset(
    {
        "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES", "HISTFILE", "HISTSIZE", "HISTCONTROL", "HTTP_PROXY",
        "HTTPS_PROXY", "ALL_PROXY", "npm_lifecycle_event",
    }
)  # fmt: skip
"""Environment variables that rules ask for; all others are dropped here: they hold secrets."""

_NAMESPACES = (
    (0x20000, "mnt"), (0x4000000, "uts"), (0x8000000, "ipc"), (0x10000000, "user"), (0x20000000, "pid"),
    (0x40000000, "net"), (0x2000000, "cgroup"), (0x80, "time"),
)  # fmt: skip
_NAMESPACE_CALLS = {28: "setns", 29: "unshare", 30: "clone", 31: "clone"}
_CREDENTIAL_CALLS = {0: "kernel", 32: "capset", 33: "setuid", 34: "setgid"}
_REQUESTS = {
    0: "traceme", 1: "peek", 2: "peek", 3: "peek", 4: "poke", 5: "poke", 6: "poke", 12: "getregs", 13: "setregs",
    16: "attach", 0x4204: "getregs", 0x4205: "setregs", 0x4206: "seize",
}  # fmt: skip
_PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp"}
_BPF_TYPES = (
    "unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event", "cgroup_skb",
    "cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint",
    "cgroup_sock_addr", "lwt_seg6local", "lirc_mode2", "sk_reuseport", "flow_dissector", "cgroup_sysctl",
    "raw_tracepoint_writable", "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm", "sk_lookup", "syscall", "netfilter",
)  # fmt: skip
_URING = {13: "accept", 16: "connect", 18: "openat", 28: "openat2", 35: "renameat", 36: "unlinkat", 37: "mkdirat",
          38: "symlinkat", 39: "linkat", 45: "socket"}  # fmt: skip
_ACTIONS = {1: "audit", 2: "kill", 3: "block"}
_REASONS = {1: "drift", 2: "listed", 3: "network"}
_RUNTIMES = ("runc", "crun", "youki", "conmon", "containerd-shim", "podman", "runsc", "memfd:runc", "exe")

_HEAD_CGROUP = struct.Struct("<Q").unpack_from
_HEAD_NAMESPACE = _HEAD_PID = struct.Struct("<I").unpack_from
_KIND_AND_CPU = struct.Struct("<2H")
_NAMESPACE_AT, _KIND_AT, _CGROUP_AT, _COMM_AT, _PID_AT = 56, 72, 16, 80, 32
"""Places in `struct head`, for a look before the whole of it is read."""
_FILE_TEXTS = struct.Struct("<5H")
_FILE_TEXTS_AT, _FILE_BYTES, _FILE_MODE_AT = 120, HEAD.size + records.FILE.size, HEAD.size + 16
_HOST_FILTERED = frozenset({Kind.OPEN, Kind.RENAME, Kind.UNLINK, Kind.LINK, Kind.CHMOD})
_HOST_FILTERED_MASK = sum(1 << kind for kind in _HOST_FILTERED)
_CHMOD = int(Kind.CHMOD)
_LOOK = struct.Struct("<I12xH2xI").unpack_from
"""Namespace, kind and size, from the place of the namespace on."""
_SPECIAL_AT, _SPECIAL = _FILE_MODE_AT + 1, 0o6000 >> 8
"""The byte of a file record's mode that holds setuid and setgid, and their bits in it."""

_DEVICES = {0o060000: "block", 0o020000: "char"}

Found = list[RuntimeEvent]


class Decoder:
    """Turns records into events. One per sensor; not thread-safe."""

    def __init__(
        self,
        host: Host,
        processes: ProcessCache,
        containers: ContainerIndex,
        *,
        cluster: str = "",
        policy_name: Callable[[int], str] = str,
        on_file_used: Callable[[Container, str, bool], None] = lambda _container, _path, _executed: None,
        on_cgroup_gone: Callable[[int], None] = lambda _cgroup: None,
        unwanted: frozenset[Kind] = frozenset(),
    ) -> None:
        self.host, self.processes, self.containers = host, processes, containers
        self.cluster = cluster
        # A restarted sensor never repeats a number of its boot: events come slower than one a microsecond.
        self.seq = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
        self.records = 0
        self.malformed = 0
        self.offset_ns = boot_offset_ns()
        self._policy_name = policy_name
        self._on_file_used, self._on_cgroup_gone = on_file_used, on_cgroup_gone
        self._unwanted = unwanted
        self._host_files = HostFiles()
        self.filtered = 0
        self._paths: dict[bytes, str] = {}
        self._names: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._handlers: dict[int, Callable[[Head, bytes, int, Found], None]] = {
            Kind.EXEC: self._exec,
            Kind.EXIT: self._exit,
            Kind.FORK: self._fork,
            Kind.OPEN: self._open,
            Kind.READ: self._read,
            Kind.IN_USE: self._in_use,
            Kind.RENAME: self._path,
            Kind.UNLINK: self._path,
            Kind.CHMOD: self._path,
            Kind.LINK: self._path,
            Kind.MOUNT: self._mount,
            Kind.CONNECT: self._net,
            Kind.ACCEPT: self._net,
            Kind.LISTEN: self._net,
            Kind.UDP_SEND: self._net,
            Kind.FLOW: self._net,
            Kind.BLOCKED: self._net,
            Kind.ENFORCED: self._enforced,
            Kind.DNS: self._dns,
            Kind.SOCKET: self._kernel,
            Kind.PTRACE: self._kernel,
            Kind.NAMESPACE: self._kernel,
            Kind.CREDENTIALS: self._kernel,
            Kind.MODULE: self._kernel,
            Kind.BPF: self._kernel,
            Kind.SIGNAL: self._kernel,
            Kind.VM_WRITE: self._kernel,
            Kind.IO_URING: self._io_uring,
            Kind.CGROUP: self._cgroup,
        }

    def tick(self) -> None:
        """Measure the clocks again: steps of the wall clock show in the next events."""
        self.offset_ns = boot_offset_ns()

    def decode(self, data: bytes, offset: int) -> Found:
        """Return the events of one record: usually one; none for those that only teach us something."""
        kind = _KIND_AND_CPU.unpack_from(data, offset + _KIND_AT)[0]
        if kind in _HOST_FILTERED and not self._worth(kind, data, offset):
            self.filtered += 1
            return []
        if kind == Kind.EXIT and Kind.EXIT in self._unwanted:
            self.records += 1
            self._exit_unseen(data, offset)
            return []
        head = Head._make(HEAD.unpack_from(data, offset))
        self.records += 1
        found: Found = []
        handler = self._handlers.get(head.kind)
        if handler is None:
            self.malformed += 1
        else:
            handler(head, data, offset, found)
        return found

    def sift(self, data: bytes, offsets: list[int]) -> list[int]:
        """Return the records that have to be decoded: without file records of the node's own namespace that mean nothing.

        One loop over a batch, before anything is made of a record: a busy node writes 100,000s of files a second.
        """
        own, mask, kept = self.host.mount_namespace, _HOST_FILTERED_MASK, []
        look, known, wants = _LOOK, self._host_files.known.get, self._host_files.wants
        for offset in offsets:
            namespace, kind, size = look(data, offset + _NAMESPACE_AT)
            if namespace == own and mask >> kind & 1:
                texts = data[offset + _FILE_BYTES : offset + size]
                wanted = known(texts)
                if wanted is None:
                    wanted = wants(texts)
                if not wanted and not (kind == _CHMOD and data[offset + _SPECIAL_AT] & _SPECIAL):
                    continue
            kept.append(offset)
        self.filtered += len(offsets) - len(kept)
        return kept

    def foresee(self, data: bytes, offsets: list[int]) -> None:
        """Learn of containers that a batch announces before its events are decoded: a container that lives for a moment
        is described by its runtime for a moment."""
        for offset in offsets:
            kind = _KIND_AND_CPU.unpack_from(data, offset + _KIND_AT)[0]
            if kind == Kind.CGROUP:
                self._cgroup_made(data, offset)
            elif kind == Kind.EXEC and data.startswith((b"conmon", b"containerd-shim"), offset + _COMM_AT):
                record = Exec._make(records.EXEC.unpack_from(data, offset + HEAD.size))
                at = offset + EXEC_BYTES + record.path_bytes + record.cwd_bytes + record.asked_bytes
                self.containers.announced(arguments(data[at : at + record.args_bytes]))

    def _worth(self, kind: int, data: bytes, offset: int) -> bool:
        """Whether a file record can mean something: all of containers', watched paths of the node's own processes."""
        cgroup, namespace = _HEAD_CGROUP(data, offset + _CGROUP_AT)[0], _HEAD_NAMESPACE(data, offset + _NAMESPACE_AT)[0]
        if namespace != self.host.mount_namespace and not self.containers.is_host(cgroup, namespace):
            return True
        sizes = _FILE_TEXTS.unpack_from(data, offset + _FILE_TEXTS_AT)
        at = offset + _FILE_BYTES
        if kind == Kind.CHMOD and _HEAD_NAMESPACE(data, offset + _FILE_MODE_AT)[0] & 0o6000:
            return True
        return self._host_files.wants(data[at : at + sum(sizes)])

    # What every event carries.

    def _actor(self, head: Head) -> tuple[Entry, Container | None]:
        entry = self.processes.find(head)
        entry.cgroup, entry.mnt_ns = head.cgroup, head.mnt_ns or entry.mnt_ns
        return entry, self._container(head, entry)

    def _container(self, head: Head, entry: Entry) -> Container | None:
        container = self.containers.find(head.cgroup, entry)
        if container is not None and not container.complete and not container.asked:
            # The runtime may be writing its state just now: the sensor holds the event and asks again (late.py).
            container.asked = 1
            self.containers.complete(container)
        # The runtime's own process, in the container's cgroup already: it was executed from the node's file system.
        if container is not None and entry.origin == "host" and entry.exe.rpartition("/")[2].startswith(_RUNTIMES):
            return None
        return container

    def _base(self, head: Head, entry: Entry, container: Container | None) -> dict[str, Any]:
        self.seq += 1
        return {
            "ts_ns": head.ts_ns + self.offset_ns,
            "process": self.processes.process(entry, head),
            "container": container.context if container is not None else None,
            "node": self.host.node,
            "cluster": self.cluster,
            "boot": self.host.boot,
            "seq": self.seq,
            "complete": container is None or container.complete,
            "count": head.folded,
            "cpu": head.cpu,
            "result": -head.result if head.result < 0 else 0,
        }

    def _components(self, raw: bytes) -> str:
        found = self._paths.get(raw)
        if found is None:
            if len(self._paths) > 8192:
                self._paths.clear()
            found = self._paths[raw] = records.path(raw) if raw else ""
        return found

    # Processes.

    def _exec(self, head: Head, data: bytes, offset: int, found: Found) -> None:
        record = Exec._make(records.EXEC.unpack_from(data, offset + HEAD.size))
        at = offset + EXEC_BYTES
        path_end = at + record.path_bytes
        cwd_end = path_end + record.cwd_bytes
        asked_end = cwd_end + record.asked_bytes
        args_end = asked_end + record.args_bytes
        path = self._components(data[at:path_end])
        cwd = self._components(data[path_end:cwd_end])
        asked = records.text(data[cwd_end:asked_end])
        args = arguments(data[asked_end:args_end])
        above = data[offset + HEAD.size + records.EXEC.size : offset + EXEC_BYTES]
        before = self.processes.peek(head.pid)
        previous = before.exe if before is not None and before.start_ns == head.start_ns else ""
        entry = self.processes.executed(head, record, path, cwd, args, above)
        if not previous and (parent := self.processes.peek(head.ppid)) is not None:
            previous = parent.exe
        if head.mnt_ns == self.host.mount_namespace:
            entry.origin = entry.origin or "host"
        container = self._container(head, entry)
        if container is None:
            entry.origin = "host" if entry.origin in ("", "image", "upper", "bind", "tmpfs") else entry.origin
        else:
            entry.drift = record.origin in DRIFTED
            self._enter(container, entry, head, found)
            self._on_file_used(container, path, True)
        script = ""
        if record.flags & EXE_SCRIPT:
            script = os.path.normpath(os.path.join(cwd, asked))
        elif container is not None:
            script = script_of(entry.exe, args, cwd)
        entry.script = script
        peer = ""
        if record.peer_family:
            peer = f"{_address(record.peer, record.peer_family)}:{record.peer_port}"
        base = self._base(head, entry, container)
        base["result"] = 0
        found.append(
            ProcessExec(
                **base,
                previous_exe=previous,
                script=script,
                stdio=(
                    STDIO.get(record.stdio[0], ""), STDIO.get(record.stdio[1], ""), STDIO.get(record.stdio[2], ""),
                ),
                peer=peer,
                gained=bool(record.flags & EXE_GAINED),
                environment=_environment(data[args_end : args_end + record.env_bytes]),
            )
        )  # fmt: skip
        if record.stdin_origin in DRIFTED and container is not None and not script and runs_standard_input(args):
            entry.script_drift, entry.process = True, None
            found.append(ScriptRun(**(base | {"seq": self._next()}), path="-", origin=ORIGINS[record.stdin_origin]))
        if record.previous_uid not in (0, 0xFFFFFFFF) and head.euid == 0 and not record.flags & EXE_GAINED:
            found.append(
                CredentialChange(
                    **(base | {"seq": self._next()}),
                    operation="kernel",
                    previous_uid=record.previous_uid,
                    previous_euid=record.previous_uid,
                )
            )
        if head.result:
            found.append(
                Enforced(
                    **(base | {"seq": self._next()}),
                    policy=self._policy_name(head.cgroup),
                    action=_ACTIONS.get(head.result, "audit"),
                    reason="drift" if record.origin in DRIFTED else "listed",
                    path=path,
                )
            )

    def _next(self) -> int:
        self.seq += 1
        return self.seq

    def _enter(self, container: Container, entry: Entry, head: Head, found: Found) -> None:
        """Note a process of a container: its first one starts it; one that does not come from that one was brought in."""
        container.processes += 1
        if not container.first_pid:
            container.first_pid = entry.pid
        if not container.announced:
            container.announced = True
            found.append(ContainerStart(**self._base(head, entry, container), mounts=container.mounted()))
        top, seen = entry, {entry.pid}
        while (above := self.processes.peek(top.ppid)) is not None and above.pid not in seen:
            if above.mnt_ns != entry.mnt_ns and above.cgroup != entry.cgroup:
                break
            seen.add(above.pid)
            top = above
        entry.entered = top.pid != container.first_pid and top.ns_pid != 1 and container.first_pid not in seen
        entry.process = None

    def _exit(self, head: Head, data: bytes, offset: int, found: Found) -> None:
        cpu_ns, code, _ = records.EXIT.unpack_from(data, offset + HEAD.size)
        entry, container = self._actor(head)
        found.append(
            ProcessExit(
                **self._base(head, entry, container),
                exit_code=code >> 8 & 255,
                signal=code & 127,
                duration_ns=max(head.ts_ns - head.start_ns, 0),
                cpu_ns=cpu_ns,
            )
        )
        self._ended(container, head.pid, code)

    def _exit_unseen(self, data: bytes, offset: int) -> None:
        """An end of which no event is wanted: only what it teaches."""
        _, code, _ = records.EXIT.unpack_from(data, offset + HEAD.size)
        container = self.containers.known(_HEAD_CGROUP(data, offset + _CGROUP_AT)[0])
        self._ended(container, _HEAD_PID(data, offset + _PID_AT)[0], code)

    def _ended(self, container: Container | None, pid: int, code: int) -> None:
        if container is not None and container.first_pid == pid:
            container.exit_code = code >> 8 & 255 if not code & 127 else 128 + (code & 127)
        self.processes.ended(pid)

    def _fork(self, head: Head, data: bytes, offset: int, found: Found) -> None:
        record = Kernel._make(records.KERNEL.unpack_from(data, offset + HEAD.size))
        entry, container = self._actor(head)
        found.append(
            ProcessFork(**self._base(head, entry, container), child_pid=record.target_pid, child_start_ns=record.value)
        )

    # Files.

    def _file(self, data: bytes, offset: int) -> tuple[File, str, str, str, str, str]:
        record = File._make(records.FILE.unpack_from(data, offset + HEAD.size))
        at = offset + HEAD.size + records.FILE.size
        parts = []
        for size in record[5:10]:
            parts.append(data[at : at + size])
            at += size
        return (
            record,
            self._components(parts[0]),
            records.text(parts[1]),
            records.text(parts[2]),
            self._components(parts[3]) if record.operation != 19 else records.text(parts[3]),
            self._components(parts[4]),
        )

    def _open(self, head: Head, data: bytes, offset: int, found: Found) -> None:
        record, path, asked, _, cwd, _ = self._file(data, offset)
        entry, container = self._actor(head)
        if not path:
            path = _join(cwd, asked)
        form = _DEVICES.get(record.mode & 0o170000, "")
        if form and not record.flags & (OPEN_WRITES | 3):
            found.append(
                SensitiveRead(**self._base(head, entry, container), path=path, inode=record.inode, file_type=form)
            )
            return
        writes = bool(record.flags & (OPEN_WRITES | 3))
        found.append(
            FileOpen(
                **self._base(head, entry, container),
                path=path,
                flags=record.flags & (OPEN_SCRIPT - 1),
                writes=writes,
                creates=bool(record.flags & OPEN_CREATED),
                truncates=bool(record.flags & 0o1000),
                asked=asked if asked != path else "",
                mode=record.mode & 0o7777,
                inode=record.inode,
                device=record.device,
                origin=ORIGINS[record.origin],
            )
        )
        if path.endswith("/mem") and path.startswith("/proc/") and writes:
            self._memory_opened(head, entry, container, path, asked, found)

    def _memory_opened(
        self, head: Head, entry: Entry, container: Container | None, path: str, asked: str, found: Found
    ) -> None:
        """Another process's memory, opened for writing through /proc: the same as writing it by a call."""
        pid, where = self._proc_target(path, asked, entry)
        if pid == entry.pid or not pid:
            return
        target = self.processes.peek(pid)
        found.append(
            ProcessVmWrite(
                **self._base(head, entry, container),
                target_pid=pid,
                target_exe=target.exe if target is not None else "",
                target_container=where,
                size_bytes=0,
            )
        )

    def _read(self, head: Head, data: bytes, offset: int, found: Found) -> None:
        record, path, asked, _, _, _ = self._file(data, offset)
        entry, container = self._actor(head)
        if record.flags & OPEN_SCRIPT:
            if container is not None and (
                entry.script in (path, _join("" if asked.startswith("/") else entry.cwd, asked))
                or sources(entry.args, asked)
            ):
                entry.script_drift, entry.process = True, None
                found.append(
                    ScriptRun(
                        **self._base(head, entry, container),
                        path=path,
                        origin=ORIGINS[record.origin],
                        asked=asked if asked != path else "",
                    )
                )
            return
        target_pid, target_container = self._proc_target(path, asked, entry)
        found.append(
            SensitiveRead(
                **self._base(head, entry, container),
                path=path,
                asked=asked if asked != path else "",
                inode=record.inode,
                target_pid=target_pid,
                target_container=target_container,
            )
        )

    def _proc_target(self, path: str, asked: str, entry: Entry) -> tuple[int, str]:
        """Return whose /proc folder a path leads into: (pid on the node, container id)."""
        for text in (path, asked):
            parts = text.split("/")
            if len(parts) > 3 and parts[1] == "proc":
                if parts[2] in ("self", "thread-self"):
                    return entry.pid, ""
                if parts[2].isdecimal():
                    return self._target(int(parts[2]), entry)
        return 0, ""

    def _target(self, pid: int, entry: Entry) -> tuple[int, str]:
        """Return the process that `entry` means by `pid`, a number in its own pid namespace, and its container."""
        target: Entry | None = None
        if entry.mnt_ns == self.host.mount_namespace or entry.ns_pid == entry.pid:
            target = self.processes.peek(pid)
        else:
            for each in self.processes.running():
                if each.cgroup == entry.cgroup and each.ns_pid == pid:
                    target = each
                    break
        if target is None:
            return (pid, "") if entry.ns_pid == entry.pid else (0, "")
        container = self.containers.find(target.cgroup, target) if target.cgroup else None
        return target.pid, container.context.id if container is not None else ""

    def _in_use(self, head: Head, data: bytes, offset: int, _found: Found) -> None:
        _, path, *_ = self._file(data, offset)
        _, container = self._actor(head)
        if container is not None:
            self._on_file_used(container, path, False)

    def _path(self, head: Head, data: bytes, offset: int, found: Found) -> None:
        record, path, asked, target, cwd, target_cwd = self._file(data, offset)
        entry, container = self._actor(head)
        base = self._base(head, entry, container)
        path = path or _join(cwd, asked)
        target = _join(target_cwd, target)
        if head.kind == Kind.UNLINK:
            found.append(FileUnlink(**base, path=path, directory=bool(record.flags)))
        elif head.kind == Kind.RENAME:
            found.append(FileRename(**base, path=path, target=target))
        elif head.kind == Kind.CHMOD:
            mode = record.mode & 0o7777
            found.append(
                FileChmod(**base, path=path, mode=mode, directory=bool(mode & 0o6000) and self._is_folder(head, path))
            )
        else:
            symbolic = bool(record.flags)
            found.append(FileLink(**base, path=asked if symbolic else path, target=target, symbolic=symbolic))

    def _is_folder(self, head: Head, path: str) -> bool:
        """Whether a path, as `head`'s process sees it, is a folder now; not when it can not be looked at any more."""
        root = "" if head.mnt_ns == self.host.mount_namespace else f"{self.host.proc}/{head.pid}/root"
        try:
            return stat.S_ISDIR(os.lstat(root + path).st_mode)
        except (OSError, ValueError):
            return False

    def _mount(self, head: Head, data: bytes, offset: int, found: Found) -> None:
        record, _, asked, target, filesystem, _ = self._file(data, offset)
        entry, container = self._actor(head)
        found.append(
            Mount(
                **self._base(head, entry, container),
                source=asked,
                target=target,
                filesystem=filesystem if record.operation == 19 else "",
                flags=record.flags,
                unmount=record.operation == 20,
            )
        )

    def _enforced(self, head: Head, data: bytes, offset: int, found: Found) -> None:
        record, path, *_ = self._file(data, offset)
        entry, container = self._actor(head)
        found.append(
            Enforced(
                **(self._base(head, entry, container) | {"result": 1}),
                policy=self._policy_name(head.cgroup),
                action=_ACTIONS.get(head.result, "block"),
                reason=_REASONS.get(record.operation, ""),
                path=path,
            )
        )

    # Network.

    def _net(self, head: Head, data: bytes, offset: int, found: Found) -> None:
        record = Net._make(records.NET.unpack_from(data, offset + HEAD.size))
        entry, container = self._actor(head)
        base = self._base(head, entry, container)
        kind = head.kind
        if record.peer_family == 1:
            at = offset + HEAD.size + records.NET.size
            path = self._components(data[at : at + record.path_bytes])
            found.append(Connect(**base, family="unix", protocol="unix", address=path))
            return
        peer = _address(record.peer, record.peer_family)
        local = _address(record.local, record.local_family)
        family = "inet6" if ":" in (peer or local) else "inet"
        protocol = _PROTOCOLS.get(record.protocol, str(record.protocol))
        scope = container.context.id if container is not None else ""
        host = self._names.get((scope, peer), "")
        if kind == Kind.CONNECT:
            found.append(
                Connect(
                    **base, family=family, address=peer, port=record.peer_port, protocol=protocol, source_address=local,
                    source_port=record.local_port, host=host,
                )
            )  # fmt: skip
        elif kind == Kind.ACCEPT:
            found.append(
                Accept(
                    **base, family=family, address=peer, port=record.peer_port, local_address=local,
                    local_port=record.local_port,
                )
            )  # fmt: skip
        elif kind == Kind.LISTEN:
            family = "inet6" if record.local_family == 10 else "inet"
            found.append(Listen(**base, family=family, address=local, port=record.local_port, protocol=protocol))
        elif kind == Kind.UDP_SEND:
            found.append(UdpSend(**base, family=family, address=peer, port=record.peer_port))
        elif kind == Kind.FLOW:
            found.append(
                Flow(
                    **base, address=peer, port=record.peer_port, protocol=protocol, sent_bytes=record.sent_bytes,
                    received_bytes=record.received_bytes, duration_ns=record.duration_ns, host=host,
                )
            )  # fmt: skip
        else:
            found.append(
                Enforced(
                    **base, policy=self._policy_name(head.cgroup), action=_ACTIONS.get(head.result, "audit"),
                    reason="network", address=peer, port=record.peer_port,
                )
            )  # fmt: skip

    def _dns(self, head: Head, data: bytes, offset: int, found: Found) -> None:
        server, family, port, transport, size, answer, *_ = records.DNS.unpack_from(data, offset + HEAD.size)
        at = offset + HEAD.size + records.DNS.size
        tcp = transport == 6
        message = dns.parse(data[at : at + min(size, 1024)], whole_bytes=size, tcp=tcp)
        if tcp and size < 14:
            return  # a segment that is only part of a message
        entry, container = self._actor(head)
        address = _address(server, family)
        common: dict[str, Any] = {
            **self._base(head, entry, container),
            "name": message.name,
            "type": message.type,
            "server": address,
            "port": port,
            "transport": "tcp" if tcp else "udp",
            "size_bytes": size,
            "malformed": message.malformed,
        }
        if not answer:
            found.append(DnsQuery(**common, opcode=message.opcode))
            return
        scope = container.context.id if container is not None else ""
        for kind, value in message.answers:
            if kind in ("A", "AAAA"):
                self._names[scope, value] = message.name
                if len(self._names) > 8192:
                    self._names.popitem(last=False)
        found.append(DnsAnswer(**common, rcode=message.rcode, answers=message.answers, ttl_s=message.ttl_s))

    # The kernel and other processes.

    def _kernel(self, head: Head, data: bytes, offset: int, found: Found) -> None:
        record = Kernel._make(records.KERNEL.unpack_from(data, offset + HEAD.size))
        at = offset + HEAD.size + records.KERNEL.size
        text = records.text(data[at : at + record.text_bytes])
        entry, container = self._actor(head)
        base = self._base(head, entry, container)
        kind = head.kind
        if kind == Kind.SIGNAL:
            target = self.processes.peek(record.target_pid)
            exe = target.exe if target is not None else ""
            where = ""
            if target is not None or record.target_cgroup:
                seen = target or Entry(record.target_pid)
                other = self.containers.find(record.target_cgroup, seen)
                where = other.context.id if other is not None else ""
            found.append(
                Signal(
                    **base,
                    signal=record.operation,
                    target_pid=record.target_pid,
                    target_exe=exe,
                    target_container=where,
                )
            )
        elif kind == Kind.CREDENTIALS:
            found.append(
                CredentialChange(
                    **base, operation=_CREDENTIAL_CALLS.get(record.operation, "kernel"), previous_uid=record.previous_uid,
                    previous_euid=record.previous_euid, previous_caps=record.previous_caps,
                )
            )  # fmt: skip
        elif kind == Kind.NAMESPACE:
            names = tuple(name for flag, name in _NAMESPACES if record.value & flag)
            found.append(
                NamespaceChange(**base, operation=_NAMESPACE_CALLS.get(record.operation, "clone"), namespaces=names)
            )
        elif kind == Kind.PTRACE:
            request, inner = record.value & 0xFFFFFFFF, record.value >> 32
            if request == 0:
                pid, where = entry.ppid, ""
            elif inner:
                pid, where = inner, ""
                target = self.processes.peek(inner)
                if target is not None and target.cgroup:
                    other = self.containers.find(target.cgroup, target)
                    where = other.context.id if other is not None else ""
            else:
                pid, where = self._target(record.target_pid, entry)
            target = self.processes.peek(pid)
            found.append(
                Ptrace(
                    **base, request=_REQUESTS.get(request, f"request{request}"), target_pid=pid,
                    target_exe=target.exe if target is not None else "", target_container=where,
                )
            )  # fmt: skip
        elif kind == Kind.VM_WRITE:
            pid, where = self._target(record.target_pid, entry)
            target = self.processes.peek(pid)
            found.append(
                ProcessVmWrite(
                    **base, target_pid=pid or record.target_pid, target_exe=target.exe if target is not None else "",
                    target_container=where, size_bytes=record.size_bytes,
                )
            )  # fmt: skip
        elif kind == Kind.MODULE:
            if record.operation != 37:
                loaded = record.operation == 0
                found.append(
                    ModuleLoad(
                        **base,
                        name=text.partition(".ko")[0] if not loaded else text,
                        path=text if record.operation == 36 else "",
                    )
                )
        elif kind == Kind.BPF:
            known = record.value < len(_BPF_TYPES)
            found.append(
                BpfLoad(**base, program_type=_BPF_TYPES[record.value] if known else f"type{record.value}", name=text)
            )
        elif kind == Kind.SOCKET:
            family, form = record.value >> 32, record.value & 15
            found.append(
                RawSocket(
                    **base,
                    family={17: "packet", 2: "inet", 10: "inet6"}.get(family, str(family)),
                    protocol=_swap(record.size_bytes) if family == 17 else record.size_bytes,
                    dgram=form == 2,
                )
            )

    def _io_uring(self, head: Head, data: bytes, offset: int, found: Found) -> None:
        entry, container = self._actor(head)
        if head.size and head.size < HEAD.size + records.NET.size:
            # The set-up comes as a system call, with the shorter record.
            found.append(IoUring(**self._base(head, entry, container), operation="setup"))
            return
        record = Net._make(records.NET.unpack_from(data, offset + HEAD.size))
        at = offset + HEAD.size + records.NET.size
        asked = records.text(data[at : at + record.path_bytes])
        operation = _URING.get(record.protocol, str(record.protocol))
        path = _join("" if asked.startswith("/") else entry.cwd, asked) if asked else ""
        writes = operation in ("openat", "openat2") and bool(record.sent_bytes & 3)
        address = _address(record.peer, record.peer_family)
        base = self._base(head, entry, container)
        found.append(
            IoUring(**base, operation=operation, path=path, address=address, port=record.peer_port, writes=writes)
        )
        if operation.startswith("openat"):
            base["seq"] = self._next()
            if writes:
                found.append(FileOpen(**base, path=path, flags=record.sent_bytes & 0x3FFFFFFF, writes=True))
            elif sensitive.NAMES.get(path.rpartition("/")[2]) == sensitive.ALWAYS:
                found.append(SensitiveRead(**base, path=path))
        elif operation == "connect" and address:
            base["seq"] = self._next()
            family = "inet6" if ":" in address else "inet"
            found.append(Connect(**base, family=family, address=address, port=record.peer_port))

    def _cgroup_made(self, data: bytes, offset: int) -> None:
        record = Kernel._make(records.KERNEL.unpack_from(data, offset + HEAD.size))
        if record.operation != 1 or (record.size_bytes != self.host.hierarchy and self.host.hierarchy):
            return
        at = offset + HEAD.size + records.KERNEL.size
        self.containers.learn(record.value, records.text(data[at : at + record.text_bytes]))
        self.containers.adopt(record.value)

    def _cgroup(self, head: Head, data: bytes, offset: int, found: Found) -> None:
        record = Kernel._make(records.KERNEL.unpack_from(data, offset + HEAD.size))
        if record.operation == 1 or (record.size_bytes != self.host.hierarchy and self.host.hierarchy):
            return  # new ones were taken in ahead of their batch
        self._on_cgroup_gone(record.value)
        container = self.containers.forget(record.value)
        if container is None or not container.announced:
            return
        self.seq += 1
        found.append(
            ContainerStop(
                ts_ns=head.ts_ns + self.offset_ns,
                process=NO_PROCESS,
                container=container.context,
                node=self.host.node,
                cluster=self.cluster,
                boot=self.host.boot,
                seq=self.seq,
                exit_code=container.exit_code,
            )
        )


def _join(base: str, path: str) -> str:
    """Return the absolute, normalised form of a path that a process gave; links in it are not followed.

    `base` is where it begins: the folder of a relative path, the chosen root of an absolute one.
    """
    if not path:
        return ""
    found = os.path.normpath(f"{base}/{path}")
    return found[1:] if found.startswith("//") else found


def _address(raw: bytes, family: int) -> str:
    if family == 2:
        return f"{raw[0]}.{raw[1]}.{raw[2]}.{raw[3]}"
    if family == 10:
        found = ipaddress.IPv6Address(raw)
        return str(found.ipv4_mapped or found)
    return ""


def _swap(value: int) -> int:
    return (value & 0xFF) << 8 | value >> 8 & 0xFF


# A pattern that begins with one certain byte is looked for at these bytes only: ten times as fast as one that does not.
_WATCHED_BYTES = re.compile(b"\0(?:" + b"|".join(sorted(name.encode() for name in WATCHED_VARIABLES)) + b")=").search


def _environment(raw: bytes) -> dict[str, str]:
    if not raw or _WATCHED_BYTES(b"\0" + raw) is None:
        return {}
    found: dict[str, str] = {}
    parts: Sequence[bytes] = raw.split(b"\0")
    for part in parts:
        name, _, value = part.partition(b"=")
        word = name.decode("ascii", "replace")
        if word in WATCHED_VARIABLES:
            found[word] = value[:512].decode("utf-8", "replace")
    return found
