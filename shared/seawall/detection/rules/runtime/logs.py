"""Logs of the system and of containers removed."""

from __future__ import annotations

import re

from seawall.detection.declaration import detection
from seawall.detection.processes import (
    RUNTIMES,
    SHELLS,
    by_package_manager,
    file_entity,
    in_build,
    program,
    programs,
    script_text,
)
from seawall.detection.rules.runtime import EXECS, FILES
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import (
    FileEvent,
    FileOpen,
    FileRename,
    FileUnlink,
    ProcessExec,
)
from seawall.domain.severity import Severity

_LOGS = re.compile(
    r"^(?:/host|/rootfs|/hostfs|/proc/1/root)?/(?:var/log/(?:syslog|messages|secure|auth\.log|kern\.log|daemon\.log|cron|maillog|mail\.log|boot\.log|dmesg|wtmp|btmp|lastlog|faillog|tallylog|utmp"
    r"|audit/\S+|journal/\S+|apache2/\S+|httpd/\S+|nginx/\S+|kube-apiserver/\S+|kubernetes/\S+|yum\.log|dpkg\.log|cloud-init\S*\.log|waagent\.log|azure/\S+)|run/(?:utmp|log/journal/\S+)|var/run/utmp)$"
)


_ROTATORS = frozenset(
    {
        "logrotate", "systemd-journald", "systemd-journal", "journalctl", "rsyslogd", "syslog-ng", "savelog", "newsyslog", "auditd", "cronolog",
        "systemd-tmpfiles", "systemd-tmpfile", "multilog", "svlogd", "cloud-init", "mysqld", "systemd", "login", "sshd", "agetty", "init", "runsvdir",
        "fluent-bit", "fluentd", "filebeat", "promtail", "nginx", "apache2", "httpd", "waagent",
    }
)  # fmt: skip


@detection(
    id="RT-0805",
    title="System or login log removed",
    severity=Severity.MEDIUM,
    attack=("T1070.002",),
    on=FileEvent,
    response="Take the logs from where they were shipped to; treat the host or container as compromised.",
    action="removed a log",
    catalogue=("K8S.NODE_SystemLogRemoval",),
    needs=(FILES,),
    benign=("Log rotation and services that rotate their own (left out).", "Image builds (left out)."),
    investigate=("What do the shipped logs say just before?",),
)
def system_log_removed(event: FileEvent) -> Match | None:
    """A system, authentication, login or web-server log is deleted, truncated or overwritten."""
    removed = isinstance(event, FileUnlink | FileRename) or (isinstance(event, FileOpen) and event.truncates)
    if not removed or not _LOGS.match(event.path) or in_build(event) or by_package_manager(event):
        return None
    name = program(event.process)
    if name in _ROTATORS or any(item in ("logrotate", "savelog") for item in programs(event)):
        return None
    if re.search(r"\.(?:\d+|gz|old|xz)$|-\d{8}", event.path):
        return None
    if isinstance(event, FileRename) and event.path.rpartition("/")[0] == event.target.rpartition("/")[0]:
        return None  # rotation, or a new file put in the old one's place
    return Match(f"{event.process} removed {event.path}", entities=(file_entity(event, event.path),), key=event.path)


@detection(
    id="RT-0806",
    title="System log removed by command",
    severity=Severity.MEDIUM,
    attack=("T1070.002",),
    on=ProcessExec,
    response="Take the logs from where they were shipped to.",
    action="removed a log",
    programs=SHELLS
    | frozenset({"rm", "shred", "truncate", "journalctl", "dd", "cp", "unlink", "utmpdump", "logtamper"}),
    catalogue=("K8S.NODE_SystemLogRemoval",),
    needs=(EXECS,),
    benign=("Clean-up of old rotated files; `journalctl --vacuum-*` by size on nodes counts low.",),
    investigate=("Who ran it?",),
)
def log_command(event: ProcessExec) -> Match | None:
    """rm, shred, truncate or a redirection empties system or login logs; the journal is vacuumed to nothing."""
    if (
        in_build(event)
        or by_package_manager(event)
        or any(name in ("logrotate", "cloud-init") for name in programs(event))
    ):
        return None
    process = event.process
    name = program(process)
    if name == "journalctl":
        found = re.search(r"--vacuum-(?:time|size|files)[= ]([0-9]+)(s|sec|m|min|K|B|b|$|\s)", process.command_line)
        return (
            Match(process.command_line[:160], Severity.LOW, (), key="journal")
            if found and int(found.group(1)) <= 10
            else None
        )
    if name in SHELLS:
        text = script_text(process)
        if re.search(
            r"(?:^|[;&|\s])(?:cat\s+/dev/null\s*|echo\s*(?:-n\s*)?[\"']*\s*|:\s*|)>\s*/var/(?:log/(?:syslog|messages|secure|auth\.log|wtmp|btmp|lastlog|audit/|nginx/|apache2/|kern)|run/utmp)",
            text,
        ):
            return Match(f"empties logs: {text[:160]}", key="logs")
        return None
    for argument in process.args[1:]:
        path = argument.removeprefix("of=")
        if name == "cp" and argument is not process.args[-1]:
            continue
        if _LOGS.match(path) or path in ("/var/log", "/var/log/", "/var/log/*", "/var/log/audit", "/var/log/journal"):
            return Match(process.command_line[:160], entities=(file_entity(event, path),), key="logs")
    return None


_CONTAINER_LOGS = re.compile(
    r"^(?:/host|/rootfs|/hostfs|/proc/1/root)?/var/(?:log/(?:pods|containers)/\S+|lib/docker/containers/\S+\.log|log/kube-(?:apiserver|audit)\S*)"
)


@detection(
    id="RT-0814",
    title="Container log removed",
    severity=Severity.MEDIUM,
    attack=("T1070.002",),
    on=FileEvent,
    response="Take the logs from where they were shipped to.",
    action="removed a container's log",
    catalogue=("X_ContainerLogWipe",),
    needs=(FILES,),
    benign=("kubelet and runtimes rotating (left out), log shippers.",),
    investigate=("Which pod's log, and what did the pod do?",),
)
def container_log_removed(event: FileEvent) -> Match | None:
    """A log below /var/log/pods or /var/log/containers is deleted or truncated by anything but kubelet and runtime."""
    removed = isinstance(event, FileUnlink | FileRename) or (isinstance(event, FileOpen) and event.truncates)
    if not removed or not _CONTAINER_LOGS.match(event.path):
        return None
    name = program(event.process)
    if name in RUNTIMES | {"logrotate", "systemd-tmpfiles", "systemd-tmpfile", "kubelet", "systemd"} or any(
        item == "logrotate" for item in programs(event)
    ):
        return None
    return Match(f"{event.process} removed {event.path}", entities=(file_entity(event, event.path),), key=event.path)
