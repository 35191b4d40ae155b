"""Verdicts of posture controls on objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from seawall.domain.severity import Severity


class Status(StrEnum):
    """Data that could not be read is `unknown`, never `pass`."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    MANUAL = "manual"
    NOT_APPLICABLE = "not_applicable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An assessed object: Kubernetes kind, namespace (empty = cluster scoped) and name; cloud objects use their type as kind."""

    kind: str
    name: str
    namespace: str = ""
    api_version: str = ""
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Priority:
    """How urgent a failure is: `score` is 0 to 100.

    `paths` counts the attack paths that the failure makes possible; `likelihood`, `impact` (0 to 1) and `path`, the
    places it goes through, are those of the gravest.
    """

    score: int
    paths: int = 0
    likelihood: float = 0.0
    impact: float = 0.0
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assessment:
    """One control on one object. `path` is a JSON path into the object; `id` stays the same over rescans."""

    id: str
    control: str
    status: Status
    severity: Severity
    object: ObjectRef
    title: str = ""
    path: str = ""
    actual: Any = None
    expected: Any = None
    fix: str = ""
    reason: str = ""
    assessed_at: datetime | None = None
    excepted: str = ""
    """Reason of the exception that covers this failure; empty = none."""
    priority: Priority | None = None
    """Set for failures when attack paths were searched."""


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One assessment's totals of a scope, or of one team in it (`team` empty = the whole scope).

    `passed` of `assessed` pairs of control and object; `failures` by severity label, accepted ones left out.
    """

    scope: str
    team: str
    assessed_at: datetime
    passed: int
    assessed: int
    failures: dict[str, int] = field(default_factory=dict)
    partial: int = 0
    """How many notes on what could not be read: a score with notes is of what could."""

    @property
    def score(self) -> float | None:
        """Between 0 and 1, None when nothing could be judged."""
        return self.passed / self.assessed if self.assessed else None
