"""What leaves the product, as complete documents, and what became of a delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from seawall.domain.alerts import Alert, Incident
from seawall.domain.assets import Asset
from seawall.domain.errors import MalformedEvent
from seawall.domain.findings import ImageReport
from seawall.domain.posture import Assessment

ALERTS_PER_INCIDENT = 150
"""Most alerts that travel with one incident: the portal keeps as many (sentinel-service-limits)."""
EVIDENCE_PER_ALERT = 20
RAW_BYTES = 8 * 1024
"""A larger raw event stays in the store; its id travels."""


T = TypeVar("T")


class Kind(StrEnum):
    """What an outbox entry is about; the document's form follows from it."""

    INCIDENT = "incident"
    ALERT = "alert"
    IMAGE = "image"
    ASSESSMENT = "assessment"
    ASSET = "asset"


class State(StrEnum):
    """What became of a delivery."""

    DONE = "done"
    RETRY = "retry"
    POISON = "poison"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one entry. `units` counts against the destination's rate cap; `retry_after_s` None = our backoff."""

    state: State
    reason: str = ""
    units: int = 0
    retry_after_s: float | None = None
    denied: bool = False
    """A missing permission: retried often for half an hour, since a new role takes that long to reach everywhere."""


DONE = Outcome(State.DONE)


def incident_document(incident: Incident, alerts: Sequence[Alert]) -> dict[str, Any]:
    """Return `{"incident": …, "alerts": […], "alert_count": n}`.

    Alerts most severe first, cut to what portals keep; raw events travel in the alerts' own documents.
    """
    kept = sorted(alerts, key=lambda alert: (-alert.severity, alert.first_seen, alert.id))[:ALERTS_PER_INCIDENT]
    return {
        "incident": _plain(incident),
        "alerts": [_plain(_without_raw(alert)) for alert in kept],
        "alert_count": len(incident.alert_ids),
    }


def alert_document(alert: Alert, incident_id: str = "") -> dict[str, Any]:
    """Return `{"alert": …, "incident_id": …}`."""
    return {"alert": _plain(_bounded(alert)), "incident_id": incident_id}


def image_document(report: ImageReport) -> dict[str, Any]:
    """Return `{"image": …}` without the package list: findings name the packages that matter."""
    return {"image": _plain(replace(report, packages=())), "package_count": len(report.packages)}


def assessment_document(assessment: Assessment) -> dict[str, Any]:
    """Return `{"assessment": …}`."""
    return {"assessment": _plain(assessment)}


def asset_document(asset: Asset, seen_at: datetime) -> dict[str, Any]:
    """Return `{"asset": …, "seen_at": …}`."""
    return {"asset": _plain(asset), "seen_at": seen_at.isoformat()}


def incident_of(body: Mapping[str, Any]) -> tuple[Incident, list[Alert]]:
    """Return what an incident document holds.

    Raises:
        MalformedEvent: it is not one; so do the other readers.
    """
    alerts = body.get("alerts", [])
    if not isinstance(alerts, list):
        raise MalformedEvent("alerts is not a list", where="/alerts")
    return _read(body, "incident", Incident), [_read({"alert": alert}, "alert", Alert) for alert in alerts]


def alert_of(body: Mapping[str, Any]) -> tuple[Alert, str]:
    """Return the alert and its incident's id."""
    return _read(body, "alert", Alert), str(body.get("incident_id", ""))


def image_of(body: Mapping[str, Any]) -> tuple[ImageReport, int]:
    """Return the report (without packages) and how many packages it had."""
    return _read(body, "image", ImageReport), _read(body, "package_count", int)


def assessment_of(body: Mapping[str, Any]) -> Assessment:
    """Return the assessment."""
    return _read(body, "assessment", Assessment)


def asset_of(body: Mapping[str, Any]) -> tuple[Asset, datetime]:
    """Return the asset and when it was seen."""
    return _read(body, "asset", Asset), _read(body, "seen_at", datetime)


def _read(body: Mapping[str, Any], name: str, kind: type[T]) -> T:
    try:
        return msgspec.convert(body.get(name), kind, strict=False)
    except msgspec.ValidationError as error:
        raise MalformedEvent(f"{name}: {error}", where=f"/{name}") from error


def _bounded(alert: Alert) -> Alert:
    evidence = tuple(
        replace(item, raw={}) if len(msgspec.json.encode(item.raw)) > RAW_BYTES else item
        for item in alert.evidence[:EVIDENCE_PER_ALERT]
    )
    return replace(alert, evidence=evidence)


def _without_raw(alert: Alert) -> Alert:
    return replace(alert, evidence=tuple(replace(item, raw={}) for item in alert.evidence[:EVIDENCE_PER_ALERT]))


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value, builtin_types=())
