"""Ways to stay: accounts, keys, start-up files, timers, preloaded libraries, setuid files."""

from __future__ import annotations

import re

from seawall.detection.declaration import Logic, detection
from seawall.detection.processes import (
    DATABASES,
    INTERPRETERS,
    PACKAGE_MANAGERS,
    RUNTIMES,
    SHELLS,
    WEB_SERVERS,
    by_entry_script,
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
    told,
)
from seawall.detection.rules.runtime import EXECS, FILES, PEERS, READS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import (
    CAPABILITIES,
    FileCapabilities,
    FileChmod,
    FileEvent,
    FileLink,
    FileOpen,
    FileRename,
    FileUnlink,
    Listen,
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


def _provisioned(event: ProcessExec | FileEvent | SensitiveRead) -> bool:
    return event.container is None and any(name in _PROVISIONING for name in programs(event))


def _written(event: FileEvent) -> bool:
    """The event leaves new content under `event.changed`."""
    return (isinstance(event, FileOpen) and event.writes) or isinstance(event, FileRename | FileLink)


@detection(
    id="RT-0701",
    title="Suspicious local account",
    severity=Severity.MEDIUM,
    attack=("T1136.001",),
    on=ProcessExec,
    response="Remove the account; look for its logins.",
    action="added a local account",
    programs=SHELLS | frozenset({"useradd", "adduser", "newusers", "tee"}),
    catalogue=("K8S.NODE_SuspectUserAddition",),
    needs=(EXECS,),
    benign=(
        "Package scripts, image builds and provisioning (left out).",
        "Accounts of services, without a login (informational).",
        "Scripts that a container starts with and that give its user the uid of a volume's owner (low).",
    ),
    investigate=("Who ran it?", "Was a password or key set next?"),
)
def account_added(event: ProcessExec) -> Match | None:
    """An account is added in a container or on a node outside packages and provisioning; uid 0 weighs most."""
    if in_build(event) or by_package_manager(event) or _provisioned(event):
        return None
    process = event.process
    name = program(process)
    text = process.command_line
    if {"--help", "-h", "--version"} & set(process.args[1:]) or process.args[1:] == ("-D",):
        return None
    if name in SHELLS or name == "tee":
        found = re.search(r"echo\s+.{0,40}?\b[\w.-]+:[^:\s]*:0*:0*:.{0,120}?>>?\s*/etc/passwd", script_text(process))
        return (
            Match(f"an account with uid 0 is written: {text[:160]}", Severity.HIGH, ("uid 0",), key="passwd")
            if found
            else None
        )
    root = re.search(r"(?:-u|--uid)[= ]?0\b|(?:^|\s)-o(?:\s|$).*(?:-u|--uid)[= ]?0\b|\s-o?u\s?0\b", text)
    if root:
        return Match(f"an account with uid 0 is added: {text[:160]}", Severity.HIGH, ("uid 0",), key="uid0")
    service = re.search(
        r"(?:^|\s)(?:-r|--system|-S|-D|--disabled-password|--no-create-home|-H)(?:\s|$)|nologin|/bin/false", text
    )
    if event.container is not None and process.uid == 0 and service and not interactive(event):
        return Match(
            f"{name}: {text[:160]}", Severity.INFORMATIONAL, ("a service account without login",), key="service"
        )
    if re.search(r"(?:-u|--uid)[= ]?[1-9]", text) and not interactive(event) and by_entry_script(event):
        return Match(f"{name}: {text[:160]}", Severity.LOW, ("the script that the container starts with",), key="entry")
    return Match(f"{name}: {text[:160]}", key=name)


@detection(
    id="RT-0702",
    title="Password set by hash",
    severity=Severity.MEDIUM,
    attack=("T1098",),
    on=ProcessExec,
    response="Reset the password; look for logins with it.",
    action="set a password",
    programs=SHELLS | INTERPRETERS | frozenset({"usermod", "useradd", "chpasswd", "openssl", "mkpasswd"}),
    catalogue=("K8S.NODE_SuspectPasswordChange",),
    needs=(EXECS,),
    benign=("Provisioning (left out on nodes).",),
    investigate=("Which account, and who ran it?",),
)
def password_by_hash(event: ProcessExec) -> Match | None:
    """usermod -p, chpasswd -e or a scripted crypt call sets a password without anyone typing it."""
    if in_build(event) or by_package_manager(event) or _provisioned(event):
        return None
    name = program(event.process)
    text = event.process.command_line
    if name in ("usermod", "useradd") and re.search(r"\s(?:-p|--password)[= ]\S", text):
        return Match(f"{name} sets a password by hash", key=name)
    if name == "chpasswd" and re.search(r"\s(?:-e|--encrypted|-c|--crypt-method)", text):
        return Match("chpasswd takes hashes", key=name)
    if name in SHELLS | INTERPRETERS and re.search(
        r"\bchpasswd\b|\bcrypt\s*\(.{0,120}?/etc/shadow|usermod\s+(?:\S+\s+)*-p\s", script_text(event.process)
    ):
        return Match(f"a script sets a password: {event.process.command_line[:80]}…", key="script")
    return None


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
        not _written(event)
        or not _STARTUP.match(path)
        or in_build(event)
        or by_package_manager(event)
        or _provisioned(event)
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
        not _written(event)
        or not _PROFILES.search(path)
        or is_temporary(path)
        or in_build(event)
        or by_package_manager(event)
        or by_runtime(event)
        or _provisioned(event)
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
        not _written(event)
        or not _CRON_PATHS.match(root_and_path(event, path)[1])
        or in_build(event)
        or by_package_manager(event)
        or _provisioned(event)
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
    if in_build(event) or by_package_manager(event) or _provisioned(event):
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
    id="RT-0707",
    title="Account added to a privileged group",
    severity=Severity.LOW,
    attack=("T1098.007", "T1548.003"),
    on=ProcessExec,
    response="Take the account out of the group; look for its use of sudo.",
    action="added an account to a privileged group",
    programs=SHELLS | frozenset({"usermod", "gpasswd", "adduser", "addgroup", "useradd", "tee", "visudo"}),
    catalogue=("K8S.NODE_SudoGroupAdd†",),
    needs=(EXECS,),
    benign=("Provisioning of development images and nodes (left out where told apart).",),
    investigate=("Who ran it, and was the account new (RT-0701)?",),
)
def privileged_group(event: ProcessExec) -> Match | None:
    """usermod, gpasswd or adduser puts an account into sudo, wheel, docker, root, adm, lxd; or sudoers gets a line."""
    if in_build(event) or by_package_manager(event) or _provisioned(event):
        return None
    process = event.process
    name = program(process)
    text = told(process)
    groups = r"(?:sudo|wheel|root|admin|docker|lxd|disk|shadow|kvm|libvirt)\b"
    if name in ("usermod", "useradd") and re.search(
        rf"\s-\w*(?:aG|G|g)\w*[= ]\S*?\b{groups}|--(?:groups|gid|append)[= ]\S*?{groups}", text
    ):
        return Match(f"{text[:120]}", key="group")
    if name == "gpasswd" and re.search(rf"\s(?:-a|--add|-M)\s.*{groups}", text):
        return Match(f"{text[:120]}", key="group")
    if (
        name in ("adduser", "addgroup")
        and len(process.args) == 3
        and re.fullmatch(groups.removesuffix(r"\b"), process.args[2])
    ):
        return Match(f"{text[:120]}", key="group")
    if (
        name in SHELLS
        and re.search(
            r"(?:>>?|tee\s+(?:-a\s+)?)\s*/etc/(?:sudoers|group)\b|NOPASSWD\s*:\s*ALL.{0,80}?/etc/sudoers",
            script_text(process),
        )
    ) or (name == "tee" and "/etc/sudoers" in text):
        return Match(f"sudoers or group is written: {text[:120]}", Severity.MEDIUM, ("written by hand",), key="sudoers")
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
    if isinstance(event, FileUnlink | FileChmod) or not _written(event) or in_build(event):
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


@detection(
    id="RT-0710",
    title="SSH server in a container",
    severity=Severity.INFORMATIONAL,
    attack=("T1021.004", "T1133"),
    on=ProcessExec,
    response="Use `kubectl exec` or ephemeral containers; remove the server.",
    action="started an SSH server",
    programs=frozenset({"sshd", "dropbear", "tinyssh", "tinysshd", "sshpiperd"}),
    catalogue=("K8S.NODE_ContainerSSH",),
    needs=(EXECS,),
    benign=("SFTP and git images that are made for it: exempt the image.",),
    investigate=("Is it part of the image? Which keys does it take?",),
)
def ssh_server(event: ProcessExec) -> Match | None:
    """An SSH server starts in a container, more when it is not the container's own program."""
    if (
        event.container is None
        or in_build(event)
        or any(program(item) in ("sshd", "sshd-session", "dropbear") for item in event.process.ancestors)
    ):
        return None
    brought = event.process.drift or event.process.entered
    return Match(
        f"{event.process} starts in a container",
        Severity.MEDIUM if brought else None,
        ("brought or started from outside",) if brought else (),
        key="sshd",
    )


@detection(
    id="RT-0711",
    title="SSH port opened in a container",
    severity=Severity.INFORMATIONAL,
    attack=("T1021.004", "T1133"),
    on=Listen,
    response="Find the program that listens; remove it.",
    action="opened an SSH port",
    catalogue=("K8S.NODE_ContainerSSH",),
    needs=(PEERS,),
    benign=("SFTP and git images.",),
    investigate=("Which program listens?",),
)
def ssh_port(event: Listen) -> Match | None:
    """Something in a container listens on port 22 or 2222 and is not an SSH server by name (those are RT-0710)."""
    if event.container is None or event.port not in (22, 2222) or event.address.startswith("127."):
        return None
    if program(event.process) in ("sshd", "dropbear", "sshd-session", "gitea", "gitlab-sshd", "forgejo", "sftpgo"):
        return None
    return Match(
        f"{event.process} listens on {event.port}", Severity.LOW, ("not an SSH server by name",), key=str(event.port)
    )


@detection(
    id="RT-0712",
    title="setuid or setgid bit set",
    severity=Severity.MEDIUM,
    attack=("T1548.001",),
    on=FileChmod,
    response="Remove the bit, find out whether the file was run.",
    action="set a setuid bit",
    catalogue=("X_SetuidChange",),
    needs=(FILES,),
    benign=("Package managers and builds (left out).",),
    investigate=("Is it a copy of a shell?",),
)
def setuid_bit(event: FileChmod) -> Match | None:
    """A file becomes setuid or setgid outside package management."""
    if not event.mode & 0o6000 or (
        event.previous_mode >= 0 and (event.previous_mode & 0o6000) == (event.mode & 0o6000)
    ):
        return None
    if (
        in_build(event)
        or by_package_manager(event)
        or program(event.process) in PACKAGE_MANAGERS | RUNTIMES | {"useradd", "systemd-tmpfiles", "systemd"}
    ):
        return None
    if not event.mode & 0o4000 and (
        event.directory or not event.mode & 0o010 or program(event.process) in ("systemd-tmpfile", "mkdir", "install")
    ):
        return None  # setgid without group execution marks folders and locks
    return Match(f"{event.path} became {event.mode:o}", entities=(file_entity(event, event.path),), key=event.path)


@detection(
    id="RT-0713",
    title="setuid program gave root in a container",
    severity=Severity.MEDIUM,
    attack=("T1548.001",),
    on=ProcessExec,
    response="Find who used it; drop setuid files from the image and set allowPrivilegeEscalation: false.",
    action="became root by a setuid program",
    catalogue=("X_SetuidChange",),
    needs=(EXECS,),
    benign=("sudo and su that an image uses on purpose; ping (left out).",),
    investigate=("What did the root process do?",),
)
def setuid_used(event: ProcessExec) -> Match | None:
    """A process with another user id executes a setuid file and becomes root in a container."""
    process = event.process
    if event.container is None or not event.gained or process.euid != 0 or process.uid == 0 or in_build(event):
        return None
    name = program(process)
    if name in (
        "ping",
        "ping6",
        "fusermount",
        "fusermount3",
        "unix_chkpwd",
        "mount",
        "umount",
        "ssh-keysign",
        "dbus-daemon-launch-helper",
        "newuidmap",
        "newgidmap",
        "chrome-sandbox",
        "crontab",
        "expiry",
        "chage",
        "wall",
        "write",
    ):
        return None
    standard = name in ("sudo", "su", "passwd", "gpasswd", "chsh", "chfn", "newgrp", "doas", "pkexec", "runuser")
    severity = (
        Severity.LOW
        if standard
        else Severity.HIGH
        if process.drift or name in SHELLS | INTERPRETERS | {"find", "vim", "cp", "bash"}
        else None
    )
    return Match(
        f"{process.exe} made uid {process.uid} root",
        severity,
        (("a standard program",) if standard else ()),
        (file_entity(event, process.exe),),
        process.exe,
    )


@detection(
    id="RT-0714",
    title="authorized_keys touched",
    severity=Severity.INFORMATIONAL,
    attack=("T1098.004",),
    on=FileEvent,
    response="Compare the keys with those you know; remove strangers'.",
    action="changed authorized SSH keys",
    catalogue=("K8S.NODE_SshKeyAccess",),
    needs=(FILES,),
    benign=("Provisioning agents (left out).", "ssh-copy-id by a person."),
    investigate=("Which key was added, by whom?",),
)
def authorized_keys_written(event: FileEvent) -> Match | None:
    """authorized_keys is written, linked or renamed into place by something other than provisioning."""
    path = event.changed
    if not _written(event) or not re.search(r"/(?:\.ssh/authorized_keys2?|etc/ssh/authorized_keys/\S+)$", path):
        return None
    if (
        in_build(event)
        or by_package_manager(event)
        or by_runtime(event)
        or _provisioned(event)
        or program(event.process) in ("sshd", "cloud-init", "waagent", "google_guest_ag", "ec2-instance-connect")
    ):
        return None
    host = path.startswith(("/host/", "/rootfs/", "/proc/1/root/", "/mnt/"))
    grave = host or (event.container is not None) or any(name in WEB_SERVERS | DATABASES for name in programs(event))
    return Match(
        f"{event.process} wrote {path}",
        Severity.HIGH if host else Severity.MEDIUM if grave else None,
        ("the node's own file, from a container",) if host else ("written by a workload",) if grave else (),
        (file_entity(event, path),),
        path,
    )


@detection(
    id="RT-0715",
    title="authorized_keys read",
    severity=Severity.INFORMATIONAL,
    attack=("T1098.004",),
    on=SensitiveRead,
    response="Find who looks; key comments name people and hosts.",
    action="read authorized SSH keys",
    catalogue=("K8S.NODE_SshKeyAccess",),
    needs=(READS,),
    confidence="low",
    benign=("Administrators, backup and compliance tools.",),
    investigate=("Is the file written next (RT-0714)?",),
)
def authorized_keys_read(event: SensitiveRead) -> Match | None:
    """authorized_keys is read by something other than the SSH server or provisioning."""
    if not re.search(r"/authorized_keys2?$", event.path) or by_package_manager(event) or _provisioned(event):
        return None
    if program(event.process) in (
        "sshd",
        "sshd-session",
        "sshd-auth",
        "dropbear",
        "ssh-copy-id",
        "ssh-keygen",
        "waagent",
        "google_guest_agent",
    ):
        return None
    return Match(f"{event.process} read {event.path}", entities=(file_entity(event, event.path),), key=event.path)


_STRONG = re.compile(
    r"cap_(?:setuid|setgid|sys_admin|sys_ptrace|sys_module|sys_rawio|dac_override|dac_read_search|chown|fowner|setfcap|bpf|perfmon)"
    r"|=e[ip]*p?$|\ball[+=]",
    re.IGNORECASE,
)


@detection(
    id="RT-0716",
    title="Capabilities given to a file",
    severity=Severity.MEDIUM,
    attack=("T1548.001",),
    on=ProcessExec,
    response="Take them away (`setcap -r FILE`), find out whether the file was run.",
    action="gave capabilities to a file",
    needs=(EXECS,),
    programs=frozenset({"setcap"}),
    benign=("Package managers and image builds (left out).",),
    investigate=("Is the file an interpreter or a copy of a shell: then anyone who runs it has them.",),
)
def file_capabilities(event: ProcessExec) -> Match | None:
    """setcap(8) gives a file capabilities that are as good as root, outside package management: it outlasts the session."""
    process = event.process
    if in_build(event) or by_package_manager(event) or program(process) != "setcap":
        return None
    given = [argument for argument in process.args[1:] if _STRONG.search(argument)]
    if not given or "-r" in process.args:
        return None
    path = process.args[-1]
    return Match(f"{path} gets {given[0]}", entities=(file_entity(event, path),), key=path)


_STRONG_CAPABILITIES = frozenset({
    "setuid", "setgid", "sys_admin", "sys_ptrace", "sys_module", "sys_rawio", "dac_override", "dac_read_search", "chown",
    "fowner", "setfcap", "bpf", "perfmon",
})  # fmt: skip


@detection(
    id="RT-0717",
    title="Program gave capabilities to a file",
    severity=Severity.MEDIUM,
    attack=("T1548.001",),
    on=FileCapabilities,
    response="Take them away (`setcap -r FILE`), find out whether the file was run.",
    action="gave capabilities to a file",
    catalogue=("X_SetuidChange",),
    needs=(FILES,),
    confidence="high",
    benign=("setcap (RT-0716 judges it), package managers, archive tools, runtimes and image builds (left out).",),
    investigate=("Is the file an interpreter or a copy of a shell: then anyone who runs it has them.",),
)
def capabilities_written(event: FileCapabilities) -> Match | None:
    """A program writes the attribute security.capability with rights as good as root's, without setcap(8)."""
    if in_build(event) or by_package_manager(event):
        return None
    name = program(event.process)
    if name in PACKAGE_MANAGERS | RUNTIMES | {
        "setcap",
        "tar",
        "bsdtar",
        "rsync",
        "cp",
        "umoci",
        "skopeo",
        "unsquashfs",
    }:
        return None
    given = [
        each for bit, each in enumerate(CAPABILITIES) if event.permitted >> bit & 1 and each in _STRONG_CAPABILITIES
    ]
    if not given:
        return None
    return Match(
        f"{event.process} gave {event.path} {', '.join(given[:4])}",
        entities=(file_entity(event, event.path),),
        key=event.path,
    )
