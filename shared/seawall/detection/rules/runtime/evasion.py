"""Programs, files and images that are made to look like something else."""

from __future__ import annotations

import re

from seawall.detection.declaration import detection
from seawall.detection.processes import (
    BUILDERS,
    INTERPRETERS,
    PACKAGE_MANAGERS,
    RUNTIMES,
    SHELLS,
    by_package_manager,
    file_entity,
    in_build,
    is_hidden,
    is_temporary,
    on_platform,
    program,
    script_text,
)
from seawall.detection.rules.runtime import EXECS, FILES
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import (
    FileLink,
    FileTimes,
    ProcessExec,
)
from seawall.domain.severity import Severity

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
