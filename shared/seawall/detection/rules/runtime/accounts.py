"""Accounts, groups and SSH keys that keep a door open."""

from __future__ import annotations

import re

from seawall.detection.declaration import detection
from seawall.detection.processes import (
    DATABASES,
    INTERPRETERS,
    SHELLS,
    WEB_SERVERS,
    by_entry_script,
    by_package_manager,
    by_runtime,
    file_entity,
    in_build,
    interactive,
    program,
    programs,
    script_text,
    told,
)
from seawall.detection.rules.runtime import EXECS, FILES, PEERS, READS
from seawall.detection.rules.runtime.persistence import provisioned, written
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import (
    FileEvent,
    Listen,
    ProcessExec,
    SensitiveRead,
)
from seawall.domain.severity import Severity


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
    if in_build(event) or by_package_manager(event) or provisioned(event):
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
    if in_build(event) or by_package_manager(event) or provisioned(event):
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
    if in_build(event) or by_package_manager(event) or provisioned(event):
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
    if not written(event) or not re.search(r"/(?:\.ssh/authorized_keys2?|etc/ssh/authorized_keys/\S+)$", path):
        return None
    if (
        in_build(event)
        or by_package_manager(event)
        or by_runtime(event)
        or provisioned(event)
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
    if not re.search(r"/authorized_keys2?$", event.path) or by_package_manager(event) or provisioned(event):
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
