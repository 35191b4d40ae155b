"""What an image must fulfil to run in a namespace, and what is known of an image when that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase

from seawall.domain.findings import Finding
from seawall.domain.images import ImageReference
from seawall.domain.severity import Severity

SHOWN = 5
"""Vulnerabilities that a reason names; the count says how many there are."""


class Mode(StrEnum):
    """What a rule that an image breaks leads to."""

    ENFORCE = "enforce"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One rule of a policy. Empty pattern lists match everything; patterns are shell globs.

    `images` and `registries` are matched against `<registry>/<repository>`. `max_severity` is the worst severity that an
    open finding may have, None = any; with `fixable_only` findings without a fix do not count against it.
    """

    name: str
    mode: Mode = Mode.ENFORCE
    namespaces: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    registries: tuple[str, ...] = ()
    """Where images may come from; empty = anywhere."""
    signed: bool = True
    """Signed findings, or a stored report, must be there."""
    digest: bool = False
    """The image must be named by digest."""
    max_severity: Severity | None = None
    fixable_only: bool = False
    known_exploited: bool = True
    """Whether findings in CISA's list of exploited vulnerabilities are allowed."""
    denied: tuple[str, ...] = ()
    """Vulnerabilities (or aliases) that are never allowed, in capitals."""
    max_age: timedelta | None = None
    """Oldest scan that counts."""

    def covers(self, namespace: str, image: ImageReference) -> bool:
        """Whether the rule speaks about this image in this namespace."""
        return _any(self.namespaces, namespace) and _any(self.images, f"{image.registry}/{image.repository}")

    @property
    def needs_evidence(self) -> bool:
        """Whether the findings have to be known to judge; patterns alone need no look at the registry."""
        return bool(
            self.signed or self.max_severity is not None or self.denied or self.max_age or not self.known_exploited
        )


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """The rules of a deployment. Every rule that covers an image must be fulfilled."""

    rules: tuple[Requirement, ...] = ()
    exempt_namespaces: tuple[str, ...] = ()
    exempt_users: tuple[str, ...] = ()
    """Names of users and service accounts whose requests are let through, as the API server spells them."""

    def exempts(self, namespace: str, user: str) -> bool:
        """Whether nothing is asked of what this user does in this namespace."""
        return bool(
            (namespace and self.exempt_namespaces and _any(self.exempt_namespaces, namespace))
            or (user and self.exempt_users and _any(self.exempt_users, user))
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one image by digest: the open findings of every platform that was looked at."""

    digest: str
    scanned_at: datetime
    findings: tuple[Finding, ...] = ()
    names: frozenset[str] = field(init=False)
    """Every name and alias, in capitals; this and `worst` spare a decision the walk over hundreds of findings."""
    worst: Severity = field(init=False)
    exploited: bool = field(init=False)

    def __post_init__(self) -> None:
        names = (name.upper() for item in self.findings for name in (item.id, *item.aliases))
        object.__setattr__(self, "names", frozenset(names))
        object.__setattr__(self, "worst", max((item.severity for item in self.findings), default=Severity.UNKNOWN))
        object.__setattr__(self, "exploited", any(item.in_kev for item in self.findings))


@dataclass(frozen=True, slots=True)
class Missing:
    """The image was looked for, and there is nothing signed about it, or nothing that holds: a fact, not a failure."""

    reason: str


def broken(rule: Requirement, image: ImageReference, evidence: Evidence | Missing | None, now: datetime) -> list[str]:
    """Return why an image that `rule` covers does not fulfil it, empty when it does. `evidence` None: not needed."""
    reasons = []
    place = f"{image.registry}/{image.repository}"
    if rule.registries and not _any(rule.registries, place):
        reasons.append(f"images may only come from {', '.join(rule.registries)}")
    if rule.digest and not image.digest:
        reasons.append("the image must be named by digest")
    if not rule.needs_evidence or evidence is None:
        return reasons
    if isinstance(evidence, Missing):
        return [*reasons, evidence.reason]
    if rule.max_age is not None and now - evidence.scanned_at > rule.max_age:
        reasons.append(f"its last scan is from {evidence.scanned_at:%Y-%m-%d %H:%M} UTC")
    if (
        not evidence.names.isdisjoint(rule.denied)
        or (evidence.exploited and not rule.known_exploited)
        or (rule.max_severity is not None and evidence.worst > rule.max_severity)
    ):
        reasons += _vulnerable(rule, evidence.findings)
    return reasons


def _vulnerable(rule: Requirement, findings: Sequence[Finding]) -> list[str]:
    never = set(rule.denied)
    reasons = []
    if named := [item for item in findings if never & {item.id.upper(), *(alias.upper() for alias in item.aliases)}]:
        reasons.append(f"it has {_names(named)}")
    if not rule.known_exploited and (known := [item for item in findings if item.in_kev]):
        reasons.append(f"it has known exploited vulnerabilities: {_names(known)}")
    if (limit := rule.max_severity) is not None:
        worse = [item for item in findings if item.severity > limit and (item.fixed_version or not rule.fixable_only)]
        worse = list({(item.id, item.package): item for item in worse}.values())  # platforms share most of them
        if worse:
            kind = "fixable vulnerabilities" if rule.fixable_only else "vulnerabilities"
            reasons.append(f"it has {len(worse)} {kind} above {limit.label}: {_names(worse)}")
    return reasons


def _names(findings: Sequence[Finding]) -> str:
    worst = sorted(findings, key=lambda item: (-item.severity, item.id))
    names = list(dict.fromkeys(f"{item.id} in {item.package}" for item in worst))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _any(patterns: Sequence[str], text: str) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)
