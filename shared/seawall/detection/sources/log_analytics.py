"""Audit records as Log Analytics keeps and exports them: rows of the tables AKSAudit, AKSAuditAdmin, ArcK8sAudit, AzureDiagnostics.

Source: learn.microsoft.com, "Azure Monitor Logs reference".
"""

from __future__ import annotations

from typing import Any

import msgspec

from seawall.detection.sources.batch import text

_COLUMNS = {
    "AuditId": "auditID", "Stage": "stage", "Level": "level", "Verb": "verb", "RequestUri": "requestURI", "User": "user",
    "ImpersonatedUser": "impersonatedUser", "SourceIps": "sourceIPs", "UserAgent": "userAgent", "ObjectRef": "objectRef",
    "ResponseStatus": "responseStatus", "RequestObject": "requestObject", "ResponseObject": "responseObject",
    "RequestReceivedTime": "requestReceivedTimestamp", "StageReceivedTime": "stageTimestamp", "Annotations": "annotations",
}  # fmt: skip
_VALUES = frozenset(
    {"User", "ImpersonatedUser", "SourceIps", "ObjectRef", "ResponseStatus", "RequestObject", "ResponseObject", "Annotations"}
)  # fmt: skip
"""Columns of the type dynamic; an export may give them as JSON in a text."""


def row(fields: dict[str, msgspec.Raw]) -> tuple[bytes, str] | None:
    """Return an upstream event's bytes and the cluster's name from a row, or None when it is no row with an audit record.

    Raises:
        msgspec.DecodeError: a column that says it is JSON and is not.
    """
    if "AuditId" in fields and "Verb" in fields:
        event: dict[str, Any] = {"kind": "Event"}
        for column, name in _COLUMNS.items():
            raw = fields.get(column)
            if raw is None or bytes(raw) == b"null":
                continue
            if column in _VALUES and bytes(raw)[:1] == b'"':
                inner = msgspec.json.decode(raw, type=str).strip()
                if inner[:1] not in ("{", "["):
                    continue  # "skipped-too-big-size-object"
                raw = msgspec.Raw(inner.encode())
                msgspec.json.decode(raw, type=msgspec.Raw)
            event[name] = raw
        return msgspec.json.encode(event), _cluster(fields, "_ResourceId")
    if "log_s" in fields and _text(fields, "Category") in ("kube-audit", "kube-audit-admin"):
        return _text(fields, "log_s").strip().encode("utf-8", "surrogatepass"), _cluster(fields, "ResourceId")
    return None


def _cluster(fields: dict[str, msgspec.Raw], column: str) -> str:
    return (_text(fields, column) or _text(fields, "_ResourceId")).rpartition("/")[2].lower()


def _text(fields: dict[str, msgspec.Raw], column: str) -> str:
    raw = fields.get(column)
    return text(msgspec.json.decode(raw)) if raw is not None else ""
