"""SARIF 2.1.0: findings for code-scanning services and editors."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

from seawall.domain.findings import Finding, ImageReport
from seawall.domain.severity import Severity
from seawall.formats.tool import version
from seawall.formats.vulnerability_links import page

_SCORES = {
    Severity.CRITICAL: 9.5, Severity.HIGH: 8.0, Severity.MEDIUM: 5.5, Severity.LOW: 2.0, Severity.INFORMATIONAL: 0.0,
    Severity.UNKNOWN: 4.0,
}  # fmt: skip


MAX_RESULTS = 25_000
"""Of a run: GitHub refuses a file with more ("SARIF support for code scanning"), so the most urgent ones stay."""


def document(*reports: ImageReport) -> dict[str, Any]:
    """Return a run for each report, with a rule per vulnerability and a result per finding, at most `MAX_RESULTS`.

    Exceptions come as SARIF suppressions. Runs of several platforms are told apart by `automationDetails`.
    """
    return {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            _run(report) | ({"automationDetails": {"id": f"seawall/{report.platform}/"}} if len(reports) > 1 else {})
            for report in reports
        ],
    }


def _run(report: ImageReport) -> dict[str, Any]:
    findings = report.findings[:MAX_RESULTS]
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.id, finding)
    numbers = {name: number for number, name in enumerate(first)}
    out: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "Seawall",
                "version": version(),
                "rules": [_rule(finding) for finding in first.values()],
            }
        },
        "columnKind": "utf16CodeUnits",
        "results": [_result(finding, numbers[finding.id], report) for finding in findings],
        "properties": {"image": report.name, "digest": report.digest, "database": report.database},
    }
    if left := len(report.findings) - len(findings):
        text = f"{left:,} less urgent findings are left out: code scanning takes {MAX_RESULTS:,} results at most."
        note = {"level": "warning", "message": {"text": text}}
        out["invocations"] = [{"executionSuccessful": True, "toolExecutionNotifications": [note]}]
    return out


def _rule(finding: Finding) -> dict[str, Any]:
    also = f" Also known as {', '.join(finding.aliases)}." if finding.aliases else ""
    score = finding.cvss if finding.cvss is not None else _SCORES[finding.severity]
    return {
        "id": finding.id,
        "name": finding.id,
        "shortDescription": {"text": f"{finding.id} in {finding.package}"},
        "fullDescription": {"text": f"{finding.id}, rated {finding.severity.label}.{also}"},
        "helpUri": page(finding.id),
        "help": {
            "text": f"{page(finding.id)}{also}",
            "markdown": f"[{finding.id}]({page(finding.id)}){also}",
        },
        "defaultConfiguration": {"level": _level(finding.severity)},
        "properties": {
            "security-severity": f"{score:.1f}",
            "precision": "very-high",
            "tags": ["vulnerability", "security", finding.severity.label],
        },
    }


def _result(finding: Finding, number: int, report: ImageReport) -> dict[str, Any]:
    fix = f"fixed in {finding.fixed_version}" if finding.fixed_version else "no fixed version is known"
    name = f"{finding.package} {finding.installed_version}"
    out: dict[str, Any] = {
        "ruleId": finding.id,
        "ruleIndex": number,
        "level": _level(finding.severity),
        "message": {"text": f"{name} has {finding.id} ({finding.severity.label}); {fix}."},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(finding.path or report.name)},
                    "region": {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1},
                },
                "logicalLocations": [{"fullyQualifiedName": finding.purl, "kind": "package"}],
                "message": {"text": f"{report.name}: {name}"},
            }
        ],
        "partialFingerprints": {"finding/v1": _fingerprint(finding, report)},
        "properties": {
            "purl": finding.purl, "fixed_version": finding.fixed_version, "in_kev": finding.in_kev, "epss": finding.epss,
            "priority": finding.priority, "status": finding.status,
        },
    }  # fmt: skip
    if finding.status != "open":
        out["suppressions"] = [{"kind": "external", "status": "accepted", "justification": finding.status_reason}]
    return out


def _fingerprint(finding: Finding, report: ImageReport) -> str:
    """The same over rebuilds of the image: no digest, no layer, no version."""
    name = report.name.partition("@")[0]
    text = "|".join((name, finding.id, finding.purl.partition("@")[0], finding.path))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _uri(path: str) -> str:
    return quote(path.replace("@sha256:", "/sha256-").lstrip("/").encode("utf-8", "surrogateescape"), safe="/-._~")


def _level(severity: Severity) -> str:
    if severity >= Severity.HIGH:
        return "error"
    return "warning" if severity in (Severity.MEDIUM, Severity.UNKNOWN) else "note"
