"""The policy file: ignore rules, each with a reason and an expiry.

    ignore:
      - id: CVE-2024-1234              # a vulnerability's name or an alias; * is a wildcard
        purl: pkg:npm/lodash           # a package; without a version, every version
        image: registry.example/team/* # an image
        path: usr/share/app/*          # where the package was found
        reason: the function is never called
        expires: 2026-12-31            # the last day on which the rule holds

Each rule gives at least one of id, purl, image, path; all that it gives must hold.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from seawall.formats.settings_file import read_model
from seawall.vulnerability.exceptions import Exceptions, Rule

MAX_BYTES = 8 << 20


def _day(value: object) -> object:
    return value.date() if isinstance(value, datetime) else value


def _filled(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str = ""
    purl: str = ""
    image: str = ""
    path: str = ""
    reason: Annotated[str, AfterValidator(_filled)]
    expires: Annotated[date, BeforeValidator(_day)]

    @model_validator(mode="after")
    def _has_condition(self) -> _Rule:
        if not (self.id or self.purl or self.image or self.path):
            raise ValueError("a rule needs at least one of id, purl, image, path")
        return self


class _Policy(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ignore: list[_Rule] = Field(default_factory=list)


def read(text: str, name: str = "the policy file") -> Exceptions:
    """Return the rules of a policy file (YAML or JSON).

    Raises:
        InputError: not one, with the place and what is expected there.
    """
    policy = read_model(_Policy, text, name, max_bytes=MAX_BYTES, empty={})
    return Exceptions(rules=tuple(Rule(**rule.model_dump()) for rule in policy.ignore))
