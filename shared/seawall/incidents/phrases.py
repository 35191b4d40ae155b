"""What happened, as the predicate of a sentence: "took cluster-admin", "read secrets in bulk".

Every analytic of ours says its own in `Detection.action`; the table here answers for customers' rules that do not, by
ATT&CK technique.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seawall.detection.declaration import Detection
from seawall.domain.alerts import Alert
from seawall.domain.attack import technique

Phrase = Callable[[Alert], str]
"""Returns the predicate of a sentence about an alert, without subject, place or full stop."""

BY_TECHNIQUE: dict[str, str] = {
    "T1611": "tried to reach the host",
    "T1609": "ran commands in a container",
    "T1610": "deployed a suspicious container",
    "T1552": "went after credentials",
    "T1528": "stole an access token",
    "T1098": "changed permissions",
    "T1078": "used an account in an unusual way",
    "T1613": "explored the cluster",
    "T1046": "scanned the network",
    "T1070": "removed traces",
    "T1562": "weakened defences",
    "T1496": "used resources for its own ends",
    "T1190": "exploited an exposed application",
    "T1133": "exposed a service",
    "T1059": "ran a command interpreter",
    "T1105": "brought tools in",
    "T1071": "talked to a command-and-control server",
    "T1048": "sent data out",
    "T1485": "destroyed data",
    "T1490": "destroyed backups",
    "T1546": "planted an event-triggered backdoor",
    "T1557": "put itself into others' traffic",
}
"""By technique; a sub-technique is asked as its parent after itself."""


def phrases(analytics: Mapping[str, Detection]) -> Phrase:
    """Return the phrase of an alert, given the declared analytics by id."""
    table = {id_: declared.action for id_, declared in analytics.items() if declared.action}

    def phrase(alert: Alert) -> str:
        return table.get(alert.analytic) or _by_technique(alert) or f"raised “{alert.title}”"

    return phrase


def _by_technique(alert: Alert) -> str:
    for id_ in alert.attack:
        if (text := BY_TECHNIQUE.get(id_) or BY_TECHNIQUE.get(id_.partition(".")[0])) and technique(id_):
            return text
    return ""
