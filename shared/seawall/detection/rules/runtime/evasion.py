"""Traces removed and defences switched off."""

from __future__ import annotations

import re

from seawall.detection.declaration import detection
from seawall.detection.processes import (
    BUILDERS,
    INTERPRETERS,
    PACKAGE_MANAGERS,
    RUNTIMES,
    SECURITY_PROCESSES,
    SHELLS,
    by_package_manager,
    by_runtime,
    file_entity,
    for_a_person,
    in_build,
    is_hidden,
    is_temporary,
    on_platform,
    program,
    programs,
    script_text,
    told,
)
from seawall.detection.rules.runtime import EXECS, FILES, KERNEL
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import (
    FileEvent,
    FileLink,
    FileOpen,
    FileRename,
    FileTimes,
    FileUnlink,
    ProcessExec,
    Signal,
)
from seawall.domain.severity import Severity

_HISTORY = re.compile(r"/\.(?:bash|zsh|sh|ash|ksh|python|mysql|psql|lesshst)_?history$|/fish_history$|/\.histfile$")


@detection(
    id="RT-0801",
    title="Shell history wiped",
    severity=Severity.MEDIUM,
    attack=("T1070.003",),
    on=FileEvent,
    response="Reconstruct the session from process starts; treat the account as compromised.",
    action="wiped a shell history",
    catalogue=("K8S.NODE_HistoryFileCleared",),
    needs=(FILES,),
    benign=("Image builds and golden-image clean-up (left out).", "Shells trim their own history (left out)."),
    investigate=("What ran in that session before?",),
)
def history_file_wiped(event: FileEvent) -> Match | None:
    """A history file is deleted, truncated, renamed away or linked to /dev/null by something other than its shell."""
    wiped = (
        (isinstance(event, FileUnlink | FileRename) and _HISTORY.search(event.path))
        or (isinstance(event, FileOpen) and event.truncates and _HISTORY.search(event.path))
        or (isinstance(event, FileLink) and event.path == "/dev/null" and _HISTORY.search(event.target))
        or (
            isinstance(event, FileRename)
            and _HISTORY.search(event.target)
            and program(event.process) in ("ln", "mv", "cp")
        )
    )
    if not wiped or in_build(event) or by_package_manager(event) or by_runtime(event):
        return None
    name = program(event.process)
    if name in {"mysql", "psql", "python", "less"} and not isinstance(event, FileOpen | FileLink):
        return None
    if name in SHELLS and not isinstance(event, FileOpen | FileLink) and not script_text(event.process):
        return None  # a shell puts its new history in the old one's place
    if for_a_person(event.process) and isinstance(event, FileOpen):
        return None  # an interactive shell rewrites its history when it ends
    return Match(
        f"{event.process} wiped {event.changed}", entities=(file_entity(event, event.changed),), key=event.changed
    )


@detection(
    id="RT-0802",
    title="Shell history cleared by command",
    severity=Severity.MEDIUM,
    attack=("T1070.003",),
    on=ProcessExec,
    response="Reconstruct the session from process starts; treat the account as compromised.",
    action="cleared its shell history",
    programs=SHELLS | frozenset({"rm", "shred", "truncate", "ln", "cp", "unlink", "srm"}),
    catalogue=("K8S.NODE_HistoryFileCleared",),
    needs=(EXECS,),
    benign=("Image builds (left out).",),
    investigate=("What ran in that session before?",),
)
def history_command(event: ProcessExec) -> Match | None:
    """`history -c`, or a command that removes, empties or links away a history file."""
    if in_build(event) or by_package_manager(event):
        return None
    text = event.process.command_line
    name = program(event.process)
    if name in SHELLS:
        script = script_text(event.process)
        if re.search(
            r"\bhistory\s+-\w*[cw]|(?:^|[;&|\s])>\s*\S*\.\w*_?history\b|cat\s+/dev/null\s*>\s*\S*history\b", script
        ):
            return Match(f"clears the history: {script[:160]}", key="history")
        return None
    if re.search(r"\.(?:bash|zsh|sh|ash|python|mysql)_history\b", text):
        return Match(f"{text[:160]}", key="history")
    return None


@detection(
    id="RT-0803",
    title="Command-history logging switched off",
    severity=Severity.MEDIUM,
    attack=("T1562.003",),
    on=ProcessExec,
    response="Look at everything this session started.",
    action="switched off its shell history",
    catalogue=("K8S.NODE_HistoryImpair†",),
    needs=(EXECS,),
    benign=("Some images set HISTFILE=/dev/null for every shell: the container's own program is left out.",),
    investigate=("What ran next?",),
)
def history_switched_off(event: ProcessExec) -> Match | None:
    """`unset HISTFILE`, `HISTSIZE=0`, `set +o history`, or a shell started with a history file of /dev/null."""
    if in_build(event) or by_package_manager(event):
        return None
    process = event.process
    name = program(process)
    if name in SHELLS:
        script = script_text(process)
        if re.search(
            r"\bunset\s+(?:\S+\s+)*HIST\w+|\bHIST(?:FILE)?SIZE=0\b|\bHISTFILE=(?:/dev/null|[\"']{2}|;|\s|$)|set\s+\+o\s+history|\bHISTCONTROL=ignore(?:space|both|dups)\b.*;\s",
            script,
        ):
            return Match(f"switches the history off: {script[:160]}", key="command")
        environment = event.environment
        off = environment.get("HISTFILE") == "/dev/null" or environment.get("HISTSIZE") == "0"
        if off and process.tty and process.ancestors and program(process.ancestors[0]) in SHELLS:
            return Match("an interactive shell runs without history", key="environment")
    elif name == "ln" and "/dev/null" in process.args and re.search(r"\.\w+_history\b", process.command_line):
        return Match(f"{process.command_line[:160]}", key="link")
    return None


@detection(
    id="RT-0804",
    title="Update timer stopped",
    severity=Severity.INFORMATIONAL,
    attack=("T1562.001", "T1489"),
    on=ProcessExec,
    response="Start the timer again unless updates are managed elsewhere.",
    action="stopped the update timer",
    programs=SHELLS | frozenset({"systemctl", "service", "chkconfig", "update-rc.d"}),
    catalogue=("K8S.NODE_TimerServiceDisabled",),
    needs=(EXECS,),
    benign=("Node images that disable it on purpose at start (cloud-init and node agents are left out).",),
    investigate=("Who ran it?",),
)
def update_timer_stopped(event: ProcessExec) -> Match | None:
    """systemctl stops, disables or masks a timer or service of automatic updates."""
    text = told(event.process)
    if any(name in ("cloud-init", "waagent", "ansible", "nodeadm", "packer") for name in programs(event)):
        return None
    if re.search(r"\b(?:stop|disable|mask|off|remove)\b", text) and re.search(
        r"\b(?:apt-daily(?:-upgrade)?|unattended-upgrades|dnf-automatic|dnf-makecache|yum-cron|packagekit|update-engine|locksmithd|zincati|snapd\.refresh|yum-updatesd)\b",
        text,
    ):
        return Match(text[:160], key="timer")
    return None


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


def _names_security(text: str) -> str:
    for word in re.findall(r"[\w.-]{3,}", text.lower()):
        bare = word.removesuffix(".service").removesuffix(".socket")
        if bare in _AGENTS or bare in _SERVICES:
            return str(bare)
    return ""


_AGENTS = SECURITY_PROCESSES - {"clickhouse"}
_SERVICES = frozenset(
    {
        "apparmor", "selinux", "firewalld", "ufw", "nftables", "iptables", "fail2ban", "auditd", "falco", "falcoctl", "osquery", "wazuh-agent",
        "ossec", "mdatp", "falcon-sensor", "cbdaemon", "sysmon", "sysmonforlinux", "clamav-daemon", "clamav", "crowdsec", "aide", "samhain",
        "tripwire", "rkhunter", "chkrootkit", "azuremonitoragent", "omsagent", "amazon-cloudwatch-agent", "awsagent", "google-cloud-ops-agent",
        "stackdriver-agent", "aliyun", "aegis", "cloudmonitor", "bcm-agent", "qcloud", "ydservice", "rsyslog", "syslog", "syslog-ng", "systemd-journald",
        "seawall-sensor", "tetragon", "kubearmor", "sentinelone", "ds_agent", "nessusd", "qualys-cloud-agent", "rapid7", "elastic-agent", "auditbeat",
    }
)  # fmt: skip


@detection(
    id="RT-0807",
    title="Security process killed",
    severity=Severity.LOW,
    attack=("T1562.001",),
    on=ProcessExec,
    response="Start it again and find who stopped it; look at what happened in the gap.",
    action="tried to kill a security process",
    programs=SHELLS | frozenset({"pkill", "killall", "kill"}),
    catalogue=("K8S.NODE_SuspectProcessTermination",),
    needs=(EXECS,),
    benign=("Agent updates by package managers (left out).", "An administrator who restarts an agent."),
    investigate=("Does the agent come back?",),
)
def security_process_kill(event: ProcessExec) -> Match | None:
    """pkill, killall or kill is aimed at a security or monitoring process by name."""
    if by_package_manager(event) or in_build(event):
        return None
    process = event.process
    text = script_text(process) if program(process) in SHELLS else process.command_line
    if not re.search(r"\b(?:pkill|killall|kill)\b", text):
        return None
    named = _names_security(text)
    if not named:
        return None
    inside = event.container is not None
    return Match(
        f"{named} is killed: {text[:160]}",
        Severity.MEDIUM if inside else None,
        ("from a container",) if inside else (),
        key=named,
    )


@detection(
    id="RT-0808",
    title="Signal ended a security process",
    severity=Severity.MEDIUM,
    attack=("T1562.001",),
    on=Signal,
    response="Start it again and find who sent the signal; look at what happened in the gap.",
    action="killed a security process",
    catalogue=("K8S.NODE_SecurityProcessTermination†",),
    needs=(KERNEL,),
    confidence="high",
    benign=("systemd, runtimes and the kubelet stopping a service (left out).", "Package updates (left out)."),
    investigate=("Who sent it?", "Does the process come back?"),
)
def security_process_signalled(event: Signal) -> Match | None:
    """SIGKILL, SIGTERM or SIGSTOP reaches a security sensor or agent from something that does not manage it."""
    target = event.target_exe.rpartition("/")[2].lower()
    if event.signal not in (1, 2, 3, 6, 9, 15, 19) or target not in _AGENTS or by_package_manager(event):
        return None
    name = program(event.process)
    if event.signal == 1 or event.process.pid == event.target_pid or event.process.exe == event.target_exe:
        return None
    if event.container is None and (
        name
        in RUNTIMES
        | {"systemd", "systemctl", "init", "supervisord", "monit", "systemd-shutdown", "runsv", "s6-supervise"}
        or event.process.pid == 1
    ):
        return None
    if event.container is not None and event.container.id == event.target_container:
        return None
    reasons = ("from a container",) if event.container is not None else ()
    return Match(
        f"{event.process} sent signal {event.signal} to {event.target_exe}",
        Severity.HIGH if reasons else None,
        reasons,
        key=target,
    )


@detection(
    id="RT-0809",
    title="Security tooling disabled",
    severity=Severity.MEDIUM,
    attack=("T1562.001",),
    on=ProcessExec,
    response="Switch it on again, find who did it, look at what happened in the gap.",
    action="disabled security tooling",
    programs=SHELLS
    | PACKAGE_MANAGERS
    | frozenset(
        {
            "systemctl",
            "service",
            "setenforce",
            "aa-disable",
            "aa-teardown",
            "aa-complain",
            "auditctl",
            "apparmor_parser",
            "chkconfig",
            "rmmod",
            "modprobe",
            "update-rc.d",
            "semodule",
            "tee",
            "sysctl",
            "mdatp",
            "falconctl",
        }
    ),
    catalogue=("K8S.NODE_DisableSecurityTools†",),
    needs=(EXECS,),
    confidence="high",
    benign=("Provisioning and package updates (left out).", "Restarts (stop followed by start) by an administrator."),
    investigate=("Who ran it?", "Which tool still reports?"),
)
def security_tool_disabled(event: ProcessExec) -> Match | None:
    """A security or audit service is stopped, masked or uninstalled; SELinux, AppArmor or audit rules are switched off."""
    if (
        in_build(event)
        or by_package_manager(event)
        or any(name in ("cloud-init", "waagent", "ansible") for name in programs(event))
    ):
        return None
    process = event.process
    name = program(process)
    text = script_text(process) if name in SHELLS else process.command_line
    if re.search(
        r"\bsetenforce\s+(?:0|[Pp]ermissive)|\baa-(?:teardown|disable|complain)\b|\bauditctl\s+(?:\S+\s+)*-(?:e\s*0|D)\b|\bapparmor_parser\s+-R|SELINUX=(?:disabled|permissive)|(?:kernel|/proc/sys/kernel)[./](?:yama[./]ptrace_scope|kptr_restrict|randomize_va_space|dmesg_restrict)\s*=\s*0",
        text,
    ):
        return Match(f"switches protection off: {text[:160]}", key="protection")
    if re.search(r"\brmmod\s+(?:falco|lkrg|p_lkrg|bpf_lsm|tomoyo)|\bmodprobe\s+-r\s+(?:falco|lkrg)", text):
        return Match(f"unloads a security module: {text[:160]}", key="module")
    stops = re.search(
        r"\bsystemctl\s+(?:\S+\s+)*(?:stop|disable|mask|kill)\s|\bservice\s+\S+\s+stop\b|\bchkconfig\s+\S+\s+off|\bupdate-rc\.d\s+\S+\s+(?:disable|remove)|/etc/init\.d/\S+\s+stop",
        text,
    )
    removes = re.search(
        r"\b(?:apt(?:-get)?|yum|dnf|zypper|apk|dpkg|rpm)\s+(?:\S+\s+)*(?:remove|purge|erase|autoremove|del|-r|-P|-e)\s",
        text,
    )
    agents_own = re.search(
        r"/usr/local/(?:aegis|qcloud|cloudmonitor)/\S*uninst|\b(?:falconctl|mdatp)\s+\S*(?:uninstall|disabled|config real-time-protection --value disabled)",
        text,
    )
    if stops or removes or agents_own:
        named = _names_security(text) or ("agent" if agents_own else "")
        if named:
            return Match(f"{'removes' if removes else 'stops'} {named}: {text[:160]}", key=named)
    return None


_SECURITY_CONFIG = re.compile(
    r"^(?:/host|/rootfs|/hostfs|/proc/1/root)?/(?:etc/(?:pam\.d/\S+|security/\S+\.conf|sudoers(?:\.d/\S+)?|ssh/sshd_config(?:\.d/\S+)?|audit/\S+|apparmor(?:\.d)?/\S+|selinux/\S+|fail2ban/\S+|sysctl\.d/\S+|sysctl\.conf"
    r"|hosts\.(?:allow|deny)|login\.defs|nsswitch\.conf|rsyslog\.(?:conf|d/\S+)|falco/\S+|ssl/certs/\S+|ca-certificates/\S+|yum\.repos\.d/\S+|apt/(?:sources\.list\S*|trusted\S*)|resolv\.conf|shadow|passwd|group|gshadow"
    r"|kubernetes/(?:kubelet\.conf|kubelet/\S+|kubelet-config\S*))|var/lib/kubelet/config\.yaml|lib/security/pam_\S+\.so|lib/x86_64-linux-gnu/security/pam_\S+\.so|usr/lib64/security/pam_\S+\.so|usr/lib/x86_64-linux-gnu/security/pam_\S+\.so)$"
)
_CONFIG_TOOLS = frozenset(
    {
        "visudo", "pam-auth-update", "authselect", "useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "passwd", "chpasswd", "vipw", "adduser",
        "gpasswd", "chage", "chsh", "chfn", "update-ca-certificates", "update-ca-trust", "resolvconf", "systemd-resolved", "networkmanager", "dhclient", "dhcpcd", "augenrules",
        "kubelet", "kubeadm", "systemd", "cloud-init", "waagent", "google_guest_agent", "netplan", "apparmor_parser", "semanage", "restorecon", "nodeadm",
        "systemd-sysusers", "pwck", "grpck", "ldconfig", "containerd", "runc", "crun", "dockerd", "conmon", "podman", "add-shell", "chgpasswd", "newusers", "shadowconfig", "c_rehash",
    }
)  # fmt: skip


@detection(
    id="RT-0810",
    title="Security configuration tampered with",
    severity=Severity.MEDIUM,
    attack=("T1562",),
    on=FileEvent,
    response="Compare the file with its package; undo the change.",
    action="changed a security configuration",
    catalogue=("K8S.NODE_SecurityConfigTamper†",),
    needs=(FILES,),
    benign=(
        "Package managers, account tools and provisioning (left out).",
        "Entry points that add their user to /etc/passwd (OpenShift): lowered.",
    ),
    investigate=("What changed?", "Who wrote it: a person, a service?"),
)
def security_config_written(event: FileEvent) -> Match | None:
    """PAM, sudoers, sshd, audit, AppArmor, SELinux, account or kubelet configuration is written by hand or by a service."""
    path = event.changed
    if not ((isinstance(event, FileOpen) and event.writes) or isinstance(event, FileRename | FileLink)):
        return None
    if not _SECURITY_CONFIG.match(path) or in_build(event) or by_package_manager(event):
        return None
    name = program(event.process)
    if name in _CONFIG_TOOLS | PACKAGE_MANAGERS or (
        event.container is None
        and any(item in ("cloud-init", "waagent", "ansible", "puppet", "chef-client") for item in programs(event))
    ):
        return None
    if path in ("/etc/resolv.conf", "/etc/hosts") or path.startswith(("/etc/ssl/certs/", "/etc/ca-certificates/")):
        return None
    host = not path.startswith(("/etc/", "/lib", "/usr/", "/var/"))
    started = (
        event.container is not None
        and event.container.started_ns
        and event.ts_ns - event.container.started_ns < 60_000_000_000
    )
    start_up = started and not event.process.entered and path in ("/etc/passwd", "/etc/group")
    pam = "/security/pam_" in path or "/etc/pam.d/" in path
    severity = Severity.HIGH if host or pam else Severity.INFORMATIONAL if start_up else None
    reasons = (
        ("the node's own file, from a container",)
        if host
        else ("runs at every login",)
        if pam
        else ("while the container starts",)
        if start_up
        else ()
    )
    return Match(f"{event.process} wrote {path}", severity, reasons, (file_entity(event, path),), path)


_DRESSED = ("/bin/", "/usr/bin", "/usr/sbin", "/usr/lib", "/lib", "/sbin/", "/etc/", "/var/www")
"""Folders where a new file stands out by its time."""


@detection(
    id="RT-0811",
    title="File time-stamp forged",
    severity=Severity.LOW,
    attack=("T1070.006",),
    on=ProcessExec,
    response="Compare the file's change time (ctime), which cannot be set, with its modification time.",
    action="forged a file's time",
    programs=SHELLS | frozenset({"touch", "debugfs", "date"}),
    catalogue=("K8S.NODE_TimestampTampering",),
    needs=(EXECS,),
    benign=("Build systems and reproducible packaging (builds left out).", "Rotation scripts with `touch -t`."),
    investigate=("Which file was dressed up?",),
)
def timestamp_forged(event: ProcessExec) -> Match | None:
    """`touch -r` or `-t`/`-d` gives a program, library, script or hidden file the times of another or of the past."""
    if in_build(event) or by_package_manager(event):
        return None
    process = event.process
    name = program(process)
    text = script_text(process) if name in SHELLS else process.command_line
    found = re.search(r"\btouch\s+(?:-\w+\s+)*(?:-\w*[cam]*r\s*|--reference[= ])(\S+)\s+(\S+)", text)
    if found:
        source, target = found.groups()
        system = source.startswith(("/bin/", "/usr/", "/sbin/", "/lib", "/etc/"))
        if system or is_hidden(target) or target.startswith(("/bin/", "/usr/", "/etc/", "/lib", "/sbin/")):
            return Match(f"{target} gets the times of {source}", entities=(file_entity(event, target),), key=target)
        return None
    found = re.search(
        r"\btouch\s+(?:-\w+\s+)*(?:-\w*[cam]*[td]\s*[\"']?[\w: .+-]+?[\"']?|--date[= ]\S+)\s+((?:/|\./|\.\w)\S+)", text
    )
    if found:
        target = found.group(1)
        if is_hidden(target.removeprefix("./")) or is_temporary(target) or target.startswith(_DRESSED):
            return Match(
                f"{target} gets a chosen time: {text[:120]}", entities=(file_entity(event, target),), key=target
            )
    if name == "date" and process.uid == 0 and re.search(r"\s(?:-s|--set)", text) and event.container is not None:
        return Match(f"a container sets the clock: {text[:120]}", key="clock")
    return None


_COPIERS = frozenset({
    "touch", "tar", "bsdtar", "cp", "mv", "install", "rsync", "scp", "sftp-server", "unzip", "bsdcpio", "cpio", "7z", "7zz",
    "git", "rclone", "restic", "borg", "unsquashfs", "ar", "dpkg-deb", "rpm2cpio", "ldconfig", "strip", "patch",
})  # fmt: skip
"""Programs that give a file the time that it had elsewhere; `touch` is judged by its arguments (RT-0811)."""
_DAY_S = 86_400


@detection(
    id="RT-0817",
    title="Program set a file's time back",
    severity=Severity.LOW,
    attack=("T1070.006",),
    on=FileTimes,
    response="Compare the file's change time (ctime), which cannot be set, with its modification time.",
    action="set a file's time back",
    catalogue=("K8S.NODE_TimestampTampering",),
    needs=(FILES,),
    benign=(
        "Archive, copy and version tools, package managers and builds (left out).",
        "Programs that unpack archives by themselves: only files in system folders count there.",
    ),
    investigate=("What wrote the file, and when?", "Was the program part of the image?"),
)
def time_set_back(event: FileTimes) -> Match | None:
    """A program, not touch(1), gives a file a modification time more than a day away from now: a program from outside the
    image any file, code given to a shell or interpreter hidden, temporary and system files, other programs system files."""
    if event.container is None or in_build(event) or by_package_manager(event) or on_platform(event):
        return None
    process = event.process
    name = program(process)
    if name in _COPIERS | PACKAGE_MANAGERS | RUNTIMES or abs(event.ts_ns // 10**9 - event.modified_s) < _DAY_S:
        return None
    path = event.path
    inline = name in INTERPRETERS | SHELLS and any(each in ("-c", "-e", "-r") for each in process.args[1:4])
    if not (
        process.drift
        or (inline and (is_hidden(path) or is_temporary(path) or path.startswith(_DRESSED)))
        or (name not in INTERPRETERS and path.startswith(_DRESSED))
    ):
        return None
    return Match(
        f"{process} set the time of {path} {(event.ts_ns // 10**9 - event.modified_s) // _DAY_S} days back",
        Severity.MEDIUM if process.drift else None,
        ("the program is not from the image",) if process.drift else (),
        (file_entity(event, path),),
        path,
    )


@detection(
    id="RT-0812",
    title="File attributes locked or unlocked",
    severity=Severity.MEDIUM,
    attack=("T1222.002",),
    on=ProcessExec,
    response="List attributes (lsattr) and remove what was locked; it is what the intruder wants to keep.",
    action="locked or unlocked files",
    catalogue=("K8S.NODE_Chattr†",),
    needs=(EXECS,),
    benign=("Hardening scripts; resolv.conf locked by an administrator.",),
    investigate=("Which file, and what is in it?",),
)
def attributes_changed(event: ProcessExec) -> Match | None:
    """chattr sets or clears the immutable or append-only attribute, by its own name or renamed."""
    if in_build(event) or by_package_manager(event):
        return None
    process = event.process
    name = program(process)
    if name in SHELLS:
        found = re.search(r"\bchattr\s+(?:-[RVf]+\s+)*([+=-][a-zA-Z]*[ia][a-zA-Z]*)\s+(\S+)", script_text(process))
    elif name == "chattr" or (process.args and process.args[0].rpartition("/")[2] == "chattr"):
        found = re.search(r"\s([+=-][a-zA-Z]*[ia][a-zA-Z]*)\s+(\S+)", process.command_line)
    else:
        return None
    if not found:
        return None
    flag, target = found.groups()
    if target == "/etc/resolv.conf" and event.container is None:
        return None
    return Match(f"chattr {flag} {target}", entities=(file_entity(event, target),), key=target)


@detection(
    id="RT-0813",
    title="Host firewall manipulated",
    severity=Severity.MEDIUM,
    attack=("T1562.004",),
    on=ProcessExec,
    response="Restore the rules; look for connections made meanwhile.",
    action="changed the host's firewall",
    programs=SHELLS
    | frozenset(
        {
            "iptables",
            "ip6tables",
            "iptables-legacy",
            "iptables-nft",
            "xtables-nft-multi",
            "xtables-legacy-multi",
            "nft",
            "ufw",
            "firewall-cmd",
            "systemctl",
        }
    ),
    catalogue=("K8S.NODE_FirewallDisabled",),
    needs=(EXECS,),
    benign=(
        "kube-proxy, CNI plug-ins and service meshes change rules all day: only flushing and disabling counts, and platform namespaces are left out.",
    ),
    investigate=("What connected in or out afterwards?",),
)
def firewall_disabled(event: ProcessExec) -> Match | None:
    """All rules are flushed, the default policy is opened, or the firewall service is switched off."""
    if in_build(event) or by_package_manager(event) or on_platform(event):
        return None
    if any(
        name
        in RUNTIMES
        | {
            "kube-proxy",
            "calico-node",
            "cilium-agent",
            "flanneld",
            "istio-iptables",
            "pilot-agent",
            "cloud-init",
            "azure-npm",
            "aws-node",
            "antrea-agent",
        }
        for name in programs(event)
    ):
        return None
    process = event.process
    text = script_text(process) if program(process) in SHELLS else process.command_line
    if re.search(
        r"\bip6?tables(?:-legacy|-nft)?\s+(?:-w\s*\d*\s+)?(?:-t\s+\w+\s+)?(?:-F|--flush|-X)\s*(?:$|[;&|]|INPUT|OUTPUT|FORWARD)|\bip6?tables\s+(?:-P|--policy)\s+(?:INPUT|FORWARD|OUTPUT)\s+ACCEPT"
        r"|\bnft\s+flush\s+ruleset|\bufw\s+(?:--force\s+)?(?:disable|reset)|\bfirewall-cmd\b.*--panic-off|\bsystemctl\s+(?:\S+\s+)*(?:stop|disable|mask)\s+(?:\S+\s+)*(?:firewalld|ufw|nftables|iptables)\b",
        text,
    ):
        return Match(f"{text[:160]}", key="firewall")
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


@detection(
    id="RT-0815",
    title="Image built on a node",
    severity=Severity.INFORMATIONAL,
    attack=("T1612",),
    on=ProcessExec,
    response="Ask who builds there; images should come through the pipeline and its scan.",
    action="built an image on a node",
    catalogue=("K8S.NODE_ImageBuildOnNode",),
    needs=(EXECS,),
    benign=("CI runners in the cluster: exempt their namespace.",),
    investigate=("Is the image run afterwards?",),
)
def image_built(event: ProcessExec) -> Match | None:
    """docker build, buildah, kaniko, nerdctl or podman build run on a node or in a pod."""
    process = event.process
    name = program(process)
    if any(program(ancestor) in BUILDERS | {"docker", "podman", "nerdctl"} for ancestor in process.ancestors):
        return None
    arguments = process.args[1:]
    builds = (
        (
            name in ("docker", "nerdctl", "podman", "docker-buildx")
            and ("build" in arguments[:4] or "buildx" in arguments[:2])
        )
        or (name == "buildah" and arguments[:1] in (("bud",), ("build",), ("build-using-dockerfile",), ("commit",)))
        or (name == "executor" and process.exe.startswith("/kaniko/"))
        or (name == "buildctl" and "build" in arguments[:6])
        or (name == "img" and arguments[:1] == ("build",))
    )
    return Match(f"{process.command_line[:160]}", key=name) if builds else None


_SECRETS = re.compile(
    r"^/etc/g?shadow$|/serviceaccount/(?:\.\.[^/]+/)?token$|/\.ssh/id_[a-z0-9]+$|/\.aws/credentials$|/pki/kubelet-client-current\.pem$"
)


@detection(
    id="RT-0816",
    title="Link placed over a sensitive file",
    severity=Severity.MEDIUM,
    attack=("T1555", "T1036"),
    on=FileLink,
    response="Remove the link; find which privileged program would have followed it.",
    action="placed a link over a sensitive file",
    needs=(FILES,),
    benign=("Package managers and builds (left out).", "Links inside /etc made by set-up tools."),
    investigate=("Who would read or write through the link?",),
)
def sensitive_link(event: FileLink) -> Match | None:
    """A link to shadow, sudoers, root's home, kubelet data or the runtime socket is made in a place others write to, or
    by a container that links to a path of the node (subPath and log symlink escapes); or password hashes, keys or a token get
    another name by a hard link, under which reading them is nobody's business."""
    if in_build(event) or by_package_manager(event):
        return None
    if not _SECRETS.search(event.path) and not re.match(
        r"^/(?:etc/(?:shadow|gshadow|sudoers|passwd|kubernetes)|root/?$|root/\.(?:ssh|aws|kube|gnupg|docker)|var/lib/kubelet|run/(?:containerd|docker|crio)|var/run/docker|proc/1/|dev/(?:sd|nvme|mem|kmem)|$)",
        event.path,
    ):
        return None
    if not event.symbolic and _SECRETS.search(event.path):
        return Match(
            f"{event.process} gave {event.path} another name, {event.target}",
            entities=(file_entity(event, event.path),),
            key=event.path,
        )
    container_log = event.container is not None and event.target.startswith(
        ("/var/log/", "/host/var/log/", "/data/", "/mnt/")
    )
    if not (is_temporary(event.target) or container_log or (event.container is not None and event.path == "/")):
        return None
    return Match(
        f"{event.process} linked {event.target} to {event.path}",
        entities=(file_entity(event, event.target),),
        key=event.target,
    )


_KERNEL_THREAD = re.compile(
    r"^(?:\[.+\]|(?:kworker|ksoftirqd|kthreadd|kswapd|kdevtmpfs|khugepaged|kauditd|kblockd|kcompactd|watchdogd|migration|rcu_\w+|scsi_eh_\d+"
    r"|jbd2|cpuhp|idle_inject|irq|mm_percpu_wq)(?:[/\d:]\S*)?)$"
)


@detection(
    id="RT-0818",
    title="Program disguised as a kernel thread",
    severity=Severity.HIGH,
    attack=("T1036.005",),
    on=ProcessExec,
    response="Stop the pod, keep the file: no honest program calls itself that.",
    action="disguised a program as a kernel thread",
    needs=(EXECS,),
    confidence="high",
    benign=("None known: kernel threads are not started by a program.",),
    investigate=("What does the file do, and what does it connect to?",),
)
def kernel_thread_name(event: ProcessExec) -> Match | None:
    """A program starts whose first argument is the name that `ps` shows of a kernel thread: `[kworker/0:1]`, `kswapd0`."""
    process = event.process
    first = process.args[0] if process.args else ""
    if not _KERNEL_THREAD.match(first) or process.name == first:
        return None
    return Match(f"{process.exe} calls itself {first}", entities=(file_entity(event, process.exe),), key=process.exe)
