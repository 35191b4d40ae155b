"""The admission policy file.

    exempt:
      namespaces: [kube-system]
      users: ["system:serviceaccount:flux-system:*"]
    rules:
      - name: everywhere
        registries: ["acme.azurecr.io/*"]   # where images may come from
        mode: warn
        signed: false
      - name: production                    # signed findings are asked for unless `signed: false`
        namespaces: ["prod-*"]
        images: ["*"]
        digest: true
        max_severity: high                  # the worst that may be open
        fixable_only: true
        known_exploited: false
        denied: [CVE-2021-44228]
        max_age_days: 14

Every rule that covers an image must be fulfilled. Patterns are shell globs; images and registries are `registry/repository`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from seawall.admission.policy import AdmissionPolicy, Mode, Requirement
from seawall.domain.severity import Severity
from seawall.formats.settings_file import read_model

MAX_BYTES = 1 << 20
_Patterns = list[Annotated[str, Field(min_length=1, max_length=512)]]


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    mode: Mode = Mode.ENFORCE
    namespaces: _Patterns = Field(default_factory=list)
    images: _Patterns = Field(default_factory=list)
    registries: _Patterns = Field(default_factory=list)
    signed: bool = True
    digest: bool = False
    max_severity: Literal["informational", "low", "medium", "high", "critical"] | None = None
    fixable_only: bool = False
    known_exploited: bool = True
    denied: _Patterns = Field(default_factory=list)
    max_age_days: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _can_be_judged(self) -> _Rule:
        about_findings = (
            self.max_severity or self.fixable_only or self.denied or self.max_age_days or not self.known_exploited
        )
        if not self.signed and about_findings:
            raise ValueError("signed: false leaves nothing that severities and vulnerabilities could be read from")
        if self.fixable_only and not self.max_severity:
            raise ValueError("fixable_only says which findings count against max_severity, which is missing")
        return self


class _Exempt(BaseModel):
    model_config = ConfigDict(extra="forbid")

    namespaces: _Patterns = Field(default_factory=list)
    users: _Patterns = Field(default_factory=list)


class _Policy(BaseModel):
    model_config = ConfigDict(extra="forbid")

    exempt: _Exempt = _Exempt()
    rules: list[_Rule] = Field(min_length=1)


def read(text: str, name: str = "the admission policy") -> AdmissionPolicy:
    """Return the policy in `text` (YAML or JSON).

    Raises:
        InputError: not one, with the place and what is expected there.
    """
    policy = read_model(_Policy, text, name, max_bytes=MAX_BYTES)
    return AdmissionPolicy(
        rules=tuple(_requirement(rule) for rule in policy.rules),
        exempt_namespaces=tuple(policy.exempt.namespaces),
        exempt_users=tuple(policy.exempt.users),
    )


def _requirement(rule: _Rule) -> Requirement:
    return Requirement(
        name=rule.name,
        mode=rule.mode,
        namespaces=tuple(rule.namespaces),
        images=tuple(rule.images),
        registries=tuple(rule.registries),
        signed=rule.signed,
        digest=rule.digest,
        max_severity=Severity.parse(rule.max_severity) if rule.max_severity else None,
        fixable_only=rule.fixable_only,
        known_exploited=rule.known_exploited,
        denied=tuple(name.upper() for name in rule.denied),
        max_age=timedelta(days=rule.max_age_days) if rule.max_age_days else None,
    )
