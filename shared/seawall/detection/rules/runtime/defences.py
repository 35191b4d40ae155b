"""Defences switched off: agents, security modules, firewalls, updates."""

from __future__ import annotations

import re

from seawall.detection.declaration import detection
from seawall.detection.processes import (
    PACKAGE_MANAGERS,
    RUNTIMES,
    SECURITY_PROCESSES,
    SHELLS,
    by_package_manager,
    file_entity,
    in_build,
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
    ProcessExec,
    Signal,
)
from seawall.domain.severity import Severity


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
