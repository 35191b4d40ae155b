"""Linux namespaces made and entered from containers."""

from __future__ import annotations

import re

from seawall.detection.declaration import detection
from seawall.detection.processes import (
    RUNTIMES,
    SHELLS,
    by_package_manager,
    in_build,
    on_platform,
    program,
    script_text,
)
from seawall.detection.rules.runtime import EXECS, KERNEL
from seawall.detection.rules.runtime.escape import SANDBOXES
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import (
    NamespaceChange,
    ProcessExec,
)
from seawall.domain.severity import Severity


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
    if name in SANDBOXES | RUNTIMES or (on_platform(event) and "user" not in event.namespaces):
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
