"""A scan's report as Seawall's own JSON."""

from __future__ import annotations

from typing import Any

from seawall.domain.findings import Finding, ImageReport
from seawall.domain.packages import Package


def document(report: ImageReport) -> dict[str, Any]:
    """Return the report as JSON values: image, packages, findings, gaps, what was not judged. Keys are only ever added."""
    return {
        "image": {
            "name": report.name,
            "digest": report.digest,
            "index_digest": report.index_digest,
            "platform": report.platform,
            "distro": {
                "id": report.distro.id,
                "version": report.distro.version,
                "name": report.distro.pretty_name,
                "end_of_life": report.distro.end_of_life,
            },
            "size_bytes": report.size_bytes,
            "labels": report.labels,
            "scanned_at": report.scanned_at.isoformat(),
            "database": report.database,
        },
        "packages": [_package(package) for package in report.packages],
        "findings": [_finding(finding) for finding in report.findings],
        "gaps": [
            {"where": gap.where, "reason": gap.reason, "layer": gap.layer, "line": gap.line} for gap in report.gaps
        ],
        "not_judged": [{"ecosystem": item.ecosystem, "packages": item.packages} for item in report.not_judged],
    }


def _package(package: Package) -> dict[str, Any]:
    return {
        "purl": package.purl,
        "name": package.name,
        "version": package.version,
        "ecosystem": package.ecosystem,
        "source": package.source,
        "source_version": package.source_version,
        "arch": package.arch,
        "licenses": list(package.licenses),
        "path": package.path,
        "layer": package.layer,
        "created_by": package.created_by,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "aliases": list(finding.aliases),
        "advisories": list(finding.advisories),
        "purl": finding.purl,
        "package": finding.package,
        "installed_version": finding.installed_version,
        "fixed_version": finding.fixed_version,
        "severity": finding.severity.label,
        "cvss": finding.cvss,
        "cvss_vector": finding.cvss_vector,
        "epss": finding.epss,
        "in_kev": finding.in_kev,
        "status": finding.status,
        "status_reason": finding.status_reason,
        "priority": finding.priority,
        "priority_reasons": list(finding.priority_reasons),
        "path": finding.path,
        "layer": finding.layer,
        "url": finding.url,
        "published": finding.published,
    }
