"""Files opened, read, changed; mounts; programs that a policy stopped."""

from __future__ import annotations

import os
import stat

from seawall.domain.runtime_events import (
    Enforced,
    FileCapabilities,
    FileChmod,
    FileLink,
    FileOpen,
    FileRename,
    FileTimes,
    FileUnlink,
    Mount,
    ProcessVmWrite,
    ScriptRun,
    SensitiveRead,
)

from seawall_sensor import records
from seawall_sensor.containers import Container
from seawall_sensor.decode.enricher import ACTIONS, Enricher, Found, Handler, joined
from seawall_sensor.files import sources
from seawall_sensor.processes import Entry
from seawall_sensor.records import HEAD, OPEN_CREATED, OPEN_SCRIPT, OPEN_WRITES, ORIGINS, File, Head, Kind

_DEVICES = {0o060000: "block", 0o020000: "char"}
_OPEN_BY_HANDLE = 5
_MOUNT, _UMOUNT, _MOVE_MOUNT, _FSMOUNT = 19, 20, 21, 49
"""Operations of a file record, `enum call`."""
_TYPED = frozenset({_MOUNT, _MOVE_MOUNT, _FSMOUNT})
"""Those whose fourth text is the type of the file system."""
_REASONS = {1: "drift", 2: "listed", 3: "network"}


def _texts(enricher: Enricher, data: bytes) -> tuple[File, str, str, str, str, str]:
    """Return the record and its texts: path, asked, target, folder, folder of the target."""
    record = File._make(records.FILE.unpack_from(data, HEAD.size))
    at = HEAD.size + records.FILE.size
    parts = []
    for size in record[5:10]:
        parts.append(data[at : at + size])
        at += size
    return (
        record,
        enricher.path(parts[0]),
        records.text(parts[1]),
        records.text(parts[2]),
        records.text(parts[3]) if record.operation in _TYPED else enricher.path(parts[3]),
        enricher.path(parts[4]),
    )


def opened(enricher: Enricher, head: Head, data: bytes, found: Found) -> None:
    """A file opened for writing or made, or a device opened for reading."""
    record, path, asked, _, cwd, _ = _texts(enricher, data)
    entry, container = enricher.actor(head)
    if not path:
        path = joined(cwd, asked)
    form = _DEVICES.get(record.mode & 0o170000, "")
    if form and not record.flags & (OPEN_WRITES | 3):
        found.append(
            SensitiveRead(**enricher.base(head, entry, container), path=path, inode=record.inode, file_type=form)
        )
        return
    writes = bool(record.flags & (OPEN_WRITES | 3))
    found.append(
        FileOpen(
            **enricher.base(head, entry, container),
            path=path,
            node_path=container.node_path(path) if container is not None else "",
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
        _memory_opened(enricher, head, entry, container, path, asked, found)


def _memory_opened(
    enricher: Enricher, head: Head, entry: Entry, container: Container | None, path: str, asked: str, found: Found
) -> None:
    """Another process's memory, opened for writing through /proc: the same as writing it by a call."""
    pid, where = _proc_target(enricher, path, asked, entry)
    if pid == entry.pid or not pid:
        return
    target = enricher.processes.peek(pid)
    found.append(
        ProcessVmWrite(
            **enricher.base(head, entry, container),
            target_pid=pid,
            target_exe=target.exe if target is not None else "",
            target_container=where,
            size_bytes=0,
        )
    )


def read(enricher: Enricher, head: Head, data: bytes, found: Found) -> None:
    """A sensitive file read, or a file that was not in the image read by an interpreter."""
    record, path, asked, _, _, _ = _texts(enricher, data)
    entry, container = enricher.actor(head)
    if record.flags & OPEN_SCRIPT:
        if container is not None and (
            entry.script in (path, joined("" if asked.startswith("/") else entry.cwd, asked))
            or sources(entry.args, asked)
        ):
            entry.script_drift, entry.process = True, None
            found.append(
                ScriptRun(
                    **enricher.base(head, entry, container),
                    path=path,
                    origin=ORIGINS[record.origin],
                    asked=asked if asked != path else "",
                )
            )
        return
    target_pid, target_container = _proc_target(enricher, path, asked, entry)
    found.append(
        SensitiveRead(
            **enricher.base(head, entry, container),
            path=path,
            asked=asked if asked != path else "",
            inode=record.inode,
            target_pid=target_pid,
            target_container=target_container,
            node_path=container.node_path(path) if container is not None else "",
            by_handle=record.operation == _OPEN_BY_HANDLE,
        )
    )


def _proc_target(enricher: Enricher, path: str, asked: str, entry: Entry) -> tuple[int, str]:
    """Return whose /proc folder a path leads into: (pid on the node, container id)."""
    for text in (path, asked):
        parts = text.split("/")
        if len(parts) > 3 and parts[1] == "proc":
            if parts[2] in ("self", "thread-self"):
                return entry.pid, ""
            if parts[2].isdecimal():
                return enricher.target(int(parts[2]), entry)
    return 0, ""


def in_use(enricher: Enricher, head: Head, data: bytes, _found: Found) -> None:
    """A file of an image that was opened: it only teaches which packages are in use."""
    _, path, *_ = _texts(enricher, data)
    _, container = enricher.actor(head)
    if container is not None:
        enricher.on_file_used(container, path, False)


def changed(enricher: Enricher, head: Head, data: bytes, found: Found) -> None:
    """A file removed, renamed, linked, or given other permissions, times or capabilities."""
    record, path, asked, target, cwd, target_cwd = _texts(enricher, data)
    entry, container = enricher.actor(head)
    base = enricher.base(head, entry, container)
    path = path or joined(cwd, asked)
    target = joined(target_cwd, target) if target else target_cwd
    if head.kind == Kind.UNLINK:
        found.append(FileUnlink(**base, path=path, directory=bool(record.flags)))
    elif head.kind == Kind.RENAME:
        found.append(FileRename(**base, path=path, target=target))
    elif head.kind == Kind.CHMOD:
        mode = record.mode & 0o7777
        found.append(
            FileChmod(**base, path=path, mode=mode, directory=bool(mode & 0o6000) and _is_folder(enricher, head, path))
        )
    elif head.kind == Kind.TIMES:
        found.append(FileTimes(**base, path=path, modified_s=_signed(record.inode)))
    elif head.kind == Kind.FILE_CAPS:
        found.append(FileCapabilities(**base, path=path, permitted=record.inode))
    else:
        symbolic = bool(record.flags)
        found.append(FileLink(**base, path=asked if symbolic else path, target=target, symbolic=symbolic))


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _is_folder(enricher: Enricher, head: Head, path: str) -> bool:
    """Whether a path, as `head`'s process sees it, is a folder now; not when it can not be looked at any more."""
    root = "" if head.mnt_ns == enricher.host.mount_namespace else f"{enricher.host.proc}/{head.pid}/root"
    try:
        return stat.S_ISDIR(os.lstat(root + path).st_mode)
    except (OSError, ValueError):
        return False


def mounted(enricher: Enricher, head: Head, data: bytes, found: Found) -> None:
    """A file system mounted or unmounted."""
    record, path, asked, target, filesystem, _ = _texts(enricher, data)
    entry, container = enricher.actor(head)
    found.append(
        Mount(
            **enricher.base(head, entry, container),
            source=f"/dev/{asked}" if record.mode and asked else asked,
            target=target or path,
            filesystem=filesystem if record.operation in _TYPED else "",
            flags=record.flags,
            unmount=record.operation == _UMOUNT,
        )
    )


def enforced(enricher: Enricher, head: Head, data: bytes, found: Found) -> None:
    """A program that the kernel stopped by policy before it ran."""
    record, path, *_ = _texts(enricher, data)
    entry, container = enricher.actor(head)
    found.append(
        Enforced(
            **(enricher.base(head, entry, container) | {"result": 1}),
            policy=enricher.policy_name(head.cgroup),
            action=ACTIONS.get(head.result, "block"),
            reason=_REASONS.get(record.operation, ""),
            path=path,
        )
    )


HANDLERS: dict[int, Handler] = {
    Kind.OPEN: opened, Kind.READ: read, Kind.IN_USE: in_use, Kind.RENAME: changed, Kind.UNLINK: changed,
    Kind.CHMOD: changed, Kind.LINK: changed, Kind.TIMES: changed, Kind.FILE_CAPS: changed, Kind.MOUNT: mounted, Kind.ENFORCED: enforced,
}  # fmt: skip
