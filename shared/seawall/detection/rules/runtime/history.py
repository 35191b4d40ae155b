"""Shell histories wiped or switched off."""

from __future__ import annotations

import re

from seawall.detection.declaration import detection
from seawall.detection.processes import (
    SHELLS,
    by_package_manager,
    by_runtime,
    file_entity,
    for_a_person,
    in_build,
    program,
    script_text,
)
from seawall.detection.rules.runtime import EXECS, FILES
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import (
    FileEvent,
    FileLink,
    FileOpen,
    FileRename,
    FileUnlink,
    ProcessExec,
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
