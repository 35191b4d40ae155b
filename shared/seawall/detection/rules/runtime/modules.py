"""Code put into the kernel: modules and eBPF."""

from __future__ import annotations

from seawall.detection.declaration import detection
from seawall.detection.processes import (
    by_package_manager,
    in_build,
    on_platform,
    program,
)
from seawall.detection.rules.runtime import EXECS, KERNEL
from seawall.domain.alerts import Entity, EntityKind, Match
from seawall.domain.runtime_events import (
    BpfLoad,
    ModuleLoad,
    ProcessExec,
)
from seawall.domain.severity import Severity


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
