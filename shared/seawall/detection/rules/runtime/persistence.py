"""Ways to stay: accounts, keys, start-up files, timers, preloaded libraries, setuid files."""

from __future__ import annotations

import re

from seawall.detection.declaration import Logic, detection
from seawall.detection.processes import (
    DATABASES,
    PACKAGE_MANAGERS,
    SHELLS,
    WEB_SERVERS,
    by_package_manager,
    by_runtime,
    file_entity,
    in_build,
    interactive,
    is_temporary,
    program,
    programs,
    root_and_path,
    script_text,
)
from seawall.detection.rules.runtime import EXECS, FILES
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import (
    FileChmod,
    FileEvent,
    FileLink,
    FileOpen,
    FileRename,
    FileUnlink,
    ProcessExec,
    SensitiveRead,
)
from seawall.domain.severity import Severity

_PROVISIONING = frozenset(
    {
        "cloud-init",
        "waagent",
        "google_guest_agent",
        "google_metadata",
        "ansible",
        "puppet",
        "chef-client",
        "salt-minion",
        "systemd",
        "nodeadm",
        "ignition",
        "amazon-ssm-agent",
    }
)


def provisioned(event: ProcessExec | FileEvent | SensitiveRead) -> bool:
    return event.container is None and any(name in _PROVISIONING for name in programs(event))


def written(event: FileEvent) -> bool:
    """The event leaves new content under `event.changed`."""
    return (isinstance(event, FileOpen) and event.writes) or isinstance(event, FileRename | FileLink)


_STARTUP = re.compile(
    r"^(?:/host|/rootfs|/proc/1/root)?/(?:etc/systemd/(?:system|user)/|usr/lib/systemd/system/|lib/systemd/system/|run/systemd/system/|etc/init\.d/|etc/rc\.local$|etc/rc\d?\.d/"
    r"|etc/inittab$|etc/init/|etc/xdg/autostart/|etc/udev/rules\.d/|etc/NetworkManager/dispatcher\.d/|etc/update-motd\.d/|etc/X11/Xsession\.d/|etc/modules-load\.d/|etc/ld\.so\.conf\.d/"
    r"|etc/kubernetes/manifests/|root/\.config/systemd/|home/[^/]+/\.config/systemd/|home/[^/]+/\.config/autostart/|etc/apt/apt\.conf\.d/|usr/lib/python3/dist-packages/\S+\.pth$)"
)


@detection(
    id="RT-0703",
    title="Start-up file installed by a running process",
    severity=Severity.MEDIUM,
    attack=("T1543", "T1546"),
    on=FileEvent,
    response="Remove the unit or script and what it starts; replace the node if it is the node's.",
    action="installed a start-up file",
    logic=Logic.CORRELATION,
    catalogue=("K8S.NODE_BackdoorInstall†",),
    needs=(FILES,),
    benign=("Package managers, systemctl and provisioning (left out).",),
    investigate=("What does the file start?", "Is the writer a service that faces the network?"),
)
def startup_file(event: FileEvent) -> Match | None:
    """A service, shell or script writes a systemd unit, init or udev script, static pod or autostart entry."""
    path = event.changed
    if (
        not written(event)
        or not _STARTUP.match(path)
        or in_build(event)
        or by_package_manager(event)
        or provisioned(event)
    ):
        return None
    name = program(event.process)
    if name in PACKAGE_MANAGERS | {
        "systemctl",
        "systemd",
        "snapd",
        "kubeadm",
        "kubelet",
        "dpkg-divert",
        "deb-systemd-helper",
        "ldconfig",
        "netplan",
        "insserv",
        "update-rc.d",
    }:
        return None
    host = path.startswith(("/host/", "/rootfs/", "/proc/1/root/"))
    service = name in WEB_SERVERS | DATABASES | {"java", "node", "redis-server"}
    pod = "/etc/kubernetes/manifests/" in path
    severity = Severity.HIGH if host or service or pod else None
    reasons = tuple(
        reason
        for reason, holds in (
            ("the node's own folder, from a container", host),
            (f"{name} faces the network", service),
            ("the kubelet starts what lies there", pod),
        )
        if holds
    )
    return Match(f"{event.process} wrote {path}", severity, reasons, (file_entity(event, path),), path)


_PROFILES = re.compile(
    r"(?:^|/)(?:\.bashrc|\.bash_profile|\.bash_login|\.bash_logout|\.profile|\.zshrc|\.zshenv|\.zprofile|\.zlogin|\.kshrc|\.cshrc|\.tcshrc|\.login|config\.fish|\.xprofile|\.vimrc|\.gitconfig|\.inputrc)$|^/etc/(?:profile|bash\.bashrc|bashrc|zsh/\S+|zshrc|zprofile|environment|csh\.cshrc)$|^/etc/profile\.d/\S+"
)


@detection(
    id="RT-0704",
    title="Shell profile modified",
    severity=Severity.MEDIUM,
    attack=("T1546.004",),
    on=FileEvent,
    response="Compare the file with the image's; remove what was added.",
    action="changed a shell profile",
    catalogue=("K8S.NODE_BashProfileAccess†",),
    needs=(FILES,),
    benign=(
        "Package managers and user creation (left out).",
        "Development containers and notebooks; people editing their own.",
    ),
    investigate=("What was added?",),
)
def profile_modified(event: FileEvent) -> Match | None:
    """A file that every new shell reads is written by something other than a package manager or account tool."""
    path = event.changed
    if (
        not written(event)
        or not _PROFILES.search(path)
        or is_temporary(path)
        or in_build(event)
        or by_package_manager(event)
        or by_runtime(event)
        or provisioned(event)
    ):
        return None
    name = program(event.process)
    if name in PACKAGE_MANAGERS | {"useradd", "adduser", "mkhomedir_helper", "login", "conda", "git"} or path.endswith(
        (".gitconfig", ".vimrc")
    ):
        return None
    if (
        name == "perl"
        and not event.process.script_drift
        and event.process.args[1:2]
        and (event.process.args[1].rpartition("/")[2] in ("adduser", "addgroup"))
    ):
        return None  # Debian's adduser fills the new home; the account itself is told (RT-0701)
    own = name in ("vi", "vim", "nano", "emacs") and interactive(event)
    return Match(
        f"{event.process} wrote {path}",
        Severity.INFORMATIONAL if own else None,
        ("a person with an editor",) if own else (),
        (file_entity(event, path),),
        path,
    )


_CRON_PATHS = re.compile(
    r"^(?:/host|/rootfs|/proc/1/root)?/(?:etc/cron(?:tab$|\.(?:d|hourly|daily|weekly|monthly)/\S+)|var/spool/(?:cron|at|anacron)/\S+|etc/at\.(?:allow|deny)|etc/anacrontab)"
)


_CRON_PAYLOAD = re.compile(
    r"curl|wget|/tmp/|/dev/shm|base64|/dev/tcp|python\S*\s+-c|perl\s+-e|\bnc\b|\*\s+\*\s+\*\s+\*\s+\*|@reboot"
)


@detection(
    id="RT-0705",
    title="Scheduled job changed",
    severity=Severity.MEDIUM,
    attack=("T1053.003",),
    on=FileEvent,
    response="Read the job, remove it, look for what it already ran.",
    action="changed a scheduled job",
    catalogue=("K8S.NODE_CronOperation†",),
    needs=(FILES,),
    benign=("Package managers (left out) and people using crontab -e at a terminal (lowered).",),
    investigate=("What does it run, and who installed it?",),
)
def cron_written(event: FileEvent) -> Match | None:
    """A file in a cron or at folder is written outside package management and provisioning."""
    path = event.changed
    if (
        not written(event)
        or not _CRON_PATHS.match(root_and_path(event, path)[1])
        or in_build(event)
        or by_package_manager(event)
        or provisioned(event)
    ):
        return None
    name = program(event.process)
    if name in PACKAGE_MANAGERS or path.endswith(".placeholder"):
        return None
    if name in ("crond", "cron", "anacron", "atd"):
        return None
    own = name in ("crontab", "at", "vi", "vim", "nano") and interactive(event)
    return Match(
        f"{event.process} wrote {path}",
        Severity.LOW if own else None,
        ("a person at a terminal",) if own else (),
        (file_entity(event, path),),
        "cron",
    )


@detection(
    id="RT-0706",
    title="Scheduled job installed from a pipe",
    severity=Severity.MEDIUM,
    attack=("T1053.003",),
    on=ProcessExec,
    response="Read the job, remove it, look for what it already ran.",
    action="installed a scheduled job",
    programs=SHELLS | frozenset({"crontab", "at", "batch"}),
    catalogue=("K8S.NODE_CronOperation†",),
    needs=(EXECS,),
    benign=(
        "Set-up scripts of applications that schedule their own maintenance: without download or encoding they count low.",
    ),
    investigate=("Read `crontab -l` of that user.",),
)
def cron_from_pipe(event: ProcessExec) -> Match | None:
    """`crontab -` takes a table from a pipe, or a command writes cron lines with downloads or encoded parts."""
    if in_build(event) or by_package_manager(event) or provisioned(event):
        return None
    process = event.process
    name = program(process)
    if (
        name == "crontab"
        and ("-" in process.args[1:] or event.stdio[0] == "pipe")
        and not {"-l", "-e", "-r"} & set(process.args)
    ):
        return Match(f"crontab reads a pipe as {process.uid}", key="crontab")
    if name in ("at", "batch") and event.stdio[0] == "pipe":
        return Match(f"{name} reads a pipe: {process.command_line[:80]}", Severity.LOW, (), key=name)
    if name in SHELLS:
        text = script_text(process)
        if re.search(r"\|\s*crontab\s+(?:-u\s*\S+\s+)?-|>>?\s*/(?:etc/cron|var/spool/cron)", text):
            payload = _CRON_PAYLOAD.search(text)
            return Match(
                f"a script schedules: {text[:200]}",
                Severity.HIGH if payload and re.search(r"curl|wget|base64|/dev/tcp", text) else None,
                ("with a download or encoded part",) if payload else (),
                key="script",
            )
    return None


@detection(
    id="RT-0708",
    title="Library preloaded into every program",
    severity=Severity.MEDIUM,
    attack=("T1574.006", "T1014"),
    on=FileEvent,
    response="Isolate the container; the file named there runs in every program: keep it.",
    action="preloaded a library into every program",
    catalogue=("K8S.NODE_LdPreload†",),
    needs=(FILES,),
    confidence="high",
    benign=("Memory allocators preloaded by an image at build time; a removal of the file is left out.",),
    investigate=("Which library is named, and where did it come from?",),
)
def preload_written(event: FileEvent) -> Match | None:
    """/etc/ld.so.preload is created, written, renamed or linked into place, in a container or on the node."""
    if isinstance(event, FileUnlink | FileChmod) or not written(event) or in_build(event):
        return None
    path = event.changed
    root, own = root_and_path(event, path)
    if own == "/etc/ld.so.preload":
        host = bool(root)
        return Match(
            f"{event.process} wrote {path}",
            Severity.HIGH if host or event.container is None else None,
            ("every program of the node loads it",) if host or event.container is None else (),
            (file_entity(event, path),),
            path,
        )
    return None


@detection(
    id="RT-0709",
    title="Program started with a preloaded library from an odd place",
    severity=Severity.MEDIUM,
    attack=("T1574.006",),
    on=ProcessExec,
    response="Keep the library; stop the process.",
    action="started a program with a foreign library",
    needs=(EXECS,),
    benign=("Allocators, tracers and proxies that images preload from /usr or /opt (left out).",),
    investigate=("Which functions does the library replace?",),
)
def preload_environment(event: ProcessExec) -> Match | None:
    """LD_PRELOAD or LD_AUDIT names a library in a temporary, hidden or home folder."""
    for variable in ("LD_PRELOAD", "LD_AUDIT"):
        for library in re.split(r"[: ]", event.environment.get(variable, "")):
            if (
                library
                and (is_temporary(library) or "/." in library or library.startswith("/home/"))
                and not in_build(event)
            ):
                return Match(
                    f"{variable}={library} for {event.process}", entities=(file_entity(event, library),), key=library
                )
    return None
