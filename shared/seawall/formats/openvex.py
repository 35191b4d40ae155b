"""OpenVEX 0.2.0: what a report says about vulnerabilities, for other tools to take over."""

from __future__ import annotations

import hashlib
from datetime import UTC
from typing import Any

from seawall.domain.findings import Finding, ImageReport
from seawall.vulnerability.exceptions import ImageNames


def document(report: ImageReport, *, author: str = "Seawall") -> dict[str, Any]:
    """Return one statement per vulnerability and status.

    Suppressed and not-affected findings come as not_affected with their reason, open ones as affected with what to do.
    """
    product = next(iter(ImageNames.of(report.name, report.digest, report.index_digest).purls), "") or report.name
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in report.findings:
        groups.setdefault((finding.id, finding.status, finding.status_reason), []).append(finding)
    statements = [_statement(group, product) for group in groups.values()]
    stamp = report.scanned_at.astimezone(UTC).isoformat()
    unique = hashlib.sha256(f"{product}|{report.database}|{stamp}".encode()).hexdigest()
    return {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": f"https://openvex.dev/docs/public/vex-{unique}",
        "author": author,
        "timestamp": stamp,
        "version": 1,
        "tooling": "seawall",
        "statements": statements,
    }


def _statement(group: list[Finding], product: str) -> dict[str, Any]:
    first = group[0]
    out: dict[str, Any] = {
        "vulnerability": {"name": first.id, **({"aliases": list(first.aliases)} if first.aliases else {})},
        "products": [
            {"@id": product, "subcomponents": [{"@id": purl} for purl in dict.fromkeys(item.purl for item in group)]}
        ],
    }
    if first.status in ("suppressed", "not_affected"):
        return out | {"status": "not_affected", "impact_statement": first.status_reason or first.status}
    fixes = dict.fromkeys(f"{item.package} {item.fixed_version}" for item in group if item.fixed_version)
    todo = f"Upgrade to {', '.join(fixes)}" if fixes else first.status_reason or "No fixed version is known"
    return out | {"status": "affected", "action_statement": todo}
