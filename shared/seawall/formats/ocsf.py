"""OCSF 1.5 findings: alerts, incidents, vulnerabilities and control results as one JSON object each.

Source: schema.ocsf.io, classes 2002 vulnerability_finding, 2003 compliance_finding, 2004 detection_finding and
2005 incident_finding. Times are milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from seawall.domain.publishing import Kind
from seawall.domain.severity import Severity

VERSION = "1.5.0"
_SEVERITY_ID = {
    Severity.UNKNOWN: 0,
    Severity.INFORMATIONAL: 1,
    Severity.LOW: 2,
    Severity.MEDIUM: 3,
    Severity.HIGH: 4,
    Severity.CRITICAL: 5,
}
_INCIDENT_STATUS = {"new": 1, "active": 2, "closed": 5}
_VERDICT = {"falsePositive": 1, "truePositive": 2, "informationalExpectedActivity": 5}
_COMPLIANCE_STATUS = {"pass": 1, "manual": 2, "fail": 3}
_OBSERVABLE = {"ip": 2, "user": 4, "service_account": 4, "domain": 1, "file": 7, "process": 9}
CREATE, UPDATE, CLOSE = 1, 2, 3


class Product(BaseModel):
    """What wrote the event."""

    name: str = "Seawall"
    vendor_name: str = "Seawall"


class Metadata(BaseModel):
    """About the event itself. `uid` tells repeats of one event apart from other events."""

    version: str = VERSION
    product: Product = Product()
    uid: str
    profiles: list[str] = []


class FindingInfo(BaseModel):
    """The finding's identity."""

    uid: str
    title: str
    desc: str = ""
    first_seen_time: int | None = None
    last_seen_time: int | None = None
    created_time: int | None = None
    types: list[str] = []
    analytic: dict[str, Any] | None = None
    attacks: list[dict[str, Any]] | None = None


class Event(BaseModel):
    """What the four classes share; each adds its own attributes."""

    model_config = ConfigDict(extra="allow")

    category_uid: int = 2
    class_uid: int
    activity_id: int
    type_uid: int
    time: int
    severity_id: int
    severity: str
    status_id: int | None = None
    message: str = ""
    metadata: Metadata


def records(kind: str, subject: str, seq: int, body: Mapping[str, Any], at: datetime) -> Iterator[dict[str, Any]]:
    """Yield the OCSF events of one published document (`seawall.domain.publishing`)."""
    writers = {Kind.INCIDENT: _incident, Kind.ALERT: _alert, Kind.IMAGE: _image, Kind.ASSESSMENT: _assessment}
    writer = writers.get(Kind(kind))
    if writer is None:
        return
    for event in writer(subject, seq, body, int(at.timestamp() * 1000)):
        yield event.model_dump(exclude_none=True)


def _event(class_uid: int, activity: int, time: int, severity: Severity, uid: str, **more: Any) -> Event:
    return Event(
        class_uid=class_uid,
        activity_id=activity,
        type_uid=class_uid * 100 + activity,
        time=time,
        severity_id=_SEVERITY_ID[severity],
        severity=severity.label.capitalize(),
        metadata=Metadata(uid=uid),
        **more,
    )


def _alert(subject: str, seq: int, body: Mapping[str, Any], time: int) -> Iterator[Event]:
    alert = body["alert"]
    info = _finding_info(alert)
    yield _event(
        2004,
        CREATE if seq <= 1 else UPDATE,
        time,
        Severity(_number(alert["severity"])),
        f"{subject}/{seq}",
        finding_info=info.model_dump(exclude_none=True),
        message=alert["message"],
        count=alert["count"],
        confidence=alert.get("confidence", "medium").capitalize(),
        evidences=[
            {"data": {"event_id": item["event_id"], "summary": item["summary"]}} for item in alert["evidence"][:20]
        ],
        observables=_observables(alert["entities"]),
        resources=_resources(alert),
        remediation={"desc": alert["response"]} if alert.get("response") else None,
    )


def _incident(subject: str, seq: int, body: Mapping[str, Any], time: int) -> Iterator[Event]:
    incident = body["incident"]
    closed = incident["status"] == "closed"
    yield _event(
        2005,
        CLOSE if closed else CREATE if seq <= 1 else UPDATE,
        time,
        Severity(_number(incident["severity"])),
        f"{subject}/{seq}",
        status_id=_INCIDENT_STATUS.get(incident["status"], 0),
        message=incident["title"],
        finding_info_list=[_finding_info(alert).model_dump(exclude_none=True) for alert in body["alerts"]],
        assignee={"name": incident["owner"]} if incident.get("owner") else None,
        assignee_group=None if incident.get("owner") else {"name": "unassigned"},
        verdict_id=_VERDICT.get(incident.get("classification", "")),
        unmapped={"incident_uid": subject},
        start_time=_milliseconds(incident["first_seen"]),
        end_time=_milliseconds(incident["last_seen"]),
        observables=_observables(incident["entities"]),
        attacks=_attacks(incident["attack"]),
        desc="; ".join(incident.get("next_steps", ())),
    )


def _image(subject: str, seq: int, body: Mapping[str, Any], time: int) -> Iterator[Event]:
    image = body["image"]
    for finding in image["findings"]:
        if finding["status"] != "open":
            continue
        uid = f"{image['digest']}/{finding['id']}/{finding['purl']}"
        cvss = {
            "base_score": finding["cvss"],
            "vector_string": finding.get("cvss_vector", ""),
            "version": _cvss_version(finding),
        }
        vulnerability = {
            "cve": {"uid": finding["id"], "cvss": [cvss] if finding.get("cvss") is not None else []},
            "is_fix_available": bool(finding["fixed_version"]),
            "is_exploit_available": finding["in_kev"],
            "affected_packages": [
                {
                    "name": finding["package"],
                    "version": finding["installed_version"],
                    "purl": finding["purl"],
                    "fixed_in_version": finding["fixed_version"],
                }
            ],
        }
        yield _event(
            2002,
            CREATE,
            time,
            Severity(_number(finding["severity"])),
            f"{uid}/{seq}",
            finding_info=FindingInfo(
                uid=uid, title=f"{finding['id']} in {finding['package']}", created_time=time
            ).model_dump(exclude_none=True),
            vulnerabilities=[vulnerability],
            resources=[{"uid": image["digest"], "name": image["name"], "type": "container image"}],
        )
    del subject


def _assessment(subject: str, seq: int, body: Mapping[str, Any], time: int) -> Iterator[Event]:
    result = body["assessment"]
    reference = result["object"]
    name = "/".join(part for part in (reference["kind"], reference["namespace"], reference["name"]) if part)
    yield _event(
        2003,
        CREATE,
        time,
        Severity(_number(result["severity"])),
        f"{subject}/{seq}",
        finding_info=FindingInfo(
            uid=result["id"], title=result["title"] or result["control"], created_time=time
        ).model_dump(exclude_none=True),
        compliance={
            "control": result["control"],
            "status_id": _COMPLIANCE_STATUS.get(result["status"], 99),
            "status": result["status"],
        },
        remediation={"desc": result["fix"]} if result["fix"] else None,
        resources=[{"uid": f"{reference['cluster']}/{name}", "name": name, "type": reference["kind"]}],
    )


def _finding_info(alert: Mapping[str, Any]) -> FindingInfo:
    return FindingInfo(
        uid=alert["id"],
        title=alert["title"],
        desc=alert["message"],
        first_seen_time=_milliseconds(alert["first_seen"]),
        last_seen_time=_milliseconds(alert["last_seen"]),
        analytic={"uid": alert["analytic"], "name": alert["title"], "type_id": 1, "type": "Rule"},
        attacks=_attacks(alert["attack"]),
    )


def _attacks(techniques: Any) -> list[dict[str, Any]]:
    return [{"technique": {"uid": technique}} for technique in techniques]


def _observables(entities: Any) -> list[dict[str, Any]]:
    return [
        {"name": item["kind"], "value": item["id"], "type_id": _OBSERVABLE.get(item["kind"], 10)} for item in entities
    ]


def _resources(alert: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = [{"type": "cluster", "name": alert["cluster"]}] if alert.get("cluster") else []
    return found + ([{"type": "namespace", "name": alert["namespace"]}] if alert.get("namespace") else [])


def _milliseconds(value: Any) -> int:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return int(moment.timestamp() * 1000)


def _number(value: Any) -> int:
    return int(Severity.parse(value)) if isinstance(value, str) else int(value)


def _cvss_version(finding: Mapping[str, Any]) -> str:
    vector = str(finding.get("cvss_vector") or "")
    return vector[5:8] if vector.startswith("CVSS:") else "2.0" if vector else "3.1"
