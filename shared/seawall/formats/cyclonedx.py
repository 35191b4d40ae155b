"""CycloneDX 1.6 (ECMA-424): the bill of materials of an image, with its vulnerabilities and what was decided on them."""

from __future__ import annotations

import uuid
from datetime import UTC
from typing import Any

from seawall.domain.findings import Finding, ImageReport
from seawall.domain.packages import Package
from seawall.domain.severity import Severity
from seawall.formats.licences import expression
from seawall.formats.tool import version
from seawall.formats.vulnerability_links import page, source

_SEVERITIES = {Severity.INFORMATIONAL: "info"}
_NAMESPACE = uuid.UUID("6f0f8a3e-6a0b-5c07-9c53-61d0c8a6f1a4")
_OPERATING_SYSTEM = "operating-system"


def document(report: ImageReport, *, vulnerabilities: bool = True) -> dict[str, Any]:
    """Return the CycloneDX document of a report. The same report gives the same serial number."""
    refs = _references(report)
    body: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{report.digest}|{report.name}|{report.database}')}",
        "version": 1,
        "metadata": _metadata(report),
        "components": _components(report, refs),
        "dependencies": [{"ref": "image", "dependsOn": [refs[index] for index in range(len(report.packages))]}],
    }
    if vulnerabilities:
        body["vulnerabilities"] = _vulnerabilities(report, refs)
    return body


def vex_document(report: ImageReport) -> dict[str, Any]:
    """Return only what was decided: vulnerabilities with an analysis, and the components that they are in."""
    body = document(report)
    body["vulnerabilities"] = [item for item in body["vulnerabilities"] if "analysis" in item]
    named = {target["ref"] for item in body["vulnerabilities"] for target in item["affects"]}
    body["components"] = [item for item in body["components"] if item["bom-ref"] in named]
    del body["dependencies"]
    return body


def _metadata(report: ImageReport) -> dict[str, Any]:
    image: dict[str, Any] = {"type": "container", "bom-ref": "image", "name": report.name}
    if report.digest:
        image["version"] = report.digest
    if report.digest.startswith("sha256:"):
        image["hashes"] = [{"alg": "SHA-256", "content": report.digest.removeprefix("sha256:")}]
    image["properties"] = [_property("platform", report.platform)] if report.platform else []
    return {
        "timestamp": report.scanned_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tools": {"components": [{"type": "application", "name": "seawall", "version": version()}]},
        "component": image,
    }


def _references(report: ImageReport) -> dict[int, str]:
    """A unique reference per package: its purl, and where that occurs twice the place as well."""
    seen: dict[str, int] = {}
    out: dict[int, str] = {}
    for index, package in enumerate(report.packages):
        count = seen[package.purl] = seen.get(package.purl, 0) + 1
        out[index] = package.purl if count == 1 else f"{package.purl}#{count}"
    return out


def _components(report: ImageReport, refs: dict[int, str]) -> list[dict[str, Any]]:
    out = [_component(package, refs[index]) for index, package in enumerate(report.packages)]
    if report.distro.id:
        system = {"type": _OPERATING_SYSTEM, "bom-ref": "distribution", "name": report.distro.id}
        out.append(system | ({"version": report.distro.version} if report.distro.version else {}))
    return out


def _component(package: Package, ref: str) -> dict[str, Any]:
    out: dict[str, Any] = {"type": "library", "bom-ref": ref, "name": package.name}
    if package.version:
        out["version"] = package.version
    if package.licenses:
        declared = expression(package.licenses)
        names = [{"license": {"name": name}} for name in package.licenses if name]
        out["licenses"] = [{"expression": declared}] if declared else names
    out["purl"] = package.purl
    facts = {
        "ecosystem": package.ecosystem, "source": package.source, "source-version": package.source_version,
        "layer": package.layer, "created-by": package.created_by, "analyzer": package.analyzer,
    }  # fmt: skip
    out["properties"] = [_property(name, value) for name, value in facts.items() if value]
    if package.path:
        out["evidence"] = {"occurrences": [{"location": package.path}]}
    return out


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"seawall:{name}", "value": value}


def _vulnerabilities(report: ImageReport, refs: dict[int, str]) -> list[dict[str, Any]]:
    places = {(package.purl, package.path): refs[index] for index, package in enumerate(report.packages)}
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in report.findings:
        groups.setdefault((finding.id, finding.status, finding.status_reason), []).append(finding)
    return [_vulnerability(number, group, places) for number, group in enumerate(groups.values())]


def _vulnerability(number: int, group: list[Finding], places: dict[tuple[str, str], str]) -> dict[str, Any]:
    first = group[0]
    rating: dict[str, Any] = {"severity": _SEVERITIES.get(first.severity, first.severity.label)}
    if first.cvss is not None:
        rating["score"] = first.cvss
        rating["method"] = _method(first.cvss_vector)
        if first.cvss_vector:
            rating["vector"] = first.cvss_vector
    out: dict[str, Any] = {
        "bom-ref": f"vulnerability-{number}",
        "id": first.id,
        "source": {"name": source(first.id), "url": page(first.id)},
        "ratings": [rating],
    }
    if first.aliases:
        out["references"] = [
            {"id": name, "source": {"name": source(name), "url": page(name)}} for name in first.aliases
        ]
    fixes = dict.fromkeys(f"{finding.package} {finding.fixed_version}" for finding in group if finding.fixed_version)
    if fixes:
        out["recommendation"] = f"Upgrade to {', '.join(fixes)}"
    if first.published:
        out["published"] = first.published
    if analysis := _analysis(first):
        out["analysis"] = analysis
    affected = {(places.get((item.purl, item.path), item.purl), item.installed_version) for item in group}
    out["affects"] = [
        {"ref": ref, "versions": [{"version": version, "status": "affected"}]} for ref, version in sorted(affected)
    ]
    out["properties"] = [_property("in-kev", str(first.in_kev).lower())]
    if first.epss is not None:
        out["properties"].append(_property("epss", f"{first.epss:.5f}"))
    return out


def _analysis(finding: Finding) -> dict[str, Any]:
    if finding.status == "wont_fix":
        return {"response": ["will_not_fix"], "detail": finding.status_reason}
    if finding.status in ("not_affected", "suppressed"):
        return {"state": "not_affected", "detail": finding.status_reason}
    return {}


def _method(vector: str) -> str:
    for prefix, method in (("CVSS:4", "CVSSv4"), ("CVSS:3.1", "CVSSv31"), ("CVSS:3", "CVSSv3")):
        if vector.startswith(prefix):
            return method
    return "CVSSv2" if vector else "other"
