"""Domain values as rows of the Log Analytics tables, within the limits of the service.

Limits (Microsoft Learn, "Microsoft Sentinel service limits" and "Azure Monitor service limits"): alert name 256 bytes,
description 5 KB, custom details 2 KB together, a field 32 KB, a call 1 MB.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from seawall.adapters.azure.tables import SCHEMA_VERSION
from seawall.domain.alerts import Alert, Entity, EntityKind, Incident
from seawall.domain.assets import Asset
from seawall.domain.findings import ImageReport
from seawall.domain.posture import Assessment
from seawall.domain.severity import Severity

Row = dict[str, Any]

TITLE_BYTES = 256
DESCRIPTION_BYTES = 5 * 1024
FIELD_BYTES = 32 * 1024
DYNAMIC_BYTES = 16 * 1024
CUSTOM_DETAILS_BYTES = 1900
"""The service allows 2 KB of JSON; the names of the details and the brackets take a part."""

CUSTOM_DETAILS = ("IncidentKey", "Seq", "Status", "Cluster", "Namespace", "Pod", "Image", "EvidenceCount")
"""Columns that the rules show on an alert; `IncidentKey` and `Seq` lead back to us."""

_SEVERITY = {
    Severity.CRITICAL: "High",
    Severity.HIGH: "High",
    Severity.MEDIUM: "Medium",
    Severity.LOW: "Low",
    Severity.INFORMATIONAL: "Informational",
    Severity.UNKNOWN: "Informational",
}


def severity_word(severity: Severity) -> str:
    """Sentinel's word: it has no "critical"."""
    return _SEVERITY[severity]


def cut(text: str, limit: int) -> str:
    """Return `text` in at most `limit` bytes of UTF-8, an ellipsis where something is missing."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return raw.decode()
    return raw[: limit - 3].decode("utf-8", "ignore") + "…"


def incident_row(incident: Incident, alerts: Sequence[Alert], alert_count: int, *, emit: bool, now: datetime) -> Row:
    """Return the row of one state change. `alerts` are those that travel with it, most severe first."""
    short = incident.id.rsplit("-", 1)[-1][:8]
    techniques = sorted({item.split(".")[0] for item in incident.attack})
    row: Row = {
        "TimeGenerated": _time(now),
        "IncidentKey": incident.id,
        "Seq": incident.seq,
        "Title": cut(incident.title, TITLE_BYTES - len(short) - 3) + f" [{short}]",
        "Description": cut(_description(incident, alerts, alert_count), DESCRIPTION_BYTES),
        "Severity": severity_word(incident.severity),
        "Status": incident.status.capitalize(),
        "Tactics": ",".join(_tactic_name(tactic) for tactic in incident.tactics),
        "Techniques": ",".join(techniques),
        "SubTechniques": ",".join(sorted(item for item in incident.attack if "." in item)),
        **_where(incident.clusters[0] if incident.clusters else "", incident.actors, incident.entities, alerts),
        "Entities": _dynamic([msgspec.to_builtins(entity) for entity in incident.entities]),
        "EvidenceCount": alert_count,
        "FirstSeen": _time(incident.first_seen),
        "LastSeen": _time(incident.last_seen),
        "EmitAlert": emit,
        "MergedInto": incident.merged_into,
        "SchemaVersion": SCHEMA_VERSION,
    }
    return _fitted(row)


def roll_up_row(incidents: Sequence[Incident], key: str, now: datetime) -> Row:
    """Return one row that raises a single alert for many incidents, whose own rows stay silent."""
    worst = max(incidents, key=lambda item: item.severity)
    clusters = sorted({cluster for item in incidents for cluster in item.clusters})
    lines = [f"- {item.title} ({item.id}, {item.severity.label})" for item in incidents]
    text = (
        "More incidents arose within one minute than alerts may be raised. Each has its own row in SeawallIncident_CL "
        "(see RolledUp).\n" + "\n".join(lines)
    )
    row: Row = {
        "TimeGenerated": _time(now),
        "IncidentKey": key,
        "Seq": 1,
        "Title": f"{len(incidents)} further incidents",
        "Description": cut(text, DESCRIPTION_BYTES),
        "Severity": severity_word(worst.severity),
        "Status": "New",
        "Tactics": ",".join(dict.fromkeys(_tactic_name(tactic) for item in incidents for tactic in item.tactics)),
        "Cluster": ", ".join(clusters),
        "EvidenceCount": sum(len(item.alert_ids) for item in incidents),
        "FirstSeen": _time(min(item.first_seen for item in incidents)),
        "LastSeen": _time(max(item.last_seen for item in incidents)),
        "EmitAlert": True,
        "RolledUp": _dynamic([item.id for item in incidents]),
        "SchemaVersion": SCHEMA_VERSION,
    }
    return _fitted(row)


def evidence_row(alert: Alert, incident_id: str) -> Row:
    """Return the row of one alert at its present count."""
    row: Row = {
        "TimeGenerated": _time(alert.last_seen),
        "AlertId": alert.id,
        "IncidentKey": incident_id,
        "Count": alert.count,
        "Analytic": alert.analytic,
        "Title": alert.title,
        "Message": alert.message,
        "Severity": severity_word(alert.severity),
        "Confidence": alert.confidence,
        "Source": alert.source,
        "Techniques": ",".join(alert.attack),
        **_where(alert.cluster, (alert.actor,), alert.entities, [alert]),
        "FirstSeen": _time(alert.first_seen),
        "LastSeen": _time(alert.last_seen),
        "Response": alert.response,
        "Reasons": list(alert.reasons),
        "Context": _dynamic(alert.context),
        "Evidence": _dynamic([msgspec.to_builtins(item) for item in alert.evidence]),
        "SchemaVersion": SCHEMA_VERSION,
    }
    return _fitted(row, details=())


def finding_rows(report: ImageReport) -> Iterator[Row]:
    """Yield one row per finding."""
    for item in report.findings:
        row: Row = {
            "TimeGenerated": _time(report.scanned_at),
            "Digest": report.digest,
            "Image": report.name,
            "Platform": report.platform,
            "Vulnerability": item.id,
            "Package": item.package,
            "Purl": item.purl,
            "InstalledVersion": item.installed_version,
            "FixedVersion": item.fixed_version,
            "Severity": item.severity.label.capitalize(),
            "Cvss": item.cvss,
            "Epss": item.epss,
            "InKev": item.in_kev,
            "Status": item.status,
            "StatusReason": item.status_reason,
            "Path": item.path,
            "Layer": item.layer,
            "Database": report.database,
            "SchemaVersion": SCHEMA_VERSION,
        }
        yield _fitted(row, details=())


def image_row(report: ImageReport, package_count: int) -> Row:
    """Return the inventory row of a scanned image."""
    properties = {
        "digest": report.digest,
        "platform": report.platform,
        "distro": f"{report.distro.id} {report.distro.version}".strip(),
        "packages": package_count,
        "findings": len(report.findings),
        "gaps": len(report.gaps),
        "database": report.database,
        "size_bytes": report.size_bytes,
    }
    return _inventory(report.digest, "image", report.name, "", properties, report.scanned_at)


def asset_row(asset: Asset, seen_at: datetime) -> Row:
    """Return the inventory row of an asset."""
    return _inventory(asset.id, asset.kind, asset.name, asset.parent, asset.properties, seen_at)


def posture_row(assessment: Assessment, now: datetime) -> Row:
    """Return the row of one control on one object."""
    row: Row = {
        "TimeGenerated": _time(assessment.assessed_at or now),
        "AssessmentId": assessment.id,
        "Control": assessment.control,
        "Title": assessment.title,
        "Status": str(assessment.status),
        "Severity": severity_word(assessment.severity),
        "Cluster": assessment.object.cluster,
        "Namespace": assessment.object.namespace,
        "ObjectKind": assessment.object.kind,
        "ObjectName": assessment.object.name,
        "Path": assessment.path,
        "Actual": _dynamic(assessment.actual),
        "Expected": _dynamic(assessment.expected),
        "Fix": assessment.fix,
        "Reason": assessment.reason,
        "Excepted": assessment.excepted,
        "SchemaVersion": SCHEMA_VERSION,
    }
    return _fitted(row, details=())


def _inventory(
    asset_id: str, kind: str, name: str, parent: str, properties: Mapping[str, Any], seen_at: datetime
) -> Row:
    row: Row = {
        "TimeGenerated": _time(seen_at),
        "AssetId": asset_id,
        "Kind": kind,
        "Name": name,
        "Parent": parent,
        "Properties": _dynamic(dict(properties)),
        "SchemaVersion": SCHEMA_VERSION,
    }
    return _fitted(row, details=())


def _description(incident: Incident, alerts: Sequence[Alert], alert_count: int) -> str:
    parts = [incident.title]
    shown = alerts[:10]
    parts += [f"- {alert.last_seen:%Y-%m-%d %H:%M:%S} {alert.severity.label}: {alert.message}" for alert in shown]
    if alert_count > len(shown):
        parts.append(f"- and {alert_count - len(shown)} more in SeawallEvidence_CL")
    if incident.next_steps:
        parts += ["Next steps:", *(f"- {step}" for step in incident.next_steps)]
    return "\n".join(parts)


def _where(cluster: str, actors: Iterable[str], entities: Sequence[Entity], alerts: Sequence[Alert]) -> Row:
    def first(*kinds: EntityKind) -> str:
        return next((item.id for kind in kinds for item in entities if item.kind is kind and item.id), "")

    def context(name: str) -> str:
        return next((str(alert.context[name]) for alert in alerts if alert.context.get(name)), "")

    image = context("image") or first(EntityKind.IMAGE)
    digest = context("image_digest") or (image.rpartition("@")[2] if "@sha256:" in image else "")
    if not digest and image.startswith("sha256:"):
        digest, image = image, ""
    namespace, _, pod = first(EntityKind.POD).rpartition("/")
    return {
        "Cluster": cluster.rsplit("/", 1)[-1],
        "ClusterResourceId": cluster if "/" in cluster or cluster.startswith("arn:") else "",
        "Namespace": next((alert.namespace for alert in alerts if alert.namespace), "")
        or first(EntityKind.NAMESPACE)
        or namespace,
        "Pod": pod or context("pod"),
        "Image": image,
        "Digest": digest,
        "Node": first(EntityKind.NODE) or context("node"),
        "Principal": next((actor for actor in actors if actor), "")
        or first(EntityKind.USER, EntityKind.SERVICE_ACCOUNT, EntityKind.CLOUD_IDENTITY),
        "SourceIp": next((alert.source_ip for alert in alerts if alert.source_ip), ""),
        "Process": context("command_line") or context("process") or first(EntityKind.PROCESS),
        "Url": first(EntityKind.DOMAIN, EntityKind.IP),
    }


def _tactic_name(tactic: str) -> str:
    """`command-and-control` as Sentinel's enumeration spells it: CommandAndControl."""
    return "".join(word.capitalize() for word in tactic.replace("_", "-").split("-"))


def _dynamic(value: Any) -> Any:
    """Return `value`, or what of it fits: a list loses its tail, anything else becomes its cut JSON text."""
    if _size(value) <= DYNAMIC_BYTES:
        return value
    if isinstance(value, list):
        kept: list[Any] = []
        room = DYNAMIC_BYTES - 64
        for item in value:
            room -= _size(item) + 2
            if room < 0:
                break
            kept.append(item)
        return [*kept, {"cut": len(value) - len(kept)}]
    return {"cut": cut(json.dumps(value, default=str, ensure_ascii=False), DYNAMIC_BYTES // 2)}


def _size(value: Any) -> int:
    return len(json.dumps(value, default=str, ensure_ascii=False).encode("utf-8", "replace"))


def _fitted(row: Row, details: Sequence[str] = CUSTOM_DETAILS) -> Row:
    for name, value in row.items():
        if isinstance(value, str):
            row[name] = cut(value, FIELD_BYTES)
    texts = [name for name in details if isinstance(row.get(name), str) and name not in ("IncidentKey", "Digest")]
    while _size({name: [row[name]] for name in details if name in row}) > CUSTOM_DETAILS_BYTES:
        longest = max(texts, key=lambda name: len(row[name].encode()))
        row[longest] = cut(row[longest], max(8, len(row[longest].encode()) * 3 // 4))
    return {name: value for name, value in row.items() if value is not None}


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
