"""SPDX 2.3 (ISO/IEC 5962 successor), JSON form."""

from __future__ import annotations

import re
import uuid
from datetime import UTC
from typing import Any

from seawall.domain.findings import Finding, ImageReport
from seawall.domain.packages import Package
from seawall.formats.licences import expression
from seawall.formats.tool import version
from seawall.formats.vulnerability_links import page

_NOT_ID = re.compile(r"[^A-Za-z0-9.\-]+")
_NAMESPACE = uuid.UUID("0a6a4e0c-4f9e-5d0e-9a1c-3f7b4dd5a9d2")


def document(report: ImageReport) -> dict[str, Any]:
    """Return the SPDX document of a report. Findings are security references of their packages."""
    findings: dict[tuple[str, str], list[Finding]] = {}
    for finding in report.findings:
        findings.setdefault((finding.purl, finding.path), []).append(finding)
    packages = [
        _package(index, item, findings.get((item.purl, item.path), [])) for index, item in enumerate(report.packages)
    ]
    unique = uuid.uuid5(_NAMESPACE, f"{report.digest}|{report.name}|{report.database}|{report.scanned_at.isoformat()}")
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": report.name,
        "documentNamespace": f"https://seawall.invalid/spdx/{unique}",
        "creationInfo": {
            "created": report.scanned_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: seawall-{version()}"],
        },
        "packages": [_image(report), *packages],
        "relationships": [
            _relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image"),
            *(_relation("SPDXRef-Image", "CONTAINS", package["SPDXID"]) for package in packages),
        ],
    }


def _image(report: ImageReport) -> dict[str, Any]:
    out: dict[str, Any] = _unassessed("SPDXRef-Image", report.name) | {"primaryPackagePurpose": "CONTAINER"}
    if report.digest:
        out["versionInfo"] = report.digest
    if report.digest.startswith("sha256:"):
        out["checksums"] = [{"algorithm": "SHA256", "checksumValue": report.digest.removeprefix("sha256:")}]
    return out


def _package(index: int, package: Package, findings: list[Finding]) -> dict[str, Any]:
    out = _unassessed(f"SPDXRef-Package-{index}-{_NOT_ID.sub('-', package.name)[:80]}", package.name)
    if package.version:
        out["versionInfo"] = package.version
    if package.path:
        out["sourceInfo"] = f"found in {package.path}" + (f" of layer {package.layer}" if package.layer else "")
    out["licenseDeclared"] = expression(package.licenses) or "NOASSERTION"
    if package.licenses:
        out["licenseComments"] = "The package says: " + ", ".join(package.licenses)
    references = [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": package.purl}]
    references += [
        {
            "referenceCategory": "SECURITY",
            "referenceType": "advisory",
            "referenceLocator": page(finding.id),
            "comment": " ".join(part for part in (finding.id, finding.severity.label, finding.status) if part),
        }
        for finding in findings
    ]
    out["externalRefs"] = references
    return out


def _unassessed(identifier: str, name: str) -> dict[str, Any]:
    return {
        "SPDXID": identifier,
        "name": name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    }


def _relation(left: str, kind: str, right: str) -> dict[str, str]:
    return {"spdxElementId": left, "relationshipType": kind, "relatedSpdxElement": right}
