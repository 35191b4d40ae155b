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

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from seawall.domain.errors import InputError
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
    if len(text) > MAX_BYTES:
        raise InputError(f"{name} has over {MAX_BYTES} bytes")
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{name} is not YAML: {' '.join(str(error).split())}") from error
    try:
        policy = _Policy.model_validate(document or {})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InputError(f"{name}: {where}: {problem['msg']}", where=where) from error
    return Exceptions(rules=tuple(Rule(**rule.model_dump()) for rule in policy.ignore))
