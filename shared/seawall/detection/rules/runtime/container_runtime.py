"""Containers started or commanded past the API server."""

from __future__ import annotations

import re

from seawall.detection.declaration import detection
from seawall.detection.processes import (
    PLATFORM_NAMESPACES,
    RUNTIMES,
    on_platform,
    program,
    programs,
)
from seawall.detection.rules.runtime import EXECS, PEERS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import (
    Connect,
    ContainerStart,
    ProcessExec,
)
from seawall.domain.severity import Severity

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
