"""Who runs on the node: a bounded cache of processes, filled from `/proc` at the start and from exec records after.

An event carries the pid, the start of the process and its parent; everything else (path, arguments, ancestors) is looked
up here. A process that never called exec takes over what its parent ran.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass

from seawall.domain.runtime_events import Ancestor, Process

from seawall_sensor.host import read_text
from seawall_sensor.records import ANCESTOR, EXE_ARGS_CUT, EXE_DELETED, ORIGINS, Exec, Head, text

MAX_ARGUMENTS, MAX_ARGUMENT_CHARACTERS = 128, 8192
MAX_ANCESTORS = 16
MONITORS = ("conmon", "containerd-shim", "crio-conmon")
INITIAL_USER_NAMESPACE = 0xEFFFFFFD
"""PROC_USER_INIT_INO (linux/proc_ns.h)."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True, eq=False)
class Entry:
    """One process. `cgroup` is where it was last seen; `ended` orders removal."""

    pid: int
    start_ns: int = 0
    ppid: int = 0
    exe: str = ""
    args: tuple[str, ...] = ()
    args_truncated: bool = False
    cwd: str = ""
    uid: int = 0
    tty: str = ""
    session: int = 0
    loginuid: int = -1
    ns_pid: int = 0
    origin: str = ""
    drift: bool = False
    deleted: bool = False
    inode: int = 0
    device: int = 0
    size_bytes: int = 0
    mode: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    cgroup: int = 0
    mnt_ns: int = 0
    execs: int = 0
    ended: bool = False
    entered: bool = False
    script: str = ""
    script_drift: bool = False
    listens: bool = False
    key: tuple[int, ...] = ()
    process: Process | None = None
    above: tuple[Ancestor, ...] | None = None
    short: Ancestor | None = None

    def as_ancestor(self) -> Ancestor:
        """Return the short form: at most 16 arguments with 512 characters together."""
        if self.short is not None and self.short.start_ns == self.start_ns:
            return self.short
        arguments, room = [], 512
        for argument in self.args[:16]:
            if room <= 0:
                break
            arguments.append(argument[:room])
            room -= len(argument)
        self.short = Ancestor(self.pid, self.exe, tuple(arguments), self.start_ns, self.uid, self.listens)
        return self.short

    def now_listens(self) -> None:
        """It listens from now on; what it starts will say so."""
        self.listens, self.short = True, None


class ProcessCache:
    """Processes by pid, at most `limit`; ended ones go first, then those not seen for longest."""

    def __init__(self, limit: int = 16384, proc: str = "/proc") -> None:
        self.limit, self._proc = limit, proc
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._ended: OrderedDict[int, None] = OrderedDict()
        self._filled: set[bytes] = set()
        """Ancestors, as records have them, that were looked for: those of a loop's programs are all the same."""
        self.own_mnt_ns = _namespace(proc, "self", "mnt")

    def __len__(self) -> int:
        return len(self._entries)

    def rebuild(self) -> None:
        """Read what runs already."""
        for name in os.listdir(self._proc):
            if name.isdecimal():
                self._from_proc(int(name))

    def running(self) -> list[Entry]:
        """Return the entries of processes that have not ended."""
        return [entry for entry in self._entries.values() if not entry.ended]

    def peek(self, pid: int) -> Entry | None:
        """Return what is known of a pid, without looking further."""
        return self._entries.get(pid)

    def find(self, head: Head) -> Entry:
        """Return the process of a record: known, made from its parent, or read from `/proc`."""
        entry = self._entries.get(head.pid)
        if entry is not None and (entry.start_ns == head.start_ns or abs(entry.start_ns - head.start_ns) < 20_000_000):
            if entry.start_ns != head.start_ns:
                entry.start_ns, entry.process = head.start_ns, None  # /proc rounds to ticks
            if entry.ppid != head.ppid:
                entry.ppid, entry.above, entry.process = head.ppid, None, None
            return entry
        parent = self._entries.get(head.ppid)
        if parent is not None and parent.exe and head.pid != head.ppid:
            entry = Entry(
                head.pid, head.start_ns, head.ppid, parent.exe, parent.args, parent.args_truncated, parent.cwd, head.uid,
                parent.tty, parent.session, parent.loginuid, 0, parent.origin, parent.drift, parent.deleted, parent.inode,
                parent.device, parent.size_bytes, parent.mode, parent.mtime_ns, parent.ctime_ns, head.cgroup, head.mnt_ns,
            )  # fmt: skip
        else:
            found = self._from_proc(head.pid)
            if found is not None and abs(found.start_ns - head.start_ns) < 20_000_000:
                found.start_ns = head.start_ns
                entry = found
            else:
                entry = Entry(head.pid, head.start_ns, head.ppid, text(head.comm), uid=head.uid)
            entry.cgroup, entry.mnt_ns = head.cgroup, head.mnt_ns
        self._put(entry)
        return entry

    def executed(self, head: Head, record: Exec, path: str, cwd: str, args: tuple[str, ...], above: bytes) -> Entry:
        """Take an exec in: `path`, `cwd` and `args` decoded, `above` the record's ancestors as bytes."""
        self._fill_ancestors(above, record.ancestors)
        before = self._entries.get(head.pid)
        entry = Entry(
            head.pid, head.start_ns, head.ppid, path, args, bool(record.flags & EXE_ARGS_CUT), cwd, head.uid,
            text(record.tty), record.session, -1 if record.loginuid == -1 else record.loginuid, record.ns_pid,
            ORIGINS[record.origin], False, bool(record.flags & EXE_DELETED), record.inode, record.device,
            record.size_bytes, record.mode, record.mtime_s * 10**9 + record.mtime_ns,
            record.ctime_s * 10**9 + record.ctime_ns, head.cgroup, head.mnt_ns,
        )  # fmt: skip
        if before is not None and before.start_ns == head.start_ns:
            entry.execs = before.execs + 1
        self._put(entry)
        return entry

    def stand_above(self, entry: Entry) -> bool:
        """Whether the ancestors of a process are still who they were when they were asked for."""
        known = self._entries.get
        for above in entry.above or ():
            now = known(above.pid)
            if now is None or now.short is not above:
                return False
        return True

    def started_again(self, first: Entry, pid: int, start_ns: int, ns_pid: int, previous: str) -> bool:
        """Take in an exec that is equal to that of `first`, which ran `previous` before; False when this one did not."""
        before, execs = self._entries.get(pid), 0
        if before is not None and before.start_ns == start_ns:
            if before.exe != previous:
                return False
            execs = before.execs + 1
        self._put(
            Entry(
                pid, start_ns, first.ppid, first.exe, first.args, first.args_truncated, first.cwd, first.uid, first.tty,
                first.session, first.loginuid, ns_pid, first.origin, first.drift, first.deleted, first.inode, first.device,
                first.size_bytes, first.mode, first.mtime_ns, first.ctime_ns, first.cgroup, first.mnt_ns, execs,
                entered=first.entered, script=first.script, above=first.above,
            )
        )  # fmt: skip
        return True

    def ended(self, pid: int) -> None:
        """Keep an ended process for a while: its last events and its children's may still come."""
        entry = self._entries.get(pid)
        if entry is not None:
            entry.ended = True
            self._ended[pid] = None
            if len(self._ended) > self.limit // 4:
                old, _ = self._ended.popitem(last=False)
                if (gone := self._entries.get(old)) is not None and gone.ended:
                    del self._entries[old]

    def ancestors(self, entry: Entry) -> tuple[Ancestor, ...]:
        """Return the chain above, parent first."""
        if entry.above is None:
            chain: list[Ancestor] = []
            seen, pid = {entry.pid}, entry.ppid
            while pid > 0 and pid not in seen and len(chain) < MAX_ANCESTORS:
                seen.add(pid)
                above = self._entries.get(pid) or self._from_proc(pid)
                if above is None:
                    break
                chain.append(above.as_ancestor())
                # Above a container's monitor stands the node: who started it, and whoever started that.
                if (
                    entry.mnt_ns
                    and entry.mnt_ns != self.own_mnt_ns
                    and above.exe.rpartition("/")[2].startswith(MONITORS)
                ):
                    break
                pid = above.ppid
            entry.above = tuple(chain)
        return entry.above

    def process(self, entry: Entry, head: Head) -> Process:
        """Return the acting process as the event's head says it was."""
        key = (head.uid, head.euid, head.gid, head.caps, head.tid, head.user_ns, head.ppid)
        if entry.process is not None and entry.key == key:
            return entry.process
        entry.key = key
        entry.process = Process(
            pid=entry.pid,
            ppid=head.ppid,
            start_ns=head.start_ns,
            exe=entry.exe,
            args=entry.args,
            args_truncated=entry.args_truncated,
            cwd=entry.cwd,
            uid=head.uid,
            euid=head.euid,
            gid=head.gid,
            caps=head.caps,
            tty=entry.tty,
            session=entry.session,
            loginuid=entry.loginuid,
            ns_pid=entry.ns_pid,
            tid=0 if head.tid == head.pid else head.tid,
            ancestors=self.ancestors(entry),
            origin=entry.origin,
            drift=entry.drift,
            memfd=entry.origin == "memfd",
            deleted=entry.deleted,
            exe_inode=entry.inode,
            exe_device=entry.device,
            exe_size_bytes=entry.size_bytes,
            exe_mode=entry.mode,
            exe_mtime_ns=entry.mtime_ns,
            exe_ctime_ns=entry.ctime_ns,
            entered=entry.entered,
            user_ns=0 if head.user_ns == INITIAL_USER_NAMESPACE else head.user_ns,
            script_drift=entry.script_drift,
        )
        return entry.process

    def _put(self, entry: Entry) -> None:
        self._entries[entry.pid] = entry
        self._entries.move_to_end(entry.pid)
        self._ended.pop(entry.pid, None)
        while len(self._entries) > self.limit:
            if self._ended:
                pid, _ = self._ended.popitem(last=False)
                self._entries.pop(pid, None)
            else:
                self._entries.popitem(last=False)

    def _fill_ancestors(self, raw: bytes, count: int) -> None:
        """Add ancestors that the kernel saw and we did not, from the top down."""
        raw = raw[: ANCESTOR.size * count]
        if raw in self._filled:
            start_ns, pid, _, _ = ANCESTOR.unpack_from(raw)
            known = self._entries.get(pid)
            if known is not None and known.start_ns == start_ns:
                return
        elif raw:
            if len(self._filled) >= 1024:
                self._filled.clear()
            self._filled.add(raw)
        rows = [ANCESTOR.unpack_from(raw, ANCESTOR.size * index) for index in range(count)]
        for index in range(count - 1, -1, -1):
            start_ns, pid, uid, comm = rows[index]
            known = self._entries.get(pid)
            if known is not None and abs(known.start_ns - start_ns) < 20_000_000:
                continue
            if known is not None:
                del self._entries[pid]
            found = self._from_proc(pid)
            if found is not None and abs(found.start_ns - start_ns) < 20_000_000:
                found.start_ns = start_ns
                continue
            above = rows[index + 1][1] if index + 1 < count else 0
            parent = self._entries.get(above)
            entry = Entry(pid, start_ns, above, text(comm), uid=uid)
            if parent is not None and parent.exe.rpartition("/")[2][:15] == entry.exe:
                entry.exe, entry.args, entry.cwd, entry.origin = parent.exe, parent.args, parent.cwd, parent.origin
            self._put(entry)

    def _from_proc(self, pid: int) -> Entry | None:
        """Read one process; None when it is gone."""
        folder = f"{self._proc}/{pid}"
        stat = read_text(f"{folder}/stat")
        if not stat:
            return None
        comm, fields = stat[stat.find("(") + 1 : stat.rfind(")")], stat[stat.rfind(")") + 2 :].split()
        entry = Entry(pid, int(fields[19]) * 10**9 // _TICKS, int(fields[1]), comm)
        entry.session = int(fields[3])
        for line in read_text(f"{folder}/status").splitlines():
            name, _, value = line.partition(":")
            if name == "Uid":
                entry.uid = int(value.split()[0])
            elif name == "NSpid":
                entry.ns_pid = int(value.split()[-1])
        try:
            exe = _link(f"{folder}/exe")
            entry.deleted = exe.endswith(" (deleted)")
            entry.exe = exe.removesuffix(" (deleted)")
            entry.cwd = _link(f"{folder}/cwd")
        except OSError:
            pass  # a kernel thread, or gone meanwhile
        raw = read_text(f"{folder}/cmdline")[: 4 * MAX_ARGUMENT_CHARACTERS]
        entry.args = arguments(raw.encode("utf-8", "replace"))
        login = read_text(f"{folder}/loginuid").strip()
        entry.loginuid = int(login) if login and login != "4294967295" else -1
        entry.mnt_ns = _namespace(self._proc, str(pid), "mnt")
        self._put(entry)
        return entry


def arguments(raw: bytes) -> tuple[str, ...]:
    """Return the arguments in a process's argument area: NUL-separated, at most 128 and 8,192 characters."""
    if not raw:
        return ()
    parts = raw[:MAX_ARGUMENT_CHARACTERS].removesuffix(b"\0").split(b"\0", MAX_ARGUMENTS)
    return tuple(part.decode("utf-8", "replace") for part in parts[:MAX_ARGUMENTS])


def _link(path: str) -> str:
    """Return where a link leads, as text: names of files need not be UTF-8, while what is written of them must be."""
    return os.readlink(path.encode()).decode("utf-8", "replace")


def _namespace(proc: str, pid: str, kind: str) -> int:
    try:
        return os.stat(f"{proc}/{pid}/ns/{kind}").st_ino
    except OSError:
        return 0
