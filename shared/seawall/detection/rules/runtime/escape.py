"""Ways out of a container: namespaces, kernel interfaces, runtime sockets, gained privileges."""

from __future__ import annotations

import re

from seawall.detection.declaration import detection
from seawall.detection.processes import (
    PLATFORM_NAMESPACES,
    RUNTIMES,
    SHELLS,
    by_package_manager,
    file_entity,
    in_build,
    on_platform,
    program,
    programs,
    script_text,
)
from seawall.detection.rules.runtime import EXECS, FILES, KERNEL, PEERS, READS
from seawall.domain.alerts import Entity, EntityKind, Match
from seawall.domain.runtime_events import (
    BpfLoad,
    Connect,
    ContainerStart,
    CredentialChange,
    FileEvent,
    FileOpen,
    FileRename,
    IoUring,
    ModuleLoad,
    Mount,
    NamespaceChange,
    ProcessExec,
    ProcessVmWrite,
    Ptrace,
    SensitiveRead,
)
from seawall.domain.severity import Severity

_SANDBOXES = frozenset(
    {
        "chrome",
        "chromium",
        "headless_shell",
        "chrome-sandbox",
        "bwrap",
        "flatpak",
        "firefox",
        "electron",
        "msedge",
        "webkit",
        "nsjail",
        "minijail0",
        "systemd",
        "node",
        "lxc-start",
        "snap-confine",
        "steam-runtime",
    }
)
"""Programs that make namespaces to lock themselves in."""


@detection(
    id="RT-0901",
    title="Container process makes a Linux namespace",
    severity=Severity.INFORMATIONAL,
    attack=("T1611", "T1068"),
    on=NamespaceChange,
    response="Find out what the program needs it for; forbid user namespaces in pods that need none.",
    action="made a Linux namespace",
    catalogue=("K8S.NODE_NamespaceCreation",),
    needs=(KERNEL,),
    benign=("Browsers and other programs that lock themselves in (left out by name).", "Rootless builds and CI."),
    investigate=(
        "A user namespace made by a shell or a new program gives it capabilities: the first step of many kernel exploits.",
    ),
)
def namespace_made(event: NamespaceChange) -> Match | None:
    """unshare or clone with namespace flags in a container (seen in CVE-2022-0185 exploits); a new user namespace made
    by a drifted program or a shell tool weighs more."""
    if (
        event.container is None
        or event.operation not in ("unshare", "clone")
        or not event.namespaces
        or in_build(event)
    ):
        return None
    name = program(event.process)
    if name in _SANDBOXES | RUNTIMES or (on_platform(event) and "user" not in event.namespaces):
        return None
    user = "user" in event.namespaces
    grave = user and (event.process.drift or name in ("unshare", *SHELLS))
    return Match(
        f"{event.process} makes namespaces: {', '.join(event.namespaces)}",
        Severity.MEDIUM if grave else None,
        ("a user namespace gives capabilities",) if grave else (),
        key=",".join(event.namespaces),
    )


@detection(
    id="RT-0902",
    title="Container process enters another namespace",
    severity=Severity.HIGH,
    attack=("T1611",),
    on=NamespaceChange,
    response="Isolate the node: the process runs outside its container now.",
    action="entered another namespace",
    catalogue=("K8S.NODE_NamespaceCreation",),
    needs=(KERNEL,),
    confidence="high",
    benign=(
        "CNI, CSI and node agents (left out in platform namespaces).",
        "Programs that return to a namespace of their own.",
    ),
    investigate=("Which process's namespaces?", "What did it do there?"),
)
def namespace_entered(event: NamespaceChange) -> Match | None:
    """setns from a container into other namespaces: what nsenter does to get onto the node."""
    if event.container is None or event.operation != "setns" or on_platform(event) or in_build(event):
        return None
    if program(event.process) in RUNTIMES or event.process.memfd:
        return None
    if event.namespaces and set(event.namespaces) <= {"net"} and event.target_pid == 0:
        return Match(f"{event.process} enters a network namespace", Severity.LOW, ("network only",), key="net")
    return Match(
        f"{event.process} enters {', '.join(event.namespaces) or 'namespaces'} of pid {event.target_pid or '?'}",
        key="setns",
    )


@detection(
    id="RT-0903",
    title="Namespace tool run in a container",
    severity=Severity.MEDIUM,
    attack=("T1611",),
    on=ProcessExec,
    response="Isolate the pod; look at what the tool started.",
    action="ran a namespace tool",
    programs=SHELLS | frozenset({"nsenter", "unshare", "chroot", "capsh", "debugfs", "pivot_root", "ctr"}),
    catalogue=("K8S.NODE_NamespaceCreation",),
    needs=(EXECS,),
    confidence="high",
    benign=("Node agents in platform namespaces (left out).", "Rootless builds; chroot into an application folder."),
    investigate=("Did it succeed? See the process's next starts.",),
)
def namespace_tool(event: ProcessExec) -> Match | None:
    """nsenter -t, unshare, chroot to a mounted host, debugfs or capsh run in a container."""
    if event.container is None or on_platform(event) or in_build(event) or by_package_manager(event):
        return None
    process = event.process
    name = program(process)
    text = process.command_line
    if name in SHELLS:
        found = re.search(
            r"\bnsenter\s+(?:-\S+\s+)*(?:-t|--target)[= ]?\s*1\b|\bchroot\s+/(?:host|mnt|rootfs|hostfs|proc/1/root)\b|\bunshare\s+-\w*[UrmCf]",
            script_text(process),
        )
        return Match(f"{text[:160]}", key=found.group().split()[0]) if found else None
    if name == "nsenter":
        host = re.search(r"(?:-t|--target)[= ]?\s*1(?:\s|$)", text)
        return Match(
            f"{text[:160]}",
            Severity.HIGH if host else None,
            ("into the node's first process",) if host else (),
            key=name,
        )
    if name == "chroot":
        onto_host = any(
            arg.rstrip("/") in ("/host", "/mnt", "/rootfs", "/hostfs", "/proc/1/root", "/mnt/host", "/node")
            for arg in process.args[1:]
        )
        return Match(f"{text[:160]}", Severity.HIGH, ("into the node's file system",), key=name) if onto_host else None
    if name == "unshare":
        return Match(f"{text[:160]}", key=name)
    if name == "debugfs":
        return Match(f"{text[:160]}", Severity.HIGH, ("reads and writes the raw disk",), key=name)
    return None


_PRIVILEGED_FLAGS = re.compile(
    r"--privileged(?:=true)?(?:\s|$)|--cap-add[= ](?:ALL|SYS_ADMIN|SYS_PTRACE|SYS_MODULE)|--pid[= ]host|(?:-v|--volume|--mount)[= ](?:type=bind,(?:src|source)=)?/(?::|,|etc|root|var/run/docker|proc)|--security-opt[= ](?:apparmor|seccomp)[=:]unconfined|--userns[= ]host|--device[= ]/dev/(?:sd|nvme|mem)|-v\s*/:/"
)
_CLIS = frozenset(
    {"docker", "nerdctl", "podman", "ctr", "crictl", "lxc", "runc", "crun", "kubectl", "oc", "machinectl"}
)


@detection(
    id="RT-0904",
    title="Command started in a container with host-level privilege",
    severity=Severity.INFORMATIONAL,
    attack=("T1609", "T1611"),
    on=ProcessExec,
    response="Ask who did it; runtime commands bypass the API server's audit and admission.",
    action="ran a command with the host's privileges",
    programs=_CLIS,
    catalogue=("K8S.NODE_PrivilegedExecutionInContainer",),
    needs=(EXECS,),
    benign=("Administrators on a node.",),
    investigate=("In which container, as which user?",),
)
def privileged_exec(event: ProcessExec) -> Match | None:
    """docker, nerdctl, podman, crictl or runc execute a command in a container with the privileged flag or as root of
    the node; from inside a container any such exec counts."""
    process = event.process
    arguments = process.args[1:]
    if not any(item in ("exec", "attach") or item == "tasks" for item in arguments[:4]):
        return None
    if program(process) in ("kubectl", "oc") or (
        event.container is None and any(program(item) in RUNTIMES - {"k3s"} for item in process.ancestors)
    ):
        return None
    flag = "--privileged" in arguments or "--privileged=true" in arguments or "--cap" in process.command_line
    if not flag and event.container is None:
        return None
    inside = event.container is not None
    return Match(
        f"{process.command_line[:160]}",
        Severity.MEDIUM if inside else None,
        ("a container commands the runtime",) if inside else (),
        key=program(process),
    )


@detection(
    id="RT-0905",
    title="Privileged container launched past the API server",
    severity=Severity.INFORMATIONAL,
    attack=("T1610", "T1611"),
    on=ProcessExec,
    response="Find the container and who launched it; admission control never saw it.",
    action="launched a privileged container past the API server",
    programs=_CLIS,
    catalogue=("K8S.NODE_PrivilegedContainerArtifacts",),
    needs=(EXECS,),
    benign=("Node bootstrap that starts system containers (left out below systemd units).",),
    investigate=("What does the container do, and which folders of the node does it have?",),
)
def privileged_launch(event: ProcessExec) -> Match | None:
    """docker, nerdctl, ctr, podman or crictl run something privileged or with the node's folders, on the node or, worse,
    from a container."""
    process = event.process
    arguments = process.args[1:]
    if program(process) in ("kubectl", "oc") or not any(
        item in ("run", "create", "runp", "launch") for item in arguments[:6]
    ):
        return None
    if not _PRIVILEGED_FLAGS.search(process.command_line):
        return None
    if event.container is None and process.ancestors and program(process.ancestors[0]) in ("systemd", *RUNTIMES):
        return None
    inside = event.container is not None
    return Match(
        f"{process.command_line[:200]}",
        Severity.HIGH if inside else Severity.LOW if process.tty else None,
        ("from inside a container",) if inside else (),
        key=program(process),
    )


_PRIMITIVES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"(?:^/sys/fs/cgroup/|/)(?:\S*/)?release_agent$"),
        "the kernel runs it as root when a cgroup empties (cgroups(7))",
    ),
    (re.compile(r"/notify_on_release$"), "makes the kernel call release_agent (cgroups(7))"),
    (re.compile(r"/proc/sys/kernel/core_pattern$"), "the kernel runs it when a process crashes (core(5))"),
    (re.compile(r"/sys/kernel/uevent_helper$|/proc/sys/kernel/hotplug$"), "the kernel runs it on device events"),
    (re.compile(r"/proc/sys/kernel/modprobe$"), "the kernel runs it to load modules"),
    (re.compile(r"/proc/sys/fs/binfmt_misc/(?:register|\S+)$"), "the kernel runs it for chosen files"),
    (re.compile(r"/proc/sysrq-trigger$|/proc/sys/kernel/sysrq$"), "commands the kernel directly"),
    (re.compile(r"/proc/sys/vm/panic_on_oom$|/proc/sys/kernel/panic$"), "changes what the node does on errors"),
    (re.compile(r"^/proc/(?:1|\d+)/root/"), "reaches the file system of another process"),
    (
        re.compile(
            r"^/(?:host|hostfs|rootfs|host-root|mnt/host)/(?:etc|root|usr|bin|sbin|lib|var/spool/cron|var/lib/kubelet|home)/"
        ),
        "is the node's own file system",
    ),
    (re.compile(r"/devices\.allow$"), "opens devices to the container (cgroup v1)"),
    (
        re.compile(r"/sys/kernel/(?:debug|security)/\S+|/sys/firmware/efi/efivars/\S+"),
        "changes kernel or firmware settings",
    ),
    (
        re.compile(r"^/dev/(?:mem|kmem|port|sd[a-z]\d*|nvme\d\S*|vd[a-z]\d*|xvd[a-z]\d*|dm-\d+|mapper/\S+)$"),
        "is the node's memory or raw disk",
    ),
)


@detection(
    id="RT-0906",
    title="Known container-escape write",
    severity=Severity.HIGH,
    attack=("T1611",),
    on=FileEvent,
    response="Isolate the node, then follow the container's process tree.",
    action="broke out to the host",
    catalogue=("X_EscapePrimitive",),
    needs=(FILES,),
    confidence="high",
    benign=(
        "Node agents with the host mounted (left out in platform namespaces).",
        "Storage drivers writing raw disks there.",
    ),
    investigate=("Is the container privileged, or has it the cgroup, proc or host mounted writable?",),
)
def escape_primitive(event: FileEvent) -> Match | None:
    """A container opens for writing, or renames onto, a file through which the kernel or the node does its bidding."""
    if event.container is None or on_platform(event):
        return None
    if not ((isinstance(event, FileOpen) and event.writes) or isinstance(event, FileRename)):
        return None
    path = event.changed
    if not path.startswith(
        ("/proc", "/sys", "/host", "/rootfs", "/dev", "/mnt", "/tmp", "/cgrp", "/run", "/var")
    ) and not path.endswith(("release_agent", "notify_on_release")):
        return None
    for pattern, why in _PRIMITIVES:
        if pattern.search(path):
            own = re.match(r"^/proc/(\d+)/root/", path)
            if own and int(own.group(1)) in (event.process.ns_pid, event.process.pid):
                return None
            return Match(
                f"{event.process} opened {path} for writing: it {why}", entities=(file_entity(event, path),), key=path
            )
    return None


@detection(
    id="RT-0907",
    title="Kernel module loaded from a container",
    severity=Severity.HIGH,
    attack=("T1547.006", "T1611"),
    on=ModuleLoad,
    response="Replace the node: its kernel runs foreign code. Keep the module.",
    action="loaded a kernel module",
    catalogue=("X_KernelModuleLoad",),
    needs=(KERNEL,),
    confidence="high",
    benign=("kube-proxy, CNI, storage and GPU agents (left out in platform namespaces).",),
    investigate=("Which module? Is its file known to the distribution?",),
)
def module_loaded(event: ModuleLoad) -> Match | None:
    """init_module or finit_module succeeded on behalf of a container, or a module came from a temporary folder or from
    memory on the node."""
    if event.container is not None:
        if on_platform(event):
            return None
        return Match(
            f"{event.process} loaded the module {event.name}",
            entities=(Entity(EntityKind.NODE, event.node, event.cluster),),
            key=event.name,
        )
    if event.path.startswith(("/tmp/", "/var/tmp/", "/dev/shm/", "/root/", "/home/")):
        return Match(
            f"{event.process} loaded the module {event.name} from {event.path}",
            Severity.MEDIUM,
            ("on the node",),
            key=event.name,
        )
    return None


@detection(
    id="RT-0908",
    title="Module tool run in a container",
    severity=Severity.MEDIUM,
    attack=("T1547.006",),
    on=ProcessExec,
    response="Find out whether the load succeeded (RT-0907) and who may do that.",
    action="ran a kernel-module tool",
    programs=frozenset({"insmod", "modprobe", "kmod", "depmod"}),
    catalogue=("X_KernelModuleLoad",),
    needs=(EXECS,),
    benign=("Node agents (left out in platform namespaces).", "Entry points that try modprobe and go on without it."),
    investigate=("Which module?",),
)
def module_tool(event: ProcessExec) -> Match | None:
    """insmod or modprobe runs in a container; the attempt alone says something."""
    if event.container is None or on_platform(event) or in_build(event) or by_package_manager(event):
        return None
    process = event.process
    if (
        (program(process) == "kmod" and process.args[1:2] in (("list",), ("static-nodes",)))
        or "-n" in process.args
        or "--dry-run" in process.args
    ):
        return None
    if program(process) == "depmod" or len(process.args) < 2:
        return None
    return Match(
        f"{process.command_line[:160]}", Severity.HIGH if program(process) == "insmod" else None, key=program(process)
    )


_BPF_USERS = frozenset(
    {
        "seawall-sensor", "systemd", "cilium", "cilium-agent", "calico-node", "felix", "bpftool", "tetragon", "falco", "tracee", "sysdig", "inspektor-gadget", "ig", "kubearmor",
        "bpfman", "parca-agent", "pyroscope", "beyla", "datadog-agent", "system-probe", "crun", "runc", "containerd", "crio", "systemd-udevd", "systemd-networkd", "dockerd", "podman", "conmon",
        "aws-network-policy-agent", "aws-eks-na-cli", "azure-cns", "azure-npm", "hubble", "antrea-agent", "kindnetd", "retina-agent", "mdatp", "wdavdaemon", "falcon-sensor", "pixie", "vizier-pem", "kepler", "netobserv", "perf", "init",
    }
)  # fmt: skip


@detection(
    id="RT-0909",
    title="Unknown program loads eBPF",
    severity=Severity.MEDIUM,
    attack=("T1014",),
    on=BpfLoad,
    response="Find the program; list loaded programs with bpftool and unload what is foreign.",
    action="loaded an eBPF program",
    catalogue=("X_BpfLoad",),
    needs=(KERNEL,),
    benign=(
        "Network, observability and security agents (known ones and platform namespaces are left out).",
        "Socket filters and device rules of the node's own tools.",
    ),
    investigate=("Which type? kprobe, tracing and LSM programs can hide files and processes or change what is read.",),
)
def bpf_loaded(event: BpfLoad) -> Match | None:
    """A program that is no known agent loads an eBPF program: in a container any, on the node all but socket filters and what
    manages cgroups. Tracing types from a container weigh most."""
    if program(event.process) in _BPF_USERS or on_platform(event) or in_build(event):
        return None
    if event.container is None and any(
        "seawall_sensor" in arg or "seawall-sensor" in arg for arg in event.process.args[:3]
    ):
        return None  # the sensor itself, started through its interpreter
    if event.container is None and event.program_type in ("socket_filter", "cgroup_device", "cgroup_skb"):
        return None
    grave = event.container is not None and event.program_type in (
        "kprobe",
        "tracing",
        "raw_tracepoint",
        "tracepoint",
        "lsm",
        "perf_event",
        "raw_tracepoint_writable",
    )
    return Match(
        f"{event.process} loads {event.program_type} {event.name}",
        Severity.HIGH if grave else None,
        ("can change what others see",) if grave else (),
        key=event.program_type,
    )


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


_SOCKETS = re.compile(
    r"(?:^|/)(?:docker\.sock|containerd(?:\.sock|\.sock\.ttrpc|/containerd\.sock)|crio\.sock|dockershim\.sock|podman\.sock|buildkitd\.sock|cri-dockerd\.sock|k3s/containerd/containerd\.sock|frakti\.sock|kubelet\.sock)$|^@/?containerd-shim"
)


@detection(
    id="RT-0912",
    title="Container talks to the container runtime",
    severity=Severity.HIGH,
    attack=("T1609", "T1611"),
    on=Connect,
    response="Isolate the pod; whoever holds the socket is root on the node. Unmount it.",
    action="talked to the container runtime",
    catalogue=("X_RuntimeSocketUse",),
    needs=(PEERS,),
    confidence="high",
    benign=(
        "Monitoring, CI and log agents with the socket mounted: exempt their image, or better give them none.",
        "Platform namespaces are left out.",
    ),
    investigate=("Which containers were made over it?",),
)
def runtime_socket(event: Connect) -> Match | None:
    """A workload container connects to a docker, containerd, CRI-O or podman socket (abstract shim sockets included)."""
    if event.container is None or event.family != "unix" or not _SOCKETS.search(event.address) or on_platform(event):
        return None
    if any(
        name in ("gitlab-runner", "buildkitd", "dockerd", "containerd", "actions-runner", "docker-init")
        for name in programs(event)
    ):
        return None
    return Match(f"{event.process} connects to {event.address}", key=event.address)


@detection(
    id="RT-0913",
    title="Process gained privileges it should not have",
    severity=Severity.HIGH,
    attack=("T1068",),
    on=CredentialChange,
    response="Isolate the node: an exploit of the kernel or of a privileged service is likely.",
    action="gained privileges",
    catalogue=("X_PrivilegeGain",),
    needs=(KERNEL,),
    confidence="high",
    benign=("setuid programs and privileged daemons changing users (left out): only gains without an exec count.",),
    investigate=("Which program was it, and is its file known?", "Which kernel version runs?"),
)
def privilege_gained(event: CredentialChange) -> Match | None:
    """User id became 0, or capabilities grew beyond what the container was given, without executing a setuid file.

    Calls that change credentials are checked by the kernel (a saved user id may come back: apt does that); growth that
    no call asked for is an exploit's mark.
    A process that makes a user namespace has a full set there only, which is told apart.
    """
    process = event.process
    if process.user_ns or program(process) in RUNTIMES or process.memfd:
        return None
    became_root = event.previous_euid != 0 and event.previous_uid != 0 and process.euid == 0
    grown = process.caps & ~event.previous_caps
    beyond = event.container is not None and event.container.caps and process.caps & ~event.container.caps
    if event.operation == "kernel" and (became_root or grown):
        return Match(
            f"{process} became {'root' if became_root else 'more capable'} without a call that allows it",
            key=process.exe,
        )
    if beyond:
        return Match(f"{process} has capabilities beyond its container's", key=process.exe)
    return None


@detection(
    id="RT-0914",
    title="File system mounted in a container",
    severity=Severity.MEDIUM,
    attack=("T1611",),
    on=Mount,
    response="Unmount; find why the container may mount (CAP_SYS_ADMIN).",
    action="mounted a file system",
    needs=(KERNEL,),
    benign=("Storage drivers and CSI (left out in platform namespaces).", "FUSE and overlay in builds (left out)."),
    investigate=("Was it the node's disk, the cgroup file system, proc?",),
)
def mount_in_container(event: Mount) -> Match | None:
    """A workload mounts something: the node's disk, cgroups and proc weigh most; tmpfs and FUSE are left out."""
    if event.container is None or event.unmount or on_platform(event) or in_build(event):
        return None
    if program(event.process) in RUNTIMES | _SANDBOXES or event.process.memfd or event.process.user_ns:
        return None
    if (
        event.filesystem in ("tmpfs", "fuse", "fuse.sshfs", "overlay", "devpts", "mqueue", "fusectl", "nsfs")
        or (event.flags & 0x1000 and not event.source.startswith("/dev/"))
        or event.flags & 0x20
        or event.flags & 0xC0000
    ):
        return None
    disk = event.source.startswith("/dev/")
    control = event.filesystem in (
        "cgroup",
        "cgroup2",
        "proc",
        "sysfs",
        "debugfs",
        "securityfs",
        "bpf",
        "tracefs",
        "binfmt_misc",
    )
    return Match(
        f"{event.process} mounted {event.source} ({event.filesystem or 'unknown'}) at {event.target or 'no place yet'}",
        Severity.HIGH if disk or control else None,
        ("a disk of the node",) if disk else ("a kernel interface",) if control else (),
        key=event.filesystem or event.source,
    )


@detection(
    id="RT-0915",
    title="Raw device or kernel memory of the node opened",
    severity=Severity.HIGH,
    attack=("T1611",),
    on=SensitiveRead,
    response="Isolate the node: everything on its disk is known to the container.",
    action="opened a raw device of the node",
    needs=(READS,),
    benign=("Storage and disk-health agents (left out in platform namespaces).",),
    investigate=("Is the container privileged?",),
)
def raw_device(event: SensitiveRead) -> Match | None:
    """A container opens a block device or the memory of the node for reading, under whatever name."""
    if event.container is None or on_platform(event):
        return None
    disk = event.file_type == "block" or re.match(
        r"^/dev/(?:sd[a-z]\d*|nvme\d\S*|vd[a-z]\d*|xvd[a-z]\d*|dm-\d+|mapper/\S+|k?mem|port)$", event.path
    )
    if disk and not event.path.startswith("/dev/loop"):
        return Match(f"{event.process} opened {event.path}", key=event.path)
    return None


@detection(
    id="RT-0916",
    title="io_uring used in a container",
    severity=Severity.LOW,
    attack=("T1562", "T1106"),
    on=IoUring,
    response="Forbid io_uring for workloads (seccomp, kernel.io_uring_disabled) that do not need it.",
    action="used io_uring",
    needs=(KERNEL,),
    benign=("Databases and runtimes built for it: learned by image or exempt.",),
    investigate=("Which files and peers went through it? They miss in system-call based tools.",),
)
def io_uring_used(event: IoUring) -> Match | None:
    """A program from outside the image, a shell or an interpreter sends file or network requests through io_uring, which
    no system call shows (the evasion of the "Curing" rootkit, 2025); or anyone opens a sensitive file that way."""
    if event.container is None or on_platform(event) or in_build(event):
        return None
    if re.search(
        r"^/etc/(?:shadow|sudoers|ld\.so\.preload)|/run/secrets/|\.ssh/|/proc/\d+/(?:environ|mem)", event.path
    ):
        return Match(
            f"{event.process} opens {event.path} through io_uring",
            Severity.HIGH,
            ("past system-call monitoring",),
            (file_entity(event, event.path),),
            event.path,
        )
    if event.operation != "setup" and event.process.drift:
        return Match(
            f"{event.process} sends {event.operation} through io_uring",
            Severity.MEDIUM,
            ("the program is not from the image",),
            key=event.operation,
        )
    return None


@detection(
    id="RT-0917",
    title="Container started with sensitive folders of the node",
    severity=Severity.LOW,
    attack=("T1610", "T1611"),
    on=ContainerStart,
    response="Remove the mount or the privilege; compare with what the API server admitted.",
    action="started with sensitive folders of the node",
    needs=("container starts with mounts",),
    benign=("Node agents (left out in platform namespaces).",),
    investigate=("Was the container made through the API server (has it a pod)?",),
)
def sensitive_start(event: ContainerStart) -> Match | None:
    """A container starts privileged or with the node's root, /etc, runtime socket or kubelet folder, and has no pod: it
    came past the API server."""
    container = event.container
    if container is None or container.pod or container.namespace in PLATFORM_NAMESPACES:
        return None
    for source, target, read_only in event.mounts:
        if source in ("/", "/etc", "/root", "/proc", "/var/lib/kubelet", "/etc/kubernetes") or (
            source.endswith((".sock",)) and "run" in source
        ):
            return Match(
                f"container {container.name or container.id[:12]} has {source} at {target}{' (read-only)' if read_only else ''}",
                key=container.image or container.id,
            )
    if container.privileged:
        return Match(
            f"container {container.name or container.id[:12]} is privileged", key=container.image or container.id
        )
    return None
