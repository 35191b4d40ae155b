"""Programs that start, processes that fork and end."""

from __future__ import annotations

import os
import re

from seawall.domain.runtime_events import (
    ContainerStart,
    CredentialChange,
    Enforced,
    ProcessExec,
    ProcessExit,
    ProcessFork,
    ScriptRun,
)

from seawall_sensor import records
from seawall_sensor.containers import Container
from seawall_sensor.decode.enricher import ACTIONS, Enricher, Found, Handler, address
from seawall_sensor.files import runs_standard_input, script_of
from seawall_sensor.processes import Entry, arguments
from seawall_sensor.records import (
    CGROUP_AT,
    DRIFTED,
    EXE_GAINED,
    EXE_SCRIPT,
    EXEC_BYTES,
    HEAD,
    LONG,
    ORIGINS,
    PID_AT,
    STDIO,
    WORD,
    Exec,
    Head,
    Kernel,
    Kind,
)

WATCHED_VARIABLES = frozenset(
    {
        "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES", "HISTFILE", "HISTSIZE", "HISTCONTROL", "HTTP_PROXY",
        "HTTPS_PROXY", "ALL_PROXY", "npm_lifecycle_event",
    }
)  # fmt: skip
"""Environment variables that rules ask for; all others are dropped here: they hold secrets."""

# A pattern that begins with one certain byte is looked for at these bytes only: ten times as fast as one that does not.
_WATCHED_BYTES = re.compile(b"\0(?:" + b"|".join(sorted(name.encode() for name in WATCHED_VARIABLES)) + b")=").search


def executed(enricher: Enricher, head: Head, data: bytes, found: Found) -> None:
    """A program started: the event, and what its start means besides."""
    record = Exec._make(records.EXEC.unpack_from(data, HEAD.size))
    at = EXEC_BYTES
    path_end = at + record.path_bytes
    cwd_end = path_end + record.cwd_bytes
    asked_end = cwd_end + record.asked_bytes
    args_end = asked_end + record.args_bytes
    path = enricher.path(data[at:path_end])
    cwd = enricher.path(data[path_end:cwd_end])
    asked = records.text(data[cwd_end:asked_end])
    args = arguments(data[asked_end:args_end])
    above = data[HEAD.size + records.EXEC.size : EXEC_BYTES]
    before = enricher.processes.peek(head.pid)
    previous = before.exe if before is not None and before.start_ns == head.start_ns else ""
    entry = enricher.processes.executed(head, record, path, cwd, args, above)
    if not previous and (parent := enricher.processes.peek(head.ppid)) is not None:
        previous = parent.exe
    if head.mnt_ns == enricher.host.mount_namespace:
        entry.origin = entry.origin or "host"
    container = enricher.container(head, entry)
    if container is None:
        entry.origin = "host" if entry.origin in ("", "image", "upper", "bind", "tmpfs") else entry.origin
    else:
        entry.drift = record.origin in DRIFTED
        _enter(enricher, container, entry, head, found)
        enricher.on_file_used(container, path, True)
    script = ""
    if record.flags & EXE_SCRIPT:
        script = os.path.normpath(os.path.join(cwd, asked))
    elif container is not None:
        script = script_of(entry.exe, args, cwd)
    entry.script = script
    peer = ""
    if record.peer_family:
        peer = f"{address(record.peer, record.peer_family)}:{record.peer_port}"
    base = enricher.base(head, entry, container)
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
        found.append(ScriptRun(**(base | {"seq": enricher.next_seq()}), path="-", origin=ORIGINS[record.stdin_origin]))
    if record.previous_uid not in (0, 0xFFFFFFFF) and head.euid == 0 and not record.flags & EXE_GAINED:
        found.append(
            CredentialChange(
                **(base | {"seq": enricher.next_seq()}),
                operation="kernel",
                previous_uid=record.previous_uid,
                previous_euid=record.previous_uid,
            )
        )
    if head.result:
        found.append(
            Enforced(
                **(base | {"seq": enricher.next_seq()}),
                policy=enricher.policy_name(head.cgroup),
                action=ACTIONS.get(head.result, "audit"),
                reason="drift" if record.origin in DRIFTED else "listed",
                path=path,
            )
        )


def arguments_of(data: bytes) -> tuple[str, ...]:
    """Return the arguments in an exec record."""
    record = Exec._make(records.EXEC.unpack_from(data, HEAD.size))
    at = EXEC_BYTES + record.path_bytes + record.cwd_bytes + record.asked_bytes
    return arguments(data[at : at + record.args_bytes])


def _enter(enricher: Enricher, container: Container, entry: Entry, head: Head, found: Found) -> None:
    """Note a process of a container: its first one starts it; one that does not come from that one was brought in."""
    if not container.first_pid:
        container.first_pid = entry.pid
    if not container.announced:
        container.announced = True
        found.append(ContainerStart(**enricher.base(head, entry, container), mounts=container.mounted()))
    top, seen = entry, {entry.pid}
    while (above := enricher.processes.peek(top.ppid)) is not None and above.pid not in seen:
        if above.mnt_ns != entry.mnt_ns and above.cgroup != entry.cgroup:
            break
        seen.add(above.pid)
        top = above
    entry.entered = top.pid != container.first_pid and top.ns_pid != 1 and container.first_pid not in seen
    entry.process = None


def exited(enricher: Enricher, head: Head, data: bytes, found: Found) -> None:
    """A process ended."""
    cpu_ns, code, _ = records.EXIT.unpack_from(data, HEAD.size)
    entry, container = enricher.actor(head)
    found.append(
        ProcessExit(
            **enricher.base(head, entry, container),
            exit_code=code >> 8 & 255,
            signal=code & 127,
            duration_ns=max(head.ts_ns - head.start_ns, 0),
            cpu_ns=cpu_ns,
        )
    )
    _ended(enricher, container, head.pid, code)


def exited_unseen(enricher: Enricher, data: bytes) -> None:
    """An end of which no event is wanted: only what it teaches."""
    _, code, _ = records.EXIT.unpack_from(data, HEAD.size)
    container = enricher.containers.known(LONG(data, CGROUP_AT)[0])
    _ended(enricher, container, WORD(data, PID_AT)[0], code)


def _ended(enricher: Enricher, container: Container | None, pid: int, code: int) -> None:
    if container is not None and container.first_pid == pid:
        container.exit_code = code >> 8 & 255 if not code & 127 else 128 + (code & 127)
    enricher.processes.ended(pid)


def forked(enricher: Enricher, head: Head, data: bytes, found: Found) -> None:
    """A process started another one."""
    record = Kernel._make(records.KERNEL.unpack_from(data, HEAD.size))
    entry, container = enricher.actor(head)
    found.append(
        ProcessFork(**enricher.base(head, entry, container), child_pid=record.target_pid, child_start_ns=record.value)
    )


def _environment(raw: bytes) -> dict[str, str]:
    if not raw or _WATCHED_BYTES(b"\0" + raw) is None:
        return {}
    found: dict[str, str] = {}
    for part in raw.split(b"\0"):
        name, _, value = part.partition(b"=")
        word = name.decode("ascii", "replace")
        if word in WATCHED_VARIABLES:
            found[word] = value[:512].decode("utf-8", "replace")
    return found


HANDLERS: dict[int, Handler] = {Kind.EXEC: executed, Kind.EXIT: exited, Kind.FORK: forked}
