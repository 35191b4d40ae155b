"""What reaches into the kernel or into other processes."""

from __future__ import annotations

from seawall.domain.runtime_events.base import RuntimeEvent


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


class KernelCall(RuntimeEvent, frozen=True, tag="kernel_call"):
    """A further call that reaches into the kernel or into another process; refused ones too (`result`)."""

    call: str
    """userfaultfd, pidfd_getfd, kexec_load or kexec_file_load."""
    flags: int = 0
    """Of userfaultfd(2); the descriptor that pidfd_getfd(2) asks for."""
    target_pid: int = 0
    """For pidfd_getfd(2): whose descriptor."""
    target_exe: str = ""
    target_container: str = ""
    """Container id of the target; empty = the node."""


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
