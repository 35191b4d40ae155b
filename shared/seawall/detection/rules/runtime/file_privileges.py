"""Files that give their users more rights: setuid bits and capabilities."""

from __future__ import annotations

import re

from seawall.detection.declaration import detection
from seawall.detection.processes import (
    INTERPRETERS,
    PACKAGE_MANAGERS,
    RUNTIMES,
    SHELLS,
    by_package_manager,
    file_entity,
    in_build,
    program,
)
from seawall.detection.rules.runtime import EXECS, FILES
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import (
    CAPABILITIES,
    FileCapabilities,
    FileChmod,
    ProcessExec,
)
from seawall.domain.severity import Severity


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
