"""Programs that start, processes that fork and end."""

from __future__ import annotations

import msgspec

from seawall.domain.runtime_events.base import RuntimeEvent


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
    environment: dict[str, str] = msgspec.field(default_factory=dict)
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
