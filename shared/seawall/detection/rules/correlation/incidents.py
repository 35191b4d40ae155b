"""Analytics over alerts: what an incident is raised for."""

from __future__ import annotations

from collections.abc import Sequence

from seawall.detection.declaration import Logic, detection
from seawall.domain.alerts import Alert, Incident, Match
from seawall.domain.attack import tactics_of
from seawall.domain.severity import Severity
from seawall.incidents.grading import progression


@detection(
    id="CO-0001",
    title="Multi-stage attack",
    severity=Severity.HIGH,
    attack=("T1078",),
    on=Incident,
    logic=Logic.CORRELATION,
    catalogue=("X_AttackChain",),
    needs=("alerts of at least two analytics",),
    response="Work the incident as one: contain the identities and workloads it names, in the order of its time line.",
    action="went through several stages of an attack",
    benign=("An authorised penetration test.", "An administrator who installs and debugs a node agent by hand."),
    investigate=("Read the time line from the start.", "Check the first alert's identity and address."),
    confidence="high",
)
def attack_chain(alerts: Sequence[Alert]) -> Match | None:
    """Two or more different analytics fire on the same identity, workload or other shared entity in kill-chain order.

    The stages are entry, execution, foothold and privilege, credentials and discovery, spread and control, damage. Two
    stages with something medium make the incident high, three with something high make it critical. The incident
    itself is the result; no further alert is made.
    """
    run = progression(alerts)
    if len(run) < 2 or max(alert.severity for alert in alerts) < Severity.MEDIUM:
        return None
    words = ", then ".join(alert.title for alert in run)
    tactics = tactics_of(tuple(technique for alert in run for technique in alert.attack))
    return Match(words, reasons=(f"tactics: {', '.join(tactics)}",), key=run[0].id)
