"""Ways out of a container: namespaces, kernel interfaces, runtime sockets, gained privileges."""

from __future__ import annotations

import re

from seawall.detection.declaration import detection
from seawall.detection.processes import (
    RUNTIMES,
    file_entity,
    in_build,
    on_platform,
    program,
)
from seawall.detection.rules.runtime import FILES, KERNEL, READS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import (
    CredentialChange,
    FileEvent,
    FileOpen,
    FileRename,
    IoUring,
    Mount,
    SensitiveRead,
)
from seawall.domain.severity import Severity

SANDBOXES = frozenset(
    {
        "chrome",
        "chromium",
        "headless_shell",
        "chrome-sandbox",
        "bwrap",
        "flatpak",
        "firefox",
        "electron",
        "msedge",
        "webkit",
        "nsjail",
        "minijail0",
        "systemd",
        "node",
        "lxc-start",
        "snap-confine",
        "steam-runtime",
    }
)
"""Programs that make namespaces to lock themselves in."""


_PRIMITIVES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"(?:^/sys/fs/cgroup/|/)(?:\S*/)?release_agent$"),
        "the kernel runs it as root when a cgroup empties (cgroups(7))",
    ),
    (re.compile(r"/notify_on_release$"), "makes the kernel call release_agent (cgroups(7))"),
    (re.compile(r"/proc/sys/kernel/core_pattern$"), "the kernel runs it when a process crashes (core(5))"),
    (re.compile(r"/sys/kernel/uevent_helper$|/proc/sys/kernel/hotplug$"), "the kernel runs it on device events"),
    (re.compile(r"/proc/sys/kernel/modprobe$"), "the kernel runs it to load modules"),
    (re.compile(r"/proc/sys/fs/binfmt_misc/(?:register|\S+)$"), "the kernel runs it for chosen files"),
    (re.compile(r"/proc/sysrq-trigger$|/proc/sys/kernel/sysrq$"), "commands the kernel directly"),
    (re.compile(r"/proc/sys/vm/panic_on_oom$|/proc/sys/kernel/panic$"), "changes what the node does on errors"),
    (re.compile(r"^/proc/(?:1|\d+)/root/"), "reaches the file system of another process"),
    (
        re.compile(
            r"^/(?:host|hostfs|rootfs|host-root|mnt/host)/(?:etc|root|usr|bin|sbin|lib|var/spool/cron|var/lib/kubelet|home)/"
        ),
        "is the node's own file system",
    ),
    (re.compile(r"/devices\.allow$"), "opens devices to the container (cgroup v1)"),
    (
        re.compile(r"/sys/kernel/(?:debug|security)/\S+|/sys/firmware/efi/efivars/\S+"),
        "changes kernel or firmware settings",
    ),
    (
        re.compile(r"^/dev/(?:mem|kmem|port|sd[a-z]\d*|nvme\d\S*|vd[a-z]\d*|xvd[a-z]\d*|dm-\d+|mapper/\S+)$"),
        "is the node's memory or raw disk",
    ),
)


@detection(
    id="RT-0906",
    title="Known container-escape write",
    severity=Severity.HIGH,
    attack=("T1611",),
    on=FileEvent,
    response="Isolate the node, then follow the container's process tree.",
    action="broke out to the host",
    catalogue=("X_EscapePrimitive",),
    needs=(FILES,),
    confidence="high",
    benign=(
        "Node agents with the host mounted (left out in platform namespaces).",
        "Storage drivers writing raw disks there.",
    ),
    investigate=("Is the container privileged, or has it the cgroup, proc or host mounted writable?",),
)
def escape_primitive(event: FileEvent) -> Match | None:
    """A container opens for writing, or renames onto, a file through which the kernel or the node does its bidding."""
    if event.container is None or on_platform(event):
        return None
    if not ((isinstance(event, FileOpen) and event.writes) or isinstance(event, FileRename)):
        return None
    path = event.changed
    if not path.startswith(
        ("/proc", "/sys", "/host", "/rootfs", "/dev", "/mnt", "/tmp", "/cgrp", "/run", "/var")
    ) and not path.endswith(("release_agent", "notify_on_release")):
        return None
    for pattern, why in _PRIMITIVES:
        if pattern.search(path):
            own = re.match(r"^/proc/(\d+)/root/", path)
            if own and int(own.group(1)) in (event.process.ns_pid, event.process.pid):
                return None
            return Match(
                f"{event.process} opened {path} for writing: it {why}", entities=(file_entity(event, path),), key=path
            )
    return None


@detection(
    id="RT-0913",
    title="Process gained privileges it should not have",
    severity=Severity.HIGH,
    attack=("T1068",),
    on=CredentialChange,
    response="Isolate the node: an exploit of the kernel or of a privileged service is likely.",
    action="gained privileges",
    catalogue=("X_PrivilegeGain",),
    needs=(KERNEL,),
    confidence="high",
    benign=("setuid programs and privileged daemons changing users (left out): only gains without an exec count.",),
    investigate=("Which program was it, and is its file known?", "Which kernel version runs?"),
)
def privilege_gained(event: CredentialChange) -> Match | None:
    """User id became 0, or capabilities grew beyond what the container was given, without executing a setuid file.

    Calls that change credentials are checked by the kernel (a saved user id may come back: apt does that); growth that
    no call asked for is an exploit's mark.
    A process that makes a user namespace has a full set there only, which is told apart.
    """
    process = event.process
    if process.user_ns or program(process) in RUNTIMES or process.memfd:
        return None
    became_root = event.previous_euid != 0 and event.previous_uid != 0 and process.euid == 0
    grown = process.caps & ~event.previous_caps
    beyond = event.container is not None and event.container.caps and process.caps & ~event.container.caps
    if event.operation == "kernel" and (became_root or grown):
        return Match(
            f"{process} became {'root' if became_root else 'more capable'} without a call that allows it",
            key=process.exe,
        )
    if beyond:
        return Match(f"{process} has capabilities beyond its container's", key=process.exe)
    return None


@detection(
    id="RT-0914",
    title="File system mounted in a container",
    severity=Severity.MEDIUM,
    attack=("T1611",),
    on=Mount,
    response="Unmount; find why the container may mount (CAP_SYS_ADMIN).",
    action="mounted a file system",
    needs=(KERNEL,),
    benign=("Storage drivers and CSI (left out in platform namespaces).", "FUSE and overlay in builds (left out)."),
    investigate=("Was it the node's disk, the cgroup file system, proc?",),
)
def mount_in_container(event: Mount) -> Match | None:
    """A workload mounts something: the node's disk, cgroups and proc weigh most; tmpfs and FUSE are left out."""
    if event.container is None or event.unmount or on_platform(event) or in_build(event):
        return None
    if program(event.process) in RUNTIMES | SANDBOXES or event.process.memfd or event.process.user_ns:
        return None
    if (
        event.filesystem in ("tmpfs", "fuse", "fuse.sshfs", "overlay", "devpts", "mqueue", "fusectl", "nsfs")
        or (event.flags & 0x1000 and not event.source.startswith("/dev/"))
        or event.flags & 0x20
        or event.flags & 0xC0000
    ):
        return None
    disk = event.source.startswith("/dev/")
    control = event.filesystem in (
        "cgroup",
        "cgroup2",
        "proc",
        "sysfs",
        "debugfs",
        "securityfs",
        "bpf",
        "tracefs",
        "binfmt_misc",
    )
    return Match(
        f"{event.process} mounted {event.source} ({event.filesystem or 'unknown'}) at {event.target or 'no place yet'}",
        Severity.HIGH if disk or control else None,
        ("a disk of the node",) if disk else ("a kernel interface",) if control else (),
        key=event.filesystem or event.source,
    )


@detection(
    id="RT-0915",
    title="Raw device or kernel memory of the node opened",
    severity=Severity.HIGH,
    attack=("T1611",),
    on=SensitiveRead,
    response="Isolate the node: everything on its disk is known to the container.",
    action="opened a raw device of the node",
    needs=(READS,),
    benign=("Storage and disk-health agents (left out in platform namespaces).",),
    investigate=("Is the container privileged?",),
)
def raw_device(event: SensitiveRead) -> Match | None:
    """A container opens a block device or the memory of the node for reading, under whatever name."""
    if event.container is None or on_platform(event):
        return None
    disk = event.file_type == "block" or re.match(
        r"^/dev/(?:sd[a-z]\d*|nvme\d\S*|vd[a-z]\d*|xvd[a-z]\d*|dm-\d+|mapper/\S+|k?mem|port)$", event.path
    )
    if disk and not event.path.startswith("/dev/loop"):
        return Match(f"{event.process} opened {event.path}", key=event.path)
    return None


@detection(
    id="RT-0916",
    title="io_uring used in a container",
    severity=Severity.LOW,
    attack=("T1562", "T1106"),
    on=IoUring,
    response="Forbid io_uring for workloads (seccomp, kernel.io_uring_disabled) that do not need it.",
    action="used io_uring",
    needs=(KERNEL,),
    benign=("Databases and runtimes built for it: learned by image or exempt.",),
    investigate=("Which files and peers went through it? They miss in system-call based tools.",),
)
def io_uring_used(event: IoUring) -> Match | None:
    """A program from outside the image, a shell or an interpreter sends file or network requests through io_uring, which
    no system call shows (the evasion of the "Curing" rootkit, 2025); or anyone opens a sensitive file that way."""
    if event.container is None or on_platform(event) or in_build(event):
        return None
    if re.search(
        r"^/etc/(?:shadow|sudoers|ld\.so\.preload)|/run/secrets/|\.ssh/|/proc/\d+/(?:environ|mem)", event.path
    ):
        return Match(
            f"{event.process} opens {event.path} through io_uring",
            Severity.HIGH,
            ("past system-call monitoring",),
            (file_entity(event, event.path),),
            event.path,
        )
    if event.operation != "setup" and event.process.drift:
        return Match(
            f"{event.process} sends {event.operation} through io_uring",
            Severity.MEDIUM,
            ("the program is not from the image",),
            key=event.operation,
        )
    return None
