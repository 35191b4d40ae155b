"""Code and data put into other processes."""

from __future__ import annotations

from seawall.detection.declaration import detection
from seawall.detection.processes import (
    on_platform,
    program,
)
from seawall.detection.rules.runtime import KERNEL
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import (
    ProcessVmWrite,
    Ptrace,
)
from seawall.domain.severity import Severity

_DEBUGGERS = frozenset(
    {
        "gdb",
        "gdbserver",
        "lldb",
        "lldb-server",
        "strace",
        "ltrace",
        "dlv",
        "rr",
        "perf",
        "pstack",
        "gcore",
        "valgrind",
        "java",
        "jhsdb",
        "py-spy",
        "rbspy",
        "criu",
        "systemd-coredump",
        "crashpad_handler",
        "chrome_crashpad_handler",
        "proot",
        "fakeroot",
        "bpftrace",
        "node",
    }
)


@detection(
    id="RT-0910",
    title="Code injected into another process",
    severity=Severity.HIGH,
    attack=("T1055.008",),
    on=Ptrace,
    response="Dump the target's memory, then stop both processes.",
    action="injected code into a process",
    catalogue=("X_PtraceInjection",),
    needs=(KERNEL,),
    benign=("Debuggers and crash handlers (left out by name) on processes of their own container.",),
    investigate=("Is the target the tracer's own child?",),
)
def ptrace_injection(event: Ptrace) -> Match | None:
    """ptrace attach, poke or register change on a process that is not the tracer's own child."""
    if event.request not in ("attach", "seize", "poke", "setregs") or on_platform(event):
        return None
    own_container = event.container is not None and event.target_container == event.container.id
    beyond = event.container is not None and not own_container
    if program(event.process) in _DEBUGGERS and not beyond:
        return None
    if event.container is None and event.target_container == "" and event.request in ("attach", "seize"):
        return Match(
            f"{event.process} attached to {event.target_exe} ({event.target_pid})",
            Severity.MEDIUM,
            ("on the node",),
            key=event.target_exe,
        )
    return Match(
        f"{event.process} used {event.request} on {event.target_exe} ({event.target_pid})",
        reasons=("the target is outside the container",) if beyond else (),
        key=event.target_exe,
    )


@detection(
    id="RT-0911",
    title="Memory of another process written",
    severity=Severity.HIGH,
    attack=("T1055",),
    on=ProcessVmWrite,
    response="Dump the target's memory, then stop both processes.",
    action="wrote another process's memory",
    catalogue=("X_PtraceInjection",),
    needs=(KERNEL,),
    confidence="high",
    benign=("Debuggers; some MPI libraries and game anti-cheat within one container.",),
    investigate=("What is the target, and did it change behaviour?",),
)
def memory_written(event: ProcessVmWrite) -> Match | None:
    """process_vm_writev, or a write to /proc/<pid>/mem, into another process."""
    if event.target_pid == event.process.pid or program(event.process) in _DEBUGGERS | {"orted", "mpirun", "runsc"}:
        return None
    beyond = event.container is not None and event.target_container != event.container.id
    return Match(
        f"{event.process} wrote into {event.target_exe} ({event.target_pid})",
        reasons=("the target is outside the container",) if beyond else (),
        key=event.target_exe,
    )
