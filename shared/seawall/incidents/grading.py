"""How bad an incident is: the worst alert, raised when the alerts progress along an attack."""

from __future__ import annotations

from collections.abc import Sequence

from seawall.domain.alerts import Alert
from seawall.domain.attack import stages_of
from seawall.domain.severity import Severity


def progression(alerts: Sequence[Alert]) -> tuple[Alert, ...]:
    """Return the longest run of alerts, oldest first, in which each is a later stage of an attack than the one before.

    Stages are those of `attack.stages_of`; every alert of the run is another analytic. Of equal runs the one that ends
    in the earliest stage and then begins first. `alerts` are oldest first.
    """
    # best[stage]: the longest run that ends in this stage. An alert that several stages could claim takes one of them.
    best: dict[int, tuple[Alert, ...]] = {}
    for alert in alerts:
        extended = dict(best)
        for stage in stages_of(alert.attack):
            before = max(
                (run for at, run in best.items() if at < stage and all(a.analytic != alert.analytic for a in run)),
                key=len,
                default=(),
            )
            if len(before) + 1 > len(extended.get(stage, ())):
                extended[stage] = (*before, alert)
        best = extended
    return max((best[stage] for stage in sorted(best)), key=len, default=())


def is_incident(alerts: Sequence[Alert]) -> bool:
    """True when the alerts are worth a person's time together.

    One alert of medium or above is. Weaker ones are only when they make a progression of three stages with something
    low among them; informational alerts alone never are.
    """
    worst = max(alert.severity for alert in alerts)
    if worst >= Severity.MEDIUM:
        return True
    return worst >= Severity.LOW and len(progression(alerts)) >= 3


def grade(alerts: Sequence[Alert]) -> tuple[Severity, tuple[str, ...]]:
    """Return the severity of an incident of these alerts (oldest first) and the reasons for it.

    The severity is the worst alert's. A progression raises it: two stages with something medium make it high, three
    stages with something high, or four with something medium, make it critical; three stages of weaker alerts make it
    medium.
    """
    worst = max(alert.severity for alert in alerts)
    chief = min((alert for alert in alerts if alert.severity is worst), key=lambda alert: (alert.first_seen, alert.id))
    reasons = [f"{chief.title}: {worst.label}"]
    run = progression(alerts)
    stages = len(run)
    raised = worst
    if (stages >= 3 and worst >= Severity.HIGH) or (stages >= 4 and worst >= Severity.MEDIUM):
        raised = Severity.CRITICAL
    elif stages >= 2 and worst >= Severity.MEDIUM:
        raised = Severity.HIGH
    elif stages >= 3 and worst >= Severity.LOW:
        raised = Severity.MEDIUM
    if raised > worst:
        order = ", then ".join(alert.title for alert in run[:6])
        reasons.append(f"raised to {raised.label}: the alerts progress along an attack ({order})")
    return max(raised, worst), tuple(reasons)
