"""A customer's tuning file: switch analytics off or on, change severities and thresholds, suppress what is known.

```yaml
analytics:
  AU-0209: {enabled: false, reason: "our operators work by exec", expires: 2027-01-31}
  CO-0002: {threshold: 30, reason: "inventory job", expires: 2027-01-31}
suppressions:
  - analytics: [AU-0101]            # left out: every analytic, then one more criterion is needed
    cluster: prod-eu                # every criterion that is given must hold; * and ? are wildcards in names
    namespace: monitoring
    label: {app: node-exporter}
    identity: "system:serviceaccount:monitoring:installer"
    image: "registry.example.com/monitoring/*"
    source: 10.20.0.0/16
    reason: "node agent, ticket 4711"
    expires: 2027-01-31
```
A reason and an expiry are mandatory everywhere. What has expired is reported and not applied.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from seawall.detection.declaration import Detection
from seawall.domain.alerts import Alert, EntityKind
from seawall.domain.errors import ConfigError
from seawall.domain.severity import Severity

MAX_FILE_BYTES = 4 * 1024 * 1024


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: str = Field(min_length=3)
    expires: date


class Change(_Entry):
    """What one analytic does differently here."""

    enabled: bool | None = None
    severity: Literal["informational", "low", "medium", "high", "critical"] | None = None
    threshold: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _says_something(self) -> Change:
        if self.enabled is None and self.severity is None and self.threshold is None:
            raise ValueError("say enabled, severity or threshold")
        return self


class Suppression(_Entry):
    """Alerts that are counted and not raised."""

    analytics: tuple[str, ...] = ()
    cluster: str = ""
    namespace: str = ""
    label: dict[str, str] = Field(default_factory=dict)
    identity: str = ""
    image: str = ""
    source: str = ""

    @field_validator("source")
    @classmethod
    def _is_network(cls, value: str) -> str:
        if value:
            ipaddress.ip_network(value, strict=False)
        return value

    @model_validator(mode="after")
    def _is_narrow(self) -> Suppression:
        criteria = (self.cluster, self.namespace, self.label, self.identity, self.image, self.source)
        if not any(criteria) or (not self.analytics and all(item in ("", "*") for item in criteria if item != {})):
            raise ValueError(
                "name at least one of cluster, namespace, label, identity, image, source"
                + (" (to switch an analytic off, say enabled: false under analytics)" if self.analytics else "")
            )
        return self

    def covers(self, alert: Alert) -> bool:
        """True when every criterion holds for the alert."""
        if self.analytics and alert.analytic not in self.analytics:
            return False
        if self.cluster and not fnmatchcase(alert.cluster, self.cluster):
            return False
        if self.namespace and not fnmatchcase(alert.namespace, self.namespace):
            return False
        if self.identity and not fnmatchcase(alert.actor, self.identity):
            return False
        if self.source and not _within(alert.source_ip, self.source):
            return False
        if self.label and not self.label.items() <= _labels(alert).items():
            return False
        return not self.image or any(fnmatchcase(image, self.image) for image in _images(alert))


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    analytics: dict[str, Change] = Field(default_factory=dict)
    suppressions: list[Suppression] = Field(default_factory=list)


@dataclass(slots=True)
class Tuning:
    """What is in force today. `expired` says what is not any more; `suppressed` counts alerts by analytic and reason."""

    changes: Mapping[str, Change] = field(default_factory=dict)
    suppressions: Sequence[Suppression] = ()
    expired: Sequence[str] = ()
    suppressed: Counter[tuple[str, str]] = field(default_factory=Counter)

    def tuned(self, rules: Iterable[Detection]) -> tuple[Detection, ...]:
        """Return the analytics as this deployment wants them.

        Raises:
            ConfigError: the file names an analytic that does not exist, or a threshold of one that has none.
        """
        rules = tuple(rules)
        known = {rule.id: rule for rule in rules}
        named = {*self.changes, *(id_ for item in self.suppressions for id_ in item.analytics)}
        if unknown := sorted(named - known.keys()):
            raise ConfigError(
                f"the tuning file names {unknown[0]}, which is no analytic", hint="see seawall analytics list"
            )
        return tuple(_changed(rule, change) if (change := self.changes.get(rule.id)) else rule for rule in rules)

    def raised(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Return the alerts that no suppression covers; count the others."""
        if not self.suppressions:
            return list(alerts)
        kept = []
        for alert in alerts:
            covering = next((item for item in self.suppressions if item.covers(alert)), None)
            if covering is None:
                kept.append(alert)
            else:
                self.suppressed[alert.analytic, covering.reason] += alert.count
        return kept


def load_tuning(path: Path, today: date) -> Tuning:
    """Return the tuning of a YAML file.

    Raises:
        ConfigError: the file cannot be read or has a mistake; the message says where.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path} is too large for a tuning file")
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the tuning file {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    return parse_tuning(document or {}, today, origin=str(path))


def parse_tuning(document: Any, today: date, *, origin: str = "tuning") -> Tuning:
    """Return the tuning of a decoded document. An entry is in force up to and including the day it expires.

    Raises:
        ConfigError: see `load_tuning`.
    """
    try:
        parsed = _Document.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{origin}: {where}: {first['msg']}", hint="every entry needs a reason and an expires"
        ) from error
    expired = [
        f"{id_} since {change.expires}: {change.reason}"
        for id_, change in parsed.analytics.items()
        if change.expires < today
    ]
    expired += [
        f"suppression {number} since {item.expires}: {item.reason}"
        for number, item in enumerate(parsed.suppressions, 1)
        if item.expires < today
    ]
    return Tuning(
        {id_: change for id_, change in parsed.analytics.items() if change.expires >= today},
        tuple(item for item in parsed.suppressions if item.expires >= today),
        tuple(expired),
    )


def _changed(rule: Detection, change: Change) -> Detection:
    if change.threshold is not None and not rule.threshold:
        raise ConfigError(f"the tuning file sets a threshold of {rule.id}, which has none")
    check = rule.check
    severity = rule.severity
    if change.severity is not None:
        severity = Severity.parse(change.severity)
        inner = check

        def check(*args: Any) -> Any:
            match = inner(*args)
            return match if match is None else replace(match, severity=severity)

    return replace(
        rule,
        check=check,
        severity=severity,
        enabled=rule.enabled if change.enabled is None else change.enabled,
        threshold=rule.threshold if change.threshold is None else change.threshold,
    )


def _within(address: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _labels(alert: Alert) -> Mapping[str, str]:
    found = alert.context.get("labels")
    return found if isinstance(found, dict) else {}


def _images(alert: Alert) -> list[str]:
    image = alert.context.get("image")
    named = [entity.id for entity in alert.entities if entity.kind is EntityKind.IMAGE]
    return [*named, image] if isinstance(image, str) else named
