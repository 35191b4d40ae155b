"""The records of `sensor/bpf/records.h`: layouts and constants. `tests/sensor/test_layout.py` compares them with BTF."""

from __future__ import annotations

import re
import struct
from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """`enum kind`: what a record is; also the bit that switches it."""

    EXEC = 1
    EXIT = 2
    FORK = 3
    OPEN = 4
    RENAME = 5
    UNLINK = 6
    CHMOD = 7
    LINK = 8
    MOUNT = 9
    CONNECT = 10
    ACCEPT = 11
    LISTEN = 12
    UDP_SEND = 13
    DNS = 14
    SOCKET = 15
    PTRACE = 16
    NAMESPACE = 17
    CREDENTIALS = 18
    MODULE = 19
    BPF = 20
    IO_URING = 21
    SIGNAL = 22
    VM_WRITE = 23
    CGROUP = 24
    IN_USE = 25
    ENFORCED = 26
    FLOW = 27
    READ = 28
    BLOCKED = 29
    TIMES = 30
    FILE_CAPS = 31
    KERNEL_CALL = 32


KINDS = 64

ORIGINS = ("", "image", "upper", "memfd", "tmpfs", "bind", "host")
"""`enum origin`, in the words of `Process.origin`."""

DRIFTED = frozenset({2, 3, 4, 5})
"""Origins of a file that was not in the image."""

EXE_DELETED, EXE_GAINED, EXE_SCRIPT, EXE_ARGS_CUT, EXE_ENV_CUT = 1, 2, 4, 8, 16
OPEN_SCRIPT, OPEN_WRITES, OPEN_CREATED = 1 << 29, 1 << 30, 1 << 31
"""Set in `flags` of a file record beside open(2)'s own."""

STDIO = {0: "closed", 1: "pipe", 4: "file", 6: "file", 8: "file", 12: "unix", 13: "null", 14: "socket", 15: "tty"}
"""`stdio` of an exec record, in the words of `ProcessExec.stdio`."""

OPTIONS = struct.Struct("<QQQIIiI")
"""`struct options`: kinds, fold_ns, flow_bytes, self_pid, host_mnt_ns, cgroup_subsystem."""

CONTROL = struct.Struct("<QII")
"""`struct control`: shed, enforcing."""

POLICY = struct.Struct("<IBBBB")
NETWORK_KEY = struct.Struct("<IIH16sH")
LISTED_KEY = struct.Struct("<I28s")

PORT_RANGE = struct.Struct("<2H2BH")
"""`struct port_range`: low, high, deny, used."""

PORT_RANGES = 16

HEAD = struct.Struct("<4Q8I16si2H2I")
EXEC = struct.Struct("<2Q2q5Ii2I2B3sB5H16s2H16sI")
ANCESTOR = struct.Struct("<Q2I16s")
EXIT = struct.Struct("<Q2I")
FILE = struct.Struct("<Q4I5H2BI")
NET = struct.Struct("<3Q16s2H16s2H2HI")
KERNEL = struct.Struct("<3Q3I2HQ")
DNS = struct.Struct("<16s2H6H")

EXEC_BYTES = HEAD.size + EXEC.size + 8 * ANCESTOR.size

SHORT, WORD, LONG = struct.Struct("<H").unpack_from, struct.Struct("<I").unpack_from, struct.Struct("<Q").unpack_from
START_AT, CGROUP_AT, PID_AT, PPID_AT, COMM_AT, CPU_AT, KIND_AT, NAMESPACE_AT = 8, 16, 32, 40, 64, 84, 86, 88
"""Places in `struct head`, for a look before the whole of it is read."""

NS_PID_AT = HEAD.size + 56
"""Place in `struct exec_record`."""

TAIL_AT = KIND_AT
"""From here on a record is the same whenever what happened is the same, whoever did it and when."""


_FIELD = re.compile(r"(\d*)([A-Za-z])")


def _places(form: struct.Struct, at: int = 0) -> list[int]:
    """Return where each field of a format begins, then where it ends; `at` is where it begins itself."""
    found = []
    for number, code in _FIELD.findall(form.format):
        fields = [f"{number}s"] if code == "s" else [code] * int(number or 1)
        for field in fields:
            found.append(at)
            at += struct.calcsize(f"<{field}")
    return [*found, at]


def layout() -> bytes:
    """Return what `sensor/bpf/layout.h` says when objects and decoder are of one version."""
    after_head = [place for form in (EXEC, ANCESTOR, EXIT, FILE, NET, KERNEL, DNS)
                  for place in _places(form, 0 if form is ANCESTOR else HEAD.size)]  # fmt: skip
    numbers = [KINDS, *_places(HEAD), *after_head]
    return struct.pack(f"<{len(numbers)}H", *numbers)


class Head(NamedTuple):
    """`struct head`."""

    ts_ns: int
    start_ns: int
    cgroup: int
    caps: int
    pid: int
    tid: int
    ppid: int
    uid: int
    euid: int
    gid: int
    user_ns: int
    folded: int
    comm: bytes
    result: int
    cpu: int
    kind: int
    mnt_ns: int
    size: int


class Exec(NamedTuple):
    """What `struct exec_record` has after its head, without the ancestors."""

    inode: int
    size_bytes: int
    mtime_s: int
    ctime_s: int
    mtime_ns: int
    ctime_ns: int
    device: int
    mode: int
    session: int
    loginuid: int
    ns_pid: int
    previous_uid: int
    origin: int
    flags: int
    stdio: bytes
    ancestors: int
    path_bytes: int
    cwd_bytes: int
    asked_bytes: int
    args_bytes: int
    env_bytes: int
    peer: bytes
    peer_family: int
    peer_port: int
    tty: bytes
    stdin_origin: int


class File(NamedTuple):
    """What `struct file_record` has after its head. Texts follow: path, asked, target, cwd, target_cwd."""

    inode: int
    device: int
    flags: int
    mode: int
    previous_mode: int
    path_bytes: int
    asked_bytes: int
    target_bytes: int
    cwd_bytes: int
    target_cwd_bytes: int
    origin: int
    operation: int
    filesystem: int


class Net(NamedTuple):
    """What `struct net_record` has after its head. The path of a unix socket follows."""

    sent_bytes: int
    received_bytes: int
    duration_ns: int
    peer: bytes
    peer_family: int
    peer_port: int
    local: bytes
    local_family: int
    local_port: int
    protocol: int
    path_bytes: int
    unused: int


class Kernel(NamedTuple):
    """What `struct kernel_record` has after its head. A text follows."""

    value: int
    size_bytes: int
    previous_caps: int
    target_pid: int
    previous_uid: int
    previous_euid: int
    operation: int
    text_bytes: int
    target_cgroup: int


def text(raw: bytes) -> str:
    """Return what stands before the first NUL."""
    return raw.partition(b"\0")[0].decode("utf-8", "replace")


def path(raw: bytes) -> str:
    """Return the absolute path of components that come last first, each ending in NUL."""
    parts = raw.split(b"\0")
    if parts and not parts[-1]:
        parts.pop()
    if len(parts) == 1 and parts[0].startswith(b"memfd:"):
        return parts[0].decode("utf-8", "replace")
    if parts and parts[-1] == b"/":
        parts.pop()
    return "/" + b"/".join(reversed(parts)).decode("utf-8", "replace")
