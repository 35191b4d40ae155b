"""Tokens and sensitive files that a workload's programs never read."""

from __future__ import annotations

from seawall.detection.baselines.habit import Habit
from seawall.detection.declaration import Logic, detection
from seawall.detection.processes import by_package_manager, file_entity, program
from seawall.detection.rules.baseline.containers import LEARNT, READS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import SensitiveRead
from seawall.domain.severity import Severity


@detection(
    id="BL-0106",
    title="Token read by a program that never read one",
    severity=Severity.LOW,
    attack=("T1528", "T1552.001"),
    on=SensitiveRead,
    logic=Logic.BASELINE,
    features=("token",),
    catalogue=("K8S.NODE_TokenAccess†",),
    needs=(LEARNT, READS),
    response="Look for the service account in the audit log from now on; replace the pod, which ends the token.",
    action="read a token that it never read",
    benign=("A new configuration makes the application use its identity.",),
    investigate=("Does a call with this service account follow from another client?",),
)
def new_token_reader(event: SensitiveRead, habit: Habit) -> Match | None:
    """A program of a workload reads a workload identity's token (Kubernetes, Azure, EKS, GKE) and never did.

    RT-0601 knows shells and tools; this one also sees an application that is made to read its own token.
    """
    return habit.match(
        f"{program(event.process)} of {habit.workload} read {event.path} for the first time",
        entities=(file_entity(event, event.path),),
    )


@detection(
    id="BL-0107",
    title="Sensitive file that the workload never read",
    severity=Severity.LOW,
    attack=("T1552.001",),
    on=SensitiveRead,
    logic=Logic.BASELINE,
    features=("file",),
    catalogue=("K8S.NODE_SensitiveFileAccess†",),
    needs=(LEARNT, READS),
    response="Treat what the file holds as known to others, and find the request that made the program read it.",
    action="read a sensitive file that it never read",
    benign=("A restored backup, a rotated key with a new name.",),
    investigate=("Was a path in the request (path traversal)?",),
    confidence="low",
)
def new_sensitive_file(event: SensitiveRead, habit: Habit) -> Match | None:
    """A program reads a file of the sensitive list that it never read in this workload: keys, password files, credentials.

    A server that is talked into reading `/etc/shadow` looks like any other reader; only that it never did tells.
    """
    if by_package_manager(event):
        return None
    return habit.match(
        f"{program(event.process)} of {habit.workload} read {event.path} for the first time",
        entities=(file_entity(event, event.path),),
    )
