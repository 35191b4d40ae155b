"""How bad an incident is: the worst alert, raised when the alerts progress along an attack."""

from __future__ import annotations

from collections.abc import Sequence

from seawall.domain.alerts import Alert
from seawall.domain.attack import stages_of
from seawall.domain.severity import Severity


def weight(run: Sequence[Alert]) -> float:
    """Return what the stages of a run are worth: one for medium and above, half for low. Ordinary work has low stages."""
    return sum(1.0 if alert.severity >= Severity.MEDIUM else 0.5 for alert in run)


def progression(alerts: Sequence[Alert]) -> tuple[Alert, ...]:
    """Return the weightiest run of alerts, oldest first, in which each is a later stage of an attack than the one before.

    Stages are those of `attack.stages_of`; every alert of the run is another analytic, and none is informational. Of
    equal runs the one that ends in the earliest stage and then begins first. `alerts` are oldest first.
    """
    # best[stage]: the best run that ends in this stage. An alert that several stages could claim takes one of them.
    best: dict[int, tuple[Alert, ...]] = {}
    for alert in alerts:
        if alert.severity < Severity.LOW:
            continue
        extended = dict(best)
        for stage in stages_of(alert.attack):
            before = max(
                (run for at, run in best.items() if at < stage and all(a.analytic != alert.analytic for a in run)),
                key=weight,
                default=(),
            )
            if weight(before) + weight((alert,)) > weight(extended.get(stage, ())):
                extended[stage] = (*before, alert)
        best = extended
    return max((best[stage] for stage in sorted(best)), key=weight, default=())


def is_incident(alerts: Sequence[Alert]) -> bool:
    """True when the alerts are worth a person's time together.

    One alert of medium or above is. Weaker ones are only when they make a progression of four stages; informational
    alerts alone never are.
    """
    worst = max(alert.severity for alert in alerts)
    if worst >= Severity.MEDIUM:
        return True
    return worst >= Severity.LOW and len(progression(alerts)) >= 4


def grade(alerts: Sequence[Alert]) -> tuple[Severity, tuple[str, ...]]:
    """Return the severity of an incident of these alerts (oldest first) and the reasons for it.

    The severity is the worst alert's. A progression raises it (`weight`: a low stage counts half): two stages of medium
    and above, or one with three low ones, make it high; three with something high, or four, make it critical; four low
    stages make it medium.
    """
    worst = max(alert.severity for alert in alerts)
    chief = min((alert for alert in alerts if alert.severity is worst), key=lambda alert: (alert.first_seen, alert.id))
    reasons = [f"{chief.title}: {worst.label}"]
    run = progression(alerts)
    strong = sum(alert.severity >= Severity.MEDIUM for alert in run)
    total = weight(run)
    raised = worst
    if (total >= 3 and worst >= Severity.HIGH) or strong >= 4:
        raised = Severity.CRITICAL
    elif worst >= Severity.MEDIUM and (strong >= 2 or total >= 2.5):
        raised = Severity.HIGH
    elif len(run) >= 4 and worst >= Severity.LOW:
        raised = Severity.MEDIUM
    if raised > worst:
        order = ", then ".join(alert.title for alert in run[:6])
        reasons.append(f"raised to {raised.label}: the alerts progress along an attack ({order})")
    return max(raised, worst), tuple(reasons)
