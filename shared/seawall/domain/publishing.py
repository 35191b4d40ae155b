"""What leaves the product, as complete documents, and what became of a delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from seawall.domain.alerts import Alert, Incident
from seawall.domain.assets import Asset
from seawall.domain.findings import ImageReport
from seawall.domain.posture import Assessment

ALERTS_PER_INCIDENT = 150
"""Most alerts that travel with one incident: the portal keeps as many (sentinel-service-limits)."""
EVIDENCE_PER_ALERT = 20
RAW_BYTES = 8 * 1024
"""A larger raw event stays in the store; its id travels."""


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
    """Return `{"incident": …, "alerts": […], "alert_count": n}`; alerts most severe first, cut to what portals keep."""
    kept = sorted(alerts, key=lambda alert: (-alert.severity, alert.first_seen, alert.id))[:ALERTS_PER_INCIDENT]
    return {
        "incident": _plain(incident),
        "alerts": [_plain(_bounded(alert)) for alert in kept],
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
    """Return what an incident document holds."""
    return msgspec.convert(body["incident"], Incident, strict=False), [
        msgspec.convert(alert, Alert, strict=False) for alert in body["alerts"]
    ]


def alert_of(body: Mapping[str, Any]) -> tuple[Alert, str]:
    """Return the alert and its incident's id."""
    return msgspec.convert(body["alert"], Alert, strict=False), str(body.get("incident_id", ""))


def image_of(body: Mapping[str, Any]) -> tuple[ImageReport, int]:
    """Return the report (without packages) and how many packages it had."""
    return msgspec.convert(body["image"], ImageReport, strict=False), int(body.get("package_count", 0))


def assessment_of(body: Mapping[str, Any]) -> Assessment:
    """Return the assessment."""
    return msgspec.convert(body["assessment"], Assessment, strict=False)


def asset_of(body: Mapping[str, Any]) -> tuple[Asset, datetime]:
    """Return the asset and when it was seen."""
    return msgspec.convert(body["asset"], Asset, strict=False), datetime.fromisoformat(body["seen_at"])


def _bounded(alert: Alert) -> Alert:
    evidence = tuple(
        replace(item, raw={}) if len(msgspec.json.encode(item.raw)) > RAW_BYTES else item
        for item in alert.evidence[:EVIDENCE_PER_ALERT]
    )
    return replace(alert, evidence=evidence)


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value, builtin_types=())
