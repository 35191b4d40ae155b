"""How an analytic is declared: metadata and what it looks at above one predicate.

The engine reads from the declaration which events to feed the function, so an event meets only analytics that could
match. The decorated function becomes a `Detection` that can still be called: `rule(event) -> Match | None`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

from seawall.domain.alerts import Match
from seawall.domain.severity import Severity


class Logic(StrEnum):
    """How the analytic decides."""

    RULE = "rule"
    LIST = "list"
    BASELINE = "baseline"
    CORRELATION = "correlation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Detection:
    """One analytic. Calling it runs the predicate alone.

    `on` is the event type (a class of `seawall.domain`). For audit events `verbs`, `resources` ("pods/exec", "*" = any, "k8s*" =
    all that begin so, "" = requests that are not about a resource), `actors`, `outcomes`, `origins` and `impersonated` narrow the dispatch;
    for cloud and registry events `operations` does. Further narrowing belongs in the predicate.

    A rule with a `window` receives the earlier events of the window that share `by` as its second argument, oldest
    first; audit events come without their bodies then, which would fill the memory. With a `threshold` too, the predicate sees one event and says whether it counts (by returning a `Match`); the
    engine alerts on every counted event that lies in some window with at least `threshold` different values of
    `distinct`. That is independent of the order of arrival, so prefer it.
    """

    id: str
    title: str
    severity: Severity
    attack: tuple[str, ...]
    on: type[Any]
    response: str
    check: Callable[..., Match | None]
    doc: str = ""
    logic: Logic = Logic.RULE
    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    """Kinds of real user: anonymous, node, service_account, system (other `system:` names), user. Empty = any."""
    outcomes: tuple[str, ...] = ("allowed",)
    """allowed, denied (401, 403), failed (other errors). Dry runs are never dispatched."""
    origins: tuple[str, ...] = ()
    """Where the call came from: listed (a threat list), public, cloud (a provider's public range), private. Empty = any."""
    impersonated: bool | None = None
    """Only requests with (True) or without (False) impersonation headers."""
    enriched: bool = False
    """Only records that a log pipeline before us added findings to."""
    agents: re.Pattern[str] | None = None
    """Only callers whose user agent it finds; looked up once per user agent."""
    mentions: tuple[bytes, ...] = ()
    """For audit events whose body was logged: the field names without one of which in the body the predicate says nothing.
    A look at the bytes spares decoding them; a body with escaped characters is decoded."""
    operations: tuple[str, ...] = ()
    """Cloud operations or registry actions, lower case, exact. Empty = any."""
    programs: frozenset[str] = frozenset()
    """For `ProcessExec`: programs as `seawall.detection.processes.program` names them. Empty = any."""
    window: timedelta | None = None
    before: tuple[str, ...] = ()
    """For a `window` without a `threshold`: the resources whose events matter to later ones. Empty = all that it meets."""
    concerns: Callable[[Any], bool] | None = None
    """For a `window` without a `threshold`: other events are neither judged nor kept, where they would push out those that
    matter. None = all that it meets."""
    by: str = ""
    """Attributes of the event, joined by "+", that a window is kept for, e.g. "cluster+actor"."""
    threshold: int = 0
    distinct: str = "id"
    """Attribute whose different values count towards `threshold`."""
    features: tuple[str, ...] = ()
    """Families of learnt features that it reads: judged by the baselines, whose view it gets as its second argument."""
    catalogue: tuple[str, ...] = ()
    """Identifiers of the public catalogues that this analytic answers, as cross-references."""
    needs: tuple[str, ...] = ()
    """Data it cannot work without, e.g. "request bodies of pods", "reads of secrets"; blind spots are reported by these."""
    platforms: tuple[str, ...] = ("aks", "eks", "gke", "self-managed")
    """Where it can work; the reference page says why not elsewhere."""
    platform_notes: dict[str, str] = field(default_factory=dict)
    benign: tuple[str, ...] = ()
    """Known harmless causes."""
    investigate: tuple[str, ...] = ()
    action: str = ""
    """What the actor did, as the predicate of an incident's title: "took cluster-admin"; empty = by catalogue or technique."""
    confidence: str = "medium"
    enabled: bool = True
    """False: optional, off until a tuning file turns it on."""
    version: int = 1

    def __call__(self, *args: Any) -> Match | None:
        """Run the predicate on an event (and, with a `window`, on the events before it)."""
        return self.check(*args)


F = TypeVar("F", bound=Callable[..., Match | None])


def detection(
    *,
    id: str,  # noqa: A002 - the word of the declaration
    title: str,
    severity: Severity,
    attack: Sequence[str],
    on: type[Any],
    response: str,
    **metadata: Any,
) -> Callable[[F], Detection]:
    """Turn a predicate into a `Detection`; its docstring says what it means and why. See `Detection` for `metadata`."""

    def declare(check: F) -> Detection:
        return Detection(
            id=id,
            title=title,
            severity=severity,
            attack=tuple(attack),
            on=on,
            response=response,
            check=check,
            doc=(check.__doc__ or "").strip(),
            **metadata,
        )

    return declare
