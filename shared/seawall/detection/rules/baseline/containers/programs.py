"""Programs and terminals that a workload never had."""

from __future__ import annotations

from seawall.detection.baselines.habit import Habit
from seawall.detection.credentials import CLOUD_CLIS
from seawall.detection.declaration import Logic, detection
from seawall.detection.processes import DOWNLOADERS, INTERPRETERS, SHELLS, program
from seawall.detection.rules.baseline.containers import EXECS, LEARNT
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import ProcessExec
from seawall.domain.severity import Severity

_GENERAL = SHELLS | DOWNLOADERS | INTERPRETERS


@detection(
    id="BL-0101",
    title="Program that the workload never ran",
    severity=Severity.LOW,
    attack=("T1059",),
    on=ProcessExec,
    logic=Logic.BASELINE,
    features=("program",),
    needs=(LEARNT, EXECS),
    response="Read the process tree: what started the program, and what it did next. Replace the pod if nobody can say why.",
    action="ran a program that the workload never ran",
    benign=(
        "A job that runs once a month.",
        "A preStop hook, which is seen for the first time when the first pod stops.",
        "Somebody looks around with `kubectl exec` and no terminal.",
    ),
    investigate=("Which request came in at that second?", "Is the program part of the image?"),
    confidence="low",
)
def new_program(event: ProcessExec, habit: Habit) -> Match | None:
    """A program, script or applet runs in a container of a workload that never ran it.

    Containers run few programs, and the same ones for ever; an intruder needs others. Shells, download tools, interpreters
    and programs that are not from the image are medium. Tools of clouds have an analytic of their own (BL-0103).
    """
    process = event.process
    name = program(process)
    if _cloud_tool(event):
        return None
    reasons = []
    if name in _GENERAL:
        reasons.append("a program that can do anything")
    if process.drift:
        reasons.append("not from the image")
    if process.entered:
        reasons.append("entered from outside")
    grave = name in _GENERAL or process.drift
    return habit.match(
        f"{habit.feature.value} runs for the first time in {habit.workload}: {process.command_line[:160]}",
        severity=Severity.MEDIUM if grave else None,
        reasons=tuple(reasons),
    )


@detection(
    id="BL-0102",
    title="Terminal in a workload that never has one",
    severity=Severity.LOW,
    attack=("T1059.004", "T1609"),
    on=ProcessExec,
    logic=Logic.BASELINE,
    features=("terminal",),
    catalogue=("X_InteractiveShell",),
    needs=(LEARNT, EXECS),
    response="Ask who works there; production containers need no terminal.",
    action="opened a terminal where there never was one",
    benign=("Somebody of the team debugs for the first time.",),
    investigate=("Which user ran `kubectl exec` at this second (audit log)?", "What was started below the shell?"),
    confidence="low",
)
def new_terminal(event: ProcessExec, habit: Habit) -> Match | None:
    """A shell with a terminal, or a program that somebody starts at one from outside, in a workload that never had it.

    What is started below such a shell is not judged one by one.
    """
    how = "from outside" if event.process.entered else "from inside the container"
    return habit.match(
        f"{program(event.process)} at terminal {event.process.tty} in {habit.workload}, {how}", reasons=(how,)
    )


@detection(
    id="BL-0103",
    title="Cloud tool in a workload that never used it",
    severity=Severity.MEDIUM,
    attack=("T1078.004", "T1526"),
    on=ProcessExec,
    logic=Logic.BASELINE,
    features=("program",),
    catalogue=("X_CloudCliUse",),
    needs=(LEARNT, EXECS),
    response="Look in the cloud's log for what the pod's identity did, and take the identity away until that is known.",
    action="used a cloud tool that the workload never used",
    benign=("A monthly upload by script.",),
    investigate=("Did a request to the metadata service come before (BL-0105, RT-0608)?", "Who started the tool?"),
)
def new_cloud_tool(event: ProcessExec, habit: Habit) -> Match | None:
    """aws, az, gcloud, terraform or the like runs in a container of a workload that never ran it."""
    tool = _cloud_tool(event)
    if not tool:
        return None
    return habit.match(f"{tool} runs for the first time in {habit.workload}: {event.process.command_line[:160]}")


def _cloud_tool(event: ProcessExec) -> str:
    """The cloud's tool that starts, or empty. Some are scripts: the program is Python then."""
    names = (program(event.process), event.script.rpartition("/")[2].removesuffix(".py"))
    return next((name for name in names if name in CLOUD_CLIS), "")
