"""What this kernel gives the sensor, in words, and which analytics are blind without the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from seawall.catalog import collect
from seawall.detection.declaration import Detection
from seawall.domain import runtime_events as events
from seawall.domain.errors import SeawallError

from seawall_sensor.host import Host
from seawall_sensor.loader import Options, Programs
from seawall_sensor.records import Kind

EVENT_KINDS: dict[type[Any], frozenset[Kind]] = {
    events.ProcessExec: frozenset({Kind.EXEC}),
    events.ProcessExit: frozenset({Kind.EXIT}),
    events.ProcessFork: frozenset({Kind.FORK}),
    events.FileOpen: frozenset({Kind.OPEN}),
    events.SensitiveRead: frozenset({Kind.READ}),
    events.ScriptRun: frozenset({Kind.READ}),
    events.FileRename: frozenset({Kind.RENAME}),
    events.FileUnlink: frozenset({Kind.UNLINK}),
    events.FileChmod: frozenset({Kind.CHMOD}),
    events.FileLink: frozenset({Kind.LINK}),
    events.FileTimes: frozenset({Kind.TIMES}),
    events.FileCapabilities: frozenset({Kind.FILE_CAPS}),
    events.Mount: frozenset({Kind.MOUNT}),
    events.Connect: frozenset({Kind.CONNECT}),
    events.Accept: frozenset({Kind.ACCEPT}),
    events.Listen: frozenset({Kind.LISTEN}),
    events.UdpSend: frozenset({Kind.UDP_SEND}),
    events.Flow: frozenset({Kind.FLOW, Kind.CONNECT}),
    events.DnsQuery: frozenset({Kind.DNS}),
    events.DnsAnswer: frozenset({Kind.DNS}),
    events.RawSocket: frozenset({Kind.SOCKET}),
    events.Ptrace: frozenset({Kind.PTRACE}),
    events.NamespaceChange: frozenset({Kind.NAMESPACE}),
    events.CredentialChange: frozenset({Kind.CREDENTIALS}),
    events.ModuleLoad: frozenset({Kind.MODULE}),
    events.BpfLoad: frozenset({Kind.BPF}),
    events.IoUring: frozenset({Kind.IO_URING}),
    events.KernelCall: frozenset({Kind.KERNEL_CALL}),
    events.Signal: frozenset({Kind.SIGNAL}),
    events.ProcessVmWrite: frozenset({Kind.VM_WRITE, Kind.OPEN}),
}
"""Event of an analytic: the records that it is made from."""

ALWAYS = frozenset({Kind.EXEC, Kind.EXIT, Kind.CGROUP})
"""What the process and container caches live on."""

WORDS: dict[Kind, str] = {
    Kind.EXEC: "programs that are started",
    Kind.OPEN: "files opened for writing",
    Kind.READ: "sensitive files read",
    Kind.RENAME: "renames, removals, links and permissions",
    Kind.TIMES: "times of files set",
    Kind.FILE_CAPS: "capabilities given to files",
    Kind.MOUNT: "mounts",
    Kind.CONNECT: "connections",
    Kind.LISTEN: "listening sockets",
    Kind.UDP_SEND: "datagrams",
    Kind.DNS: "DNS questions and answers",
    Kind.SOCKET: "raw and packet sockets",
    Kind.PTRACE: "debugging of other processes",
    Kind.NAMESPACE: "namespaces entered or made",
    Kind.CREDENTIALS: "changes of user ids and capabilities",
    Kind.MODULE: "kernel modules",
    Kind.BPF: "eBPF programs loaded",
    Kind.KERNEL_CALL: "page faults taken over, descriptors taken from other processes, kernels loaded",
    Kind.IO_URING: "requests through io_uring",
    Kind.SIGNAL: "signals between processes",
    Kind.VM_WRITE: "writes into other processes' memory",
    Kind.CGROUP: "containers as they start and stop",
    Kind.FLOW: "bytes per connection",
}


COSTS: dict[str, str] = {
    "may_exec": "policies that block a program kill it as it starts instead of refusing it with EPERM",
    "on_module_load": "attempts to load kernel modules are seen, not whether and under which name they were loaded",
    "on_ring_create": "that a program uses io_uring is seen by its requests only",
    "on_submit_req": "files and peers reached through io_uring are not seen, only that a ring was set up",
    "on_submit_sqe": "files and peers reached through io_uring are not seen, only that a ring was set up",
    "on_submit_to_ring": "files and peers reached through io_uring are not seen, only that a ring was set up",
    "may_connect4": "policies can not block connections",
    "may_connect6": "policies can not block connections over IPv6",
    "dns_questions": "names that pods ask for are not seen; peers have addresses only",
    "dns_answers": "answers are not seen; peers have addresses only",
    "on_sys_exit": "files, connections, mounts and calls into the kernel are not seen",
    "on_signal": "who ends whose processes is not seen",
    "on_socket_state": "bytes per connection and refused connections of callers that do not wait are not seen",
    "on_fork": "nothing that an analytic needs",
    "on_cgroup_mkdir": "a container is known only once one of its processes does something",
    "on_cgroup_rmdir": "the end of a container is not told",
}
"""Program: what an operator loses where the kernel does not take it."""


def kinds_of(rules: Iterable[Detection]) -> frozenset[Kind]:
    """Return the kinds of records that these analytics need."""
    kinds = set(ALWAYS) | {Kind.IN_USE}
    for rule in rules:
        for event, needed in EVENT_KINDS.items():
            if issubclass(event, rule.on):
                kinds |= needed
    return frozenset(kinds)


@dataclass(slots=True)
class Report:
    """What `check` found."""

    kernel: str
    machine: str
    works: bool
    reason: str = ""
    attached: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    blind: list[str] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    """Of the blind analytics."""
    unseen: list[str] = field(default_factory=list)
    exec_blocking: str = ""
    network_blocking: bool = False
    system_calls: str = ""
    reading: str = ""
    """How the kernel's objects are read."""
    names: str = ""
    """Where the names of files that are removed, renamed, linked or mounted on come from."""
    cgroups: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the report for machines."""
        return {name: getattr(self, name) for name in self.__slots__}

    def text(self) -> str:
        """Return the report for people."""
        lines = [f"kernel {self.kernel} on {self.machine}, {self.cgroups}"]
        if not self.works:
            return "\n".join([*lines, f"the sensor can not work here: {self.reason}", ""])
        lines.append(f"{len(self.attached)} hooks attach; the sensor works here")
        lines.append(f"blocking of programs: {self.exec_blocking}")
        lines.append(f"blocking of connections: {'by cgroup hooks' if self.network_blocking else 'not possible'}")
        lines.append(f"system calls: {self.system_calls}")
        lines.append(f"the kernel's objects are read by {self.reading}")
        lines.append(f"names given to unlink, rename, link and mount: {self.names}")
        for hook, reason in sorted(self.missing.items()):
            costs = COSTS.get(hook, "see what is not seen below")
            lines.append(f"missing: {hook}, because {reason}")
            lines.append(f"  what that costs: {costs}")
        lines.extend(f"not seen at all: {words}" for words in self.unseen)
        if self.blind:
            lines.append("analytics that can not fire here:")
            lines.extend(f"  {identity} {self.titles.get(identity, '')}" for identity in self.blind)
        else:
            lines.append("analytics that can not fire here: none")
        return "\n".join([*lines, ""])


def examine() -> Report:
    """Load and attach everything for a moment and say what held. Changes nothing that stays."""
    host = Host.here()
    cgroups = "cgroup v2" if host.cgroup_subsystem < 0 else f"cgroup v1 ({host.cgroup_root})"
    report = Report(host.kernel, host.machine, True, cgroups=cgroups)
    programs = Programs(
        host, Options(kinds=frozenset(Kind), enforce=True, process_ring_bytes=4096, event_ring_bytes=4096)
    )
    try:
        programs.start()
    except SeawallError as error:
        report.works, report.reason = False, str(error)
        return report
    finally:
        programs.close()
    hooks = programs.hooks
    report.attached, report.missing = sorted(hooks.attached), dict(hooks.missing)
    blind = hooks.blind_kinds()
    report.unseen = [WORDS[kind] for kind in sorted(blind) if kind in WORDS]
    report.titles = {
        rule.id: rule.title
        for package in ("runtime", "baseline.containers")
        for rule in collect(f"seawall.detection.rules.{package}", Detection)
        if any(issubclass(event, rule.on) and needed <= blind for event, needed in EVENT_KINDS.items())
    }
    report.blind = sorted(report.titles)
    if "may_exec" in hooks.attached:
        report.exec_blocking = "before they run, by the BPF security module"
    else:
        report.exec_blocking = f"none; they are killed as they start ({hooks.missing.get('may_exec', '')})"
    if "call_ends" in hooks.attached:
        report.system_calls = (
            "by trampolines at the functions behind them; calls that no analytic needs are not touched"
        )
    elif "on_sys_exit" in hooks.attached:
        report.system_calls = (
            "by the tracepoint that all calls pass, which costs each about 0.1 microseconds; trampolines: "
            f"{hooks.trampolines}"
        )
    report.reading = (
        "plain loads" if hooks.direct else "calls of a helper, which cost an exec three times as much (before 6.2)"
    )
    report.names = (
        "from the kernel's objects"
        if hooks.by_object
        else "from the caller's memory, which a second thread can change while the call runs"
    )
    report.network_blocking = "may_connect4" in hooks.attached
    return report
