"""Alerts for tests, in few words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from seawall.domain.alerts import Alert, Entity, EntityKind
from seawall.domain.severity import Severity

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)

ANALYTICS = {
    "exec": (("T1609",), Severity.MEDIUM),
    "admin": (("T1098.006",), Severity.MEDIUM),
    "secrets": (("T1552.007",), Severity.HIGH),
    "escape": (("T1611",), Severity.HIGH),
    "probe": (("T1613",), Severity.LOW),
    "mount": (("T1611",), Severity.INFORMATIONAL),
    "policy": (("T1562.001",), Severity.HIGH),
    "shell": (("T1059.004",), Severity.MEDIUM),
    "miner": (("T1496.001",), Severity.HIGH),
    "push": (("T1525",), Severity.MEDIUM),
}


def alert(
    analytic: str,
    minutes: float = 0,
    *,
    id: str = "",  # noqa: A002
    actor: str = "",
    ip: str = "",
    namespace: str = "",
    cluster: str = "prod",
    source: str = "audit",
    lasts: float = 0,
    count: int = 1,
    severity: Severity | None = None,
    **entities: str,
) -> Alert:
    """An alert `minutes` after `START`; `entities` are kind=id, e.g. pod="prod/web-1"."""
    attack, usual = ANALYTICS[analytic]
    found = tuple(Entity(EntityKind(kind), value) for kind, value in entities.items())
    first = START + timedelta(minutes=minutes)
    return Alert(
        id=id or f"alert-{analytic}-{minutes:g}-{actor}-{ip}-{'-'.join(entities.values())}",
        analytic=analytic,
        title=f"The {analytic} analytic",
        message=f"{analytic} by {actor or 'nobody'}",
        severity=usual if severity is None else severity,
        attack=attack,
        first_seen=first,
        last_seen=first + timedelta(minutes=lasts),
        source=source,
        count=count,
        cluster=cluster,
        namespace=namespace,
        actor=actor,
        source_ip=ip,
        entities=found,
        response=f"Respond to {analytic}.",
    )


CI = "system:serviceaccount:build:ci"
EVE = "eve@example.com"
BOB = "bob@example.com"
