"""Shells where none belongs: reverse shells, web shells, shells of databases and application servers."""

from __future__ import annotations

import re
from datetime import timedelta

from seawall.detection.declaration import Logic, detection
from seawall.detection.processes import (
    INTERPRETERS,
    SHELLS,
    by_package_manager,
    file_entity,
    in_build,
    interactive,
    ip_entity,
    is_hidden,
    is_temporary,
    on_platform,
    plain,
    program,
    programs,
    reads_commands,
    script_text,
)
from seawall.detection.rules.runtime import EXECS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import ProcessExec
from seawall.domain.severity import Severity

_DISCOVERY = frozenset(
    {
        "id", "whoami", "uname", "hostname", "ifconfig", "ip", "netstat", "ss", "ps", "w", "who", "last", "lsof", "arp",
        "route", "env", "printenv", "groups", "lscpu", "nproc", "free", "df", "mount", "lsblk", "lsmod", "capsh",
        "lsns", "getcap", "getent", "sysctl", "dmesg", "uptime", "hostnamectl", "lsb_release", "arch", "findmnt",
        "systemctl", "dpkg-query", "crontab", "sestatus", "aa-status", "locate", "which", "whereis",
    }
)  # fmt: skip


REVERSE = re.compile(
    r"/dev/(?:tcp|udp)/[\w.-]+/\d+"
    r"|\bbash\s+-i\s*[<>&0-9\s]*>&?\s*/dev/"
    r"|\bmkfifo\b.{0,200}?\b(?:nc|ncat|netcat|openssl|telnet|socat)\b"
    r"|\bmknod\b\s+\S+\s+p\b.{0,200}?\b(?:nc|ncat|netcat|telnet)\b"
    r"|\b(?:nc|ncat|netcat)\b[^|;&]*\s(?:-[a-z]*[ec][a-z]*\s*|--exec[= ]|--sh-exec[= ])\S*sh\b"
    r"|\bsocket\.socket\b.{0,300}?(?:os\.dup2|subprocess|pty\.spawn)"
    r"|\bpty\.spawn\b.{0,80}?sh\b.{0,200}?\bsocket\b"
    r"|\bfsockopen\s*\(.{0,200}?(?:exec|shell_exec|system|passthru|popen|proc_open|`)"
    r"|\bTCPSocket\.(?:new|open)\b.{0,200}?(?:exec|IO\.popen|to_i)"
    r"|\bSocket\b.{0,120}?\bexec\b.{0,40}?sh\b.{0,20}?-i"
    r"|\buse Socket\b.{0,300}?open\(STDIN"
    r"|\bIO::Socket::INET\b.{0,300}?(?:exec|fdopen|system)"
    r"|\bnet\.(?:Socket|connect|createConnection)\b.{0,300}?child_process"
    r"|child_process.{0,300}?\bnet\.(?:Socket|connect|createConnection)\b"
    r"|\bopenssl\s+s_client\b.{0,200}?\|\s*(?:\S*/)?(?:ba|da|z)?sh\b"
    r"|\btelnet\b\s+\S+\s+\d+\s*\|\s*(?:\S*/)?(?:ba|da|z)?sh\b"
    r"|\bsocat\b.{0,200}?exec:.{0,60}?sh\b.{0,120}?tcp|\bsocat\b.{0,200}?\b(?:tcp|openssl|udp)\d?(?:-connect)?:.{0,200}?\bexec:.{0,60}?sh\b",
    re.DOTALL | re.IGNORECASE,
)


@detection(
    id="RT-0501",
    title="Reverse shell",
    severity=Severity.HIGH,
    attack=("T1059.004", "T1095"),
    on=ProcessExec,
    response="Cut the pod's network at once; the far end of the connection commands it.",
    action="opened a reverse shell",
    logic=Logic.CORRELATION,
    catalogue=("K8S.NODE_ReverseShell",),
    needs=(EXECS, "kinds of descriptors at exec"),
    confidence="high",
    benign=(
        "inetd-style services that hand their socket to a script on purpose.",
        "A script that only tests a port (`</dev/tcp/host/port`) is left out when nothing is bound to it.",
    ),
    investigate=("Who is the peer? What did the shell run since (same process tree)?",),
)
def reverse_shell(event: ProcessExec) -> Match | None:
    """A shell or interpreter starts with a network socket as its input and output, a shell that was given nothing else to run
    with one as its input, or either with a well-known one-liner.

    The first way needs no words: descriptors are looked at in the kernel when the program starts.
    """
    name = program(event.process)
    peer = event.peer.rpartition(":")[0].strip("[]")
    entities = (ip_entity(peer),) if peer else ()
    both = "socket" in event.stdio[1:]
    if event.stdio[0] == "socket" and (name in SHELLS | INTERPRETERS if both else reads_commands(event.process)):
        if (
            peer.startswith("127.")
            or peer == "::1"
            or any(
                item in ("sshd", "in.telnetd", "inetd", "xinetd", "rshd", "systemd", "tini-inetd")
                for item in programs(event)
            )
        ):
            return None
        to = f" ({event.peer})" if event.peer else ""
        ways = "input and output" if both else "input"
        return Match(f"{name} has a network connection as its {ways}{to}", entities=entities, key="socket")
    text = plain(script_text(event.process)) or (event.process.command_line if name in ("socat", "ncat", "nc") else "")
    if len(text) < 10:
        return None
    found = REVERSE.search(text[:8192])
    if found is None or (found.group().lower().startswith("/dev/") and not _bound(text)):
        return None
    return Match(f"one-liner of a reverse shell: {text[:200]}", entities=entities, key="one-liner")


def _bound(text: str) -> bool:
    """Whether /dev/tcp is more than probed: a shell, or both directions, hang on it."""
    return bool(
        re.search(
            r"\bsh\b.*(?:-i|[<>]&)|exec\s+\d+<>|[<>]&\s*\d|0<&|\d+<>|\b(?:ba|da|z)?sh\s+-i|\|\s*(?:ba|da|z)?sh\b", text
        )
    )


@detection(
    id="RT-0504",
    title="Interactive shell in a container",
    severity=Severity.LOW,
    attack=("T1059.004", "T1609"),
    on=ProcessExec,
    response="Ask who works there; production containers need no terminal.",
    action="had an interactive shell",
    programs=SHELLS,
    catalogue=("X_InteractiveShell",),
    needs=(EXECS,),
    benign=(
        "Debugging by the team (`kubectl exec -it`): joins with the audit log's RT counterpart.",
        "Jump hosts and notebooks.",
    ),
    investigate=("Which user ran `kubectl exec` at this second (audit log)?",),
)
def interactive_shell(event: ProcessExec) -> Match | None:
    """A shell with a terminal starts in a container, not below another such shell."""
    if event.container is None or not interactive(event) or in_build(event):
        return None
    if script_text(event.process) or event.script:
        return None
    above = event.process.ancestors[0] if event.process.ancestors else None
    if above is not None and program(above) in SHELLS:
        return None
    how = "entered from outside" if event.process.entered else "as the container's own program"
    lowered = None if event.process.entered else Severity.INFORMATIONAL
    return Match(
        f"{program(event.process)} at terminal {event.process.tty}, {how}", lowered, (how,), key=event.process.tty
    )


_JNDI = re.compile(r"\$\{(?:jndi|\$\{|lower:|upper:|env:|sys:|::-)|jndi:(?:ldaps?|rmi|dns|iiop)://", re.IGNORECASE)


_JAVA_TOOLS = frozenset({"java", "javac", "jstat", "jcmd", "jstack", "jmap", "keytool"})


@detection(
    id="RT-0511",
    title="nohup of a hidden or temporary file",
    severity=Severity.MEDIUM,
    attack=("T1059.004", "T1564.001"),
    on=ProcessExec,
    response="Keep the file and stop the process.",
    action="left a hidden program running",
    programs=SHELLS | frozenset({"nohup", "setsid", "disown", "daemonize", "screen", "tmux"}),
    catalogue=("K8S.NODE_SuspectNohup",),
    needs=(EXECS,),
    benign=("Long jobs that a person started from /tmp.",),
    investigate=("What is the file, who wrote it?",),
)
def nohup_hidden(event: ProcessExec) -> Match | None:
    """nohup, setsid or screen detaches a program whose path is hidden or in a temporary folder."""
    process = event.process
    name = program(process)
    if in_build(event):
        return None
    if name in SHELLS:
        found = re.search(
            r"\b(?:nohup|setsid)\s+(?:-\S+\s+)*((?:ba|da)?sh\s+|python\d?\s+|perl\s+)?(\S+)", script_text(process)
        )
        target, direct = (found.group(2), not found.group(1)) if found else ("", False)
    else:
        rest = [item for item in process.args[1:] if not item.startswith("-")]
        target = next((item for item in rest if item.rpartition("/")[2] not in SHELLS | INTERPRETERS), "")
        direct = rest[:1] == [target]
    if not target or (direct and "/" not in target):
        return None  # a command without a slash is looked for in PATH, not here
    path = target if target.startswith("/") else f"{process.cwd.rstrip('/')}/{target}"
    if is_temporary(path) or is_hidden(target.removeprefix("./")):
        return Match(f"{name} detaches {path}", entities=(file_entity(event, path),), key=path)
    return None


@detection(
    id="RT-0513",
    title="Burst of discovery commands",
    severity=Severity.LOW,
    attack=("T1082", "T1033", "T1057", "T1016"),
    on=ProcessExec,
    response="Look at what led to it (RT-0501, RT-0502, RT-0504) and what followed.",
    action="explored the system",
    logic=Logic.CORRELATION,
    programs=_DISCOVERY | frozenset({"cat", "head", "ls"}),
    catalogue=("K8S.NODE_ReconnaissanceArtifactsBurst",),
    needs=(EXECS,),
    benign=(
        "Diagnosis by a person.",
        "Start-up and support scripts: those of the container's first seconds are left out.",
    ),
    investigate=("Does one shell stand above all of them?",),
    window=timedelta(minutes=2),
    by="scope+session",
    threshold=5,
    distinct="command",
)
def discovery_burst(event: ProcessExec) -> Match | None:
    """Five different host-discovery commands within two minutes in one session of one container or node."""
    if in_build(event) or by_package_manager(event) or on_platform(event):
        return None
    process = event.process
    name = program(process)
    if name in ("cat", "head", "ls") and not re.search(
        r"/etc/(?:os-release|issue|passwd|group|hosts|resolv\.conf|\S*-release|fstab|crontab)|/proc/(?:version|cpuinfo|meminfo|mounts|self/|1/|net/|sys/)|/sys/(?:fs/cgroup|class)|/var/run/secrets",
        process.command_line,
    ):
        return None
    if name == "env" and any("=" not in argument and not argument.startswith("-") for argument in process.args[1:]):
        return None  # it starts a program: `#!/usr/bin/env bash`
    if name == "mount" and any(argument.startswith("/") for argument in process.args[1:]):
        return None  # it mounts, and lists nothing
    container = event.container
    if (
        container is not None
        and container.started_ns
        and not process.entered
        and not interactive(event)
        and event.ts_ns - container.started_ns < 20_000_000_000
    ):
        return None
    return Match(f"discovery: {process.command_line[:120]}", key="discovery")


@detection(
    id="RT-0514",
    title="Program started by a system account in a login session",
    severity=Severity.LOW,
    attack=("T1059", "T1078"),
    on=ProcessExec,
    response="System accounts do not log in: find out how this one got a terminal.",
    action="ran a program as a system account",
    needs=(EXECS,),
    programs=SHELLS,
    benign=("`su -s /bin/sh www-data` by an administrator.",),
    investigate=("Which process stands above the shell?",),
)
def system_account_shell(event: ProcessExec) -> Match | None:
    """An interactive shell on a node runs as a system account (uid 1 to 999)."""
    process = event.process
    if event.container is not None or not interactive(event) or not 0 < process.uid < 1000 or script_text(process):
        return None
    if any(name in ("sudo", "su", "runuser") for name in programs(event)):
        return None
    return Match(f"{program(process)} at {process.tty} as uid {process.uid}", key=str(process.uid))
