"""Programs that did not come with the image: drifted, in memory only, from temporary folders."""

from __future__ import annotations

from seawall.detection.declaration import Logic, detection
from seawall.detection.processes import (
    DATABASES,
    INTERPRETERS,
    SHELLS,
    WEB_SERVERS,
    by_build_tool,
    by_installer,
    by_package_manager,
    file_entity,
    in_build,
    is_hidden,
    is_loader,
    is_temporary,
    program,
    server_above,
)
from seawall.detection.rules.runtime import EXECS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import Enforced, ProcessExec, ScriptRun
from seawall.domain.severity import Severity

_KEEP_AND_STOP = "Keep a copy of the file and its hash, stop the container, and start it again from its image."


@detection(
    id="RT-0101",
    title="Program that is not from the image was executed",
    severity=Severity.HIGH,
    attack=("T1105", "T1036"),
    on=ProcessExec,
    response=_KEEP_AND_STOP,
    action="ran a program that is not in its image",
    catalogue=("K8S.NODE_DriftDetected†",),
    needs=(EXECS, "origin of executed files (overlay)"),
    confidence="high",
    benign=(
        "A package manager or language installer run in the container on purpose.",
        "Plug-ins and compilers that an application unpacks at start (some JVM and database images).",
    ),
    investigate=(
        "Who wrote the file: look for downloads and copies in the same container before this time.",
        "Look the hash up; compare the file with system programs (a renamed copy is common).",
        "What did it connect to, and what did it start?",
    ),
)
def drifted_program(event: ProcessExec) -> Match | None:
    """A container executes a file that its image does not hold: it was written, copied or mounted after the start.

    The kernel decides by the overlay's upper layer, so a renamed, touched or deleted file does not hide. Image builds
    and scripts of package managers are left out; files that came by a volume count less.
    """
    process = event.process
    if not process.drift or event.container is None or process.memfd or in_build(event) or by_package_manager(event):
        return None
    where = {"upper": "the writable layer", "tmpfs": "a memory file system", "bind": "a mounted folder"}
    message = f"{process.exe} was executed from {where.get(process.origin, 'outside the image')}"
    entities = (file_entity(event, process.exe),)
    if by_build_tool(event) or by_installer(event):
        return Match(message, Severity.LOW, ("a build or an installer runs what it made",), entities, process.exe)
    if process.origin == "bind" and not is_temporary(process.exe):
        return Match(message, Severity.LOW, ("the file came with a volume",), entities, process.exe)
    return Match(message, entities=entities, key=process.exe)


@detection(
    id="RT-0102",
    title="Program that is not from the image was stopped",
    severity=Severity.MEDIUM,
    attack=("T1105", "T1036"),
    on=Enforced,
    response="Find how the file came into the container: the attempt failed, the way in is still open.",
    action="was stopped from running a program that is not in its image",
    catalogue=("K8S.NODE_DriftBlocked",),
    needs=("a drift policy in block or kill mode",),
    confidence="high",
    benign=("A drift policy that is stricter than the application: see what RT-0101 reported in audit mode first.",),
    investigate=("Which process wrote the file, and who started that?",),
)
def drift_blocked(event: Enforced) -> Match | None:
    """A drift policy refused or killed a program that is not from the image."""
    if event.reason not in ("drift", "listed") or event.action == "audit":
        return None
    return Match(
        f"policy {event.policy} stopped {event.path} ({event.action})",
        entities=(file_entity(event, event.path),),
        key=event.path,
    )


@detection(
    id="RT-0103",
    title="Program ran from memory only",
    severity=Severity.HIGH,
    attack=("T1620", "T1027.011"),
    on=ProcessExec,
    response="Dump the process's memory before it ends (/proc/<pid>/exe still reads), then stop the container.",
    action="ran a program from memory",
    catalogue=("X_FilelessExec",),
    needs=(EXECS, "origin of executed files (overlay)"),
    confidence="high",
    benign=("runc re-executes itself from memory when it makes containers (left out).",),
    investigate=("Read the parent's arguments and connections: loaders fetch the program over the network.",),
)
def fileless_exec(event: ProcessExec) -> Match | None:
    """A program was executed from an anonymous memory file (memfd_create) or after its file was deleted.

    Nothing is left on disk to find. Container runtimes do this to themselves on the node; those are left out by name
    and place.
    """
    process = event.process
    if not (process.memfd or process.deleted):
        return None
    if event.container is None and any(word in process.exe for word in ("runc", "crun", "youki", "systemd")):
        return None
    # While runc enters a container its own image is a sealed memory file; it is not the container's program yet.
    if process.exe.removeprefix("memfd:").startswith(("runc_cloned:", "runc-dmz", "crun")):
        return None
    if process.deleted and not process.memfd and by_package_manager(event):
        return None
    what = "an anonymous memory file" if process.memfd else "a deleted file"
    return Match(f"{process.exe} was executed from {what}", key=process.exe)


@detection(
    id="RT-0104",
    title="Program ran from a temporary or hidden folder",
    severity=Severity.MEDIUM,
    attack=("T1036.005", "T1564.001"),
    on=ProcessExec,
    response="Keep a copy of the file and look at what wrote it.",
    action="ran a program from a temporary folder",
    catalogue=("K8S.NODE_SuspectExecutablePath",),
    needs=(EXECS,),
    benign=("Installers and build tools that unpack and run helpers in /tmp.", "JIT helpers of some data tools."),
    investigate=("Which process wrote the file?", "Is the name that of a system program?"),
)
def suspicious_path(event: ProcessExec) -> Match | None:
    """A program or script started from /tmp, /var/tmp, /dev/shm or a hidden folder.

    Applies to the node too, where drift cannot be told. /tmp inside image builds and package scripts is ordinary.
    """
    process = event.process
    path = event.script or process.exe
    if not path.startswith("/") or in_build(event) or by_package_manager(event):
        return None
    shared_memory = path.startswith(("/dev/shm/", "/run/shm/", "/dev/mqueue/"))
    hidden = is_hidden(path) and not path.startswith(("/root/.", "/home/", "/opt/", "/usr/", "/app/", "/workspace/"))
    if not (is_temporary(path) or hidden):
        return None
    reasons: tuple[str, ...]
    if by_build_tool(event) or by_installer(event):
        severity, reasons = Severity.LOW, ("a build or an installer runs what it made",)
    elif shared_memory:
        severity, reasons = Severity.HIGH, ("shared memory holds no programs",)
    elif event.container is None and not is_hidden(path):
        severity, reasons = Severity.LOW, ("on the node, where people work in temporary folders",)
    else:
        severity, reasons = Severity.MEDIUM, ()
    return Match(f"{path} was executed", severity, reasons, (file_entity(event, path),), path)


@detection(
    id="RT-0105",
    title="Interpreter runs a script that is not from the image",
    severity=Severity.MEDIUM,
    attack=("T1059", "T1105"),
    on=ScriptRun,
    response="Keep a copy of the script; find what wrote it.",
    action="ran a script that is not in its image",
    needs=(EXECS, "origin of executed files (overlay)"),
    benign=("Scripts that an entry point writes from its configuration.", "Code mounted from a ConfigMap (lowered)."),
    investigate=("Read the script.", "Who wrote it, and from where?"),
)
def drifted_script(event: ScriptRun) -> Match | None:
    """A shell or interpreter from the image runs a script that was written after the container started.

    The program itself is original, so drift of executables alone does not see it. The kernel decides by the file that
    the interpreter opened. Below a server, from a temporary or hidden place or from standard input it weighs more than
    in a folder where people work, in a volume (a ConfigMap's) or below a build.
    """
    if event.container is None or event.process.drift or in_build(event) or by_package_manager(event):
        return None
    if is_loader(event.process.exe):
        # The file need not be executable and may lie where nothing can be executed.
        message = f"the loader runs {event.path}, which is not from the image"
        return Match(
            message, Severity.HIGH, ("the loader was started by hand",), (file_entity(event, event.path),), event.path
        )
    if program(event.process) not in SHELLS | INTERPRETERS:
        return None
    path = "its standard input" if event.path == "-" else event.path
    odd = event.path == "-" or is_temporary(event.path) or is_hidden(event.path)
    volume = event.origin == "bind" or (event.origin == "tmpfs" and not odd)
    made = by_build_tool(event) or by_installer(event)
    served = server_above(event, WEB_SERVERS | DATABASES | frozenset({"java"})) is not None
    lowered = not served and (volume or made or not odd)
    return Match(
        f"{program(event.process)} runs {path}, which is not from the image",
        Severity.LOW if lowered else None,
        ("the file came with a volume",) if volume else ("a build or an installer runs it",) if made else (),
        (file_entity(event, event.path),),
        event.path,
    )


MARKERS = ("asc_alerttest_662jfi039n", "seawall-alert-test")
"""File names of the harmless test program: the public documentation of Defender's, and ours."""


@detection(
    id="RT-0106",
    title="Test alert",
    severity=Severity.HIGH,
    attack=(),
    on=ProcessExec,
    response="Nothing: somebody tested that alerts arrive.",
    action="ran the test command",
    logic=Logic.TEST,
    catalogue=("K8S.NODE_EICAR",),
    needs=(EXECS,),
    confidence="high",
    benign=("Always.",),
    investigate=("Ask who is testing.",),
)
def test_marker(event: ProcessExec) -> Match | None:
    """A program with the fixed harmless name ran: `cp /bin/echo ./seawall-alert-test; ./seawall-alert-test`."""
    if event.process.name in MARKERS:
        return Match(f"the test program {event.process.name} ran")
    return None
