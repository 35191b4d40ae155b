"""Calls that few programs make: files by handle, another kernel, page faults taken over, descriptors of other processes."""

from __future__ import annotations

from seawall.detection.declaration import detection
from seawall.detection.processes import file_entity, on_platform, program
from seawall.detection.rules.runtime import KERNEL, READS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import KernelCall, SensitiveRead
from seawall.domain.severity import Severity

_FILE_SERVERS = frozenset({"ganesha.nfsd", "unfsd", "systemd"})
_KERNEL_LOADERS = frozenset({"kexec", "kdumpctl", "systemd", "systemctl"})
_MACHINES = ("qemu", "criu", "firecracker", "cloud-hypervisor", "crosvm")
_SUPERVISORS = frozenset({"criu", "gdb", "systemd", "crun", "runc", "podman", "conmon", "lxd", "incusd"})
_USER_MODE_ONLY = 1
"""UFFD_USER_MODE_ONLY, linux/userfaultfd.h: faults of the kernel itself are not handed over."""


@detection(
    id="RT-0918",
    title="File opened by handle in a container",
    severity=Severity.HIGH,
    attack=("T1611",),
    on=SensitiveRead,
    response="Isolate the pod and drop CAP_DAC_READ_SEARCH; treat the file as read, and the node's others that it could name.",
    action="reached a file of the node by its handle",
    needs=(READS,),
    confidence="high",
    benign=("NFS servers in user space (known ones are left out).",),
    investigate=("Does the file lie in the container at all? Where does the capability come from?",),
)
def opened_by_handle(event: SensitiveRead) -> Match | None:
    """A process in a container opens a file by open_by_handle_at(2): a handle needs no folder above it, so with
    CAP_DAC_READ_SEARCH any file of the same file system can be had, the node's too ("Shocker")."""
    if not event.by_handle or event.container is None or program(event.process) in _FILE_SERVERS:
        return None
    return Match(
        f"{event.process} opened {event.path} by its handle", entities=(file_entity(event, event.path),), key=event.path
    )


@detection(
    id="RT-0919",
    title="Another kernel is loaded",
    severity=Severity.HIGH,
    attack=("T1611", "T1014"),
    on=KernelCall,
    response="Isolate the node before it starts again; look for what was to be run.",
    action="loaded another kernel",
    needs=(KERNEL,),
    confidence="high",
    benign=("Crash kernels and quick restarts by the node's own tools (left out).",),
    investigate=("Did the call succeed? Which files did the process read before?",),
)
def kernel_loaded(event: KernelCall) -> Match | None:
    """kexec_load(2) or kexec_file_load(2) by a container, or on the node by something other than its tools for that."""
    if not event.call.startswith("kexec_"):
        return None
    if event.container is None and program(event.process) in _KERNEL_LOADERS:
        return None
    how = " (refused)" if event.result else ""
    return Match(
        f"{event.process} called {event.call}{how}",
        Severity.MEDIUM if event.result or event.container is None else None,
        key=event.call,
    )


@detection(
    id="RT-0920",
    title="Page faults of the kernel taken over",
    severity=Severity.MEDIUM,
    attack=("T1068",),
    on=KernelCall,
    response="Keep the program's file; look for privileges that the process gained afterwards (RT-0913).",
    action="took over page faults",
    needs=(KERNEL,),
    benign=("Virtual machines and checkpointing (known ones are left out).",),
    investigate=("What is the program, and is it from the image?",),
)
def page_faults(event: KernelCall) -> Match | None:
    """userfaultfd(2) in a container without CAP_SYS_PTRACE, for faults in kernel mode too: it stops the kernel where an exploit
    wants it. Refused calls count. User-mode-only descriptors, which cannot do that, are left out."""
    if event.call != "userfaultfd" or event.container is None or event.flags & _USER_MODE_ONLY:
        return None
    if event.process.has_capability("sys_ptrace") or program(event.process).startswith(_MACHINES):
        return None
    how = "asked for" if event.result else "has"
    return Match(f"{event.process} {how} page faults of the kernel", key=event.process.exe)


@detection(
    id="RT-0921",
    title="Open file of another process taken",
    severity=Severity.LOW,
    attack=("T1055",),
    on=KernelCall,
    response="Find what the descriptor was: connections and files of the other process are the taker's now.",
    action="took an open file of another process",
    needs=(KERNEL,),
    benign=("Debuggers, checkpointing, supervisors of sandboxes (known ones are left out).",),
    investigate=("Whose process is it, and what did it hold open?",),
)
def descriptor_taken(event: KernelCall) -> Match | None:
    """pidfd_getfd(2) copies a descriptor out of another process: gravest when that is not of the same container."""
    if event.call != "pidfd_getfd" or event.container is None or event.result or on_platform(event):
        return None
    if program(event.process) in _SUPERVISORS:
        return None
    foreign = bool(event.target_exe) and event.target_container != event.container.id
    whose = f"{event.target_exe or 'a process'} ({event.target_pid})"
    return Match(
        f"{event.process} took descriptor {event.flags} of {whose}",
        Severity.HIGH if foreign else None,
        ("not of its container",) if foreign else (),
        key=event.target_exe,
    )
