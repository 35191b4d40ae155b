"""What reaches into the kernel or into other processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seawall.domain.runtime_events import (
    BpfLoad,
    Connect,
    CredentialChange,
    FileOpen,
    IoUring,
    KernelCall,
    ModuleLoad,
    NamespaceChange,
    ProcessVmWrite,
    Ptrace,
    RawSocket,
    RuntimeEvent,
    SensitiveRead,
    Signal,
)

from seawall_sensor import records, sensitive
from seawall_sensor.decode.enricher import Enricher, Found, Handler, address, joined
from seawall_sensor.processes import Entry
from seawall_sensor.records import HEAD, Head, Kernel, Kind, Net

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
_BPF_TYPES = (
    "unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event", "cgroup_skb",
    "cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint",
    "cgroup_sock_addr", "lwt_seg6local", "lirc_mode2", "sk_reuseport", "flow_dissector", "cgroup_sysctl",
    "raw_tracepoint_writable", "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm", "sk_lookup", "syscall", "netfilter",
)  # fmt: skip
_URING = {13: "accept", 16: "connect", 18: "openat", 28: "openat2", 35: "renameat", 36: "unlinkat", 37: "mkdirat",
          38: "symlinkat", 39: "linkat", 45: "socket"}  # fmt: skip
_FAMILIES = {17: "packet", 2: "inet", 10: "inet6"}
_FURTHER_CALLS = {50: "userfaultfd", 51: "pidfd_getfd", 52: "kexec_load", 53: "kexec_file_load"}
_MODULE_REQUESTED = 37
"""Operation of a module record that only says the kernel asked for one."""

_Make = Callable[[Enricher, Kernel, str, Entry, dict[str, Any]], "RuntimeEvent | None"]
"""From a record, its text, the acting process and the fields of every event to the event; None = it says nothing new."""


def _signal(enricher: Enricher, record: Kernel, _text: str, _entry: Entry, base: dict[str, Any]) -> RuntimeEvent:
    target = enricher.processes.peek(record.target_pid)
    where = ""
    if target is not None or record.target_cgroup:
        other = enricher.containers.find(record.target_cgroup, target or Entry(record.target_pid))
        where = other.context.id if other is not None else ""
    return Signal(
        **base,
        signal=record.operation,
        target_pid=record.target_pid,
        target_exe=target.exe if target is not None else "",
        target_container=where,
    )


def _credentials(_: Enricher, record: Kernel, _text: str, _entry: Entry, base: dict[str, Any]) -> RuntimeEvent:
    return CredentialChange(
        **base,
        operation=_CREDENTIAL_CALLS.get(record.operation, "kernel"),
        previous_uid=record.previous_uid,
        previous_euid=record.previous_euid,
        previous_caps=record.previous_caps,
    )


def _namespace(_: Enricher, record: Kernel, _text: str, _entry: Entry, base: dict[str, Any]) -> RuntimeEvent:
    names = tuple(name for flag, name in _NAMESPACES if record.value & flag)
    return NamespaceChange(**base, operation=_NAMESPACE_CALLS.get(record.operation, "clone"), namespaces=names)


def _ptrace(enricher: Enricher, record: Kernel, _text: str, entry: Entry, base: dict[str, Any]) -> RuntimeEvent:
    request, inner = record.value & 0xFFFFFFFF, record.value >> 32
    if request == 0:
        pid, where = entry.ppid, ""
    elif inner:
        target = enricher.processes.peek(inner)
        pid, where = inner, enricher.container_id_of(target) if target is not None else ""
    else:
        pid, where = enricher.target(record.target_pid, entry)
    target = enricher.processes.peek(pid)
    return Ptrace(
        **base,
        request=_REQUESTS.get(request, f"request{request}"),
        target_pid=pid,
        target_exe=target.exe if target is not None else "",
        target_container=where,
    )


def _vm_write(enricher: Enricher, record: Kernel, _text: str, entry: Entry, base: dict[str, Any]) -> RuntimeEvent:
    pid, where = enricher.target(record.target_pid, entry)
    target = enricher.processes.peek(pid)
    return ProcessVmWrite(
        **base,
        target_pid=pid or record.target_pid,
        target_exe=target.exe if target is not None else "",
        target_container=where,
        size_bytes=record.size_bytes,
    )


def _module(_: Enricher, record: Kernel, text: str, _entry: Entry, base: dict[str, Any]) -> RuntimeEvent | None:
    if record.operation == _MODULE_REQUESTED:
        return None
    loaded = record.operation == 0
    return ModuleLoad(
        **base, name=text if loaded else text.partition(".ko")[0], path=text if record.operation == 36 else ""
    )


def _bpf(_: Enricher, record: Kernel, text: str, _entry: Entry, base: dict[str, Any]) -> RuntimeEvent:
    known = record.value < len(_BPF_TYPES)
    return BpfLoad(**base, program_type=_BPF_TYPES[record.value] if known else f"type{record.value}", name=text)


def _raw_socket(_: Enricher, record: Kernel, _text: str, _entry: Entry, base: dict[str, Any]) -> RuntimeEvent:
    family, form = record.value >> 32, record.value & 15
    return RawSocket(
        **base,
        family=_FAMILIES.get(family, str(family)),
        protocol=_swap(record.size_bytes) if family == 17 else record.size_bytes,
        dgram=form == 2,
    )


def _kernel_call(enricher: Enricher, record: Kernel, _text: str, _entry: Entry, base: dict[str, Any]) -> RuntimeEvent:
    target = enricher.processes.peek(record.target_pid) if record.target_pid else None
    return KernelCall(
        **base,
        call=_FURTHER_CALLS[record.operation],
        flags=record.value & 0xFFFFFFFF,
        target_pid=record.target_pid,
        target_exe=target.exe if target is not None else "",
        target_container=enricher.container_id_of(target) if target is not None else "",
    )


def _swap(value: int) -> int:
    return (value & 0xFF) << 8 | value >> 8 & 0xFF


_MAKE: dict[int, _Make] = {
    Kind.SIGNAL: _signal, Kind.CREDENTIALS: _credentials, Kind.NAMESPACE: _namespace, Kind.PTRACE: _ptrace,
    Kind.VM_WRITE: _vm_write, Kind.MODULE: _module, Kind.BPF: _bpf, Kind.SOCKET: _raw_socket,
    Kind.KERNEL_CALL: _kernel_call,
}  # fmt: skip


def reached(enricher: Enricher, head: Head, data: bytes, found: Found) -> None:
    """A `kernel_record` of any kind but cgroups and forks."""
    record = Kernel._make(records.KERNEL.unpack_from(data, HEAD.size))
    at = HEAD.size + records.KERNEL.size
    text = records.text(data[at : at + record.text_bytes])
    entry, container = enricher.actor(head)
    event = _MAKE[head.kind](enricher, record, text, entry, enricher.base(head, entry, container))
    if event is not None:
        found.append(event)


def io_uring(enricher: Enricher, head: Head, data: bytes, found: Found) -> None:
    """A ring set up, or a request through one: also told as what the same system call would be."""
    entry, container = enricher.actor(head)
    if head.size and head.size < HEAD.size + records.NET.size:
        # The set-up comes as a system call, with the shorter record.
        found.append(IoUring(**enricher.base(head, entry, container), operation="setup"))
        return
    record = Net._make(records.NET.unpack_from(data, HEAD.size))
    at = HEAD.size + records.NET.size
    asked = records.text(data[at : at + record.path_bytes])
    operation = _URING.get(record.protocol, str(record.protocol))
    path = joined("" if asked.startswith("/") else entry.cwd, asked) if asked else ""
    writes = operation in ("openat", "openat2") and bool(record.sent_bytes & 3)
    peer = address(record.peer, record.peer_family)
    base = enricher.base(head, entry, container)
    found.append(IoUring(**base, operation=operation, path=path, address=peer, port=record.peer_port, writes=writes))
    if operation.startswith("openat"):
        base["seq"] = enricher.next_seq()
        if writes:
            found.append(FileOpen(**base, path=path, flags=record.sent_bytes & 0x3FFFFFFF, writes=True))
        elif sensitive.NAMES.get(path.rpartition("/")[2]) == sensitive.ALWAYS:
            found.append(SensitiveRead(**base, path=path))
    elif operation == "connect" and peer:
        base["seq"] = enricher.next_seq()
        family = "inet6" if ":" in peer else "inet"
        found.append(Connect(**base, family=family, address=peer, port=record.peer_port))


HANDLERS: dict[int, Handler] = {**dict.fromkeys(_MAKE, reached), Kind.IO_URING: io_uring}
