"""The in-toto statement of a scan, with the predicate that cosign defines for vulnerability records.

Source: cosign, specs/COSIGN_VULN_ATTESTATION_SPEC.md; in-toto Statement 0.1. `scanner.result` is Seawall's own report
without the list of packages; `metadata.expiresOn` is an addition.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from seawall.domain.errors import InputError
from seawall.domain.findings import Finding, ImageReport
from seawall.domain.severity import Severity
from seawall.formats import report as own
from seawall.formats.tool import version

STATEMENT_TYPE = "https://in-toto.io/Statement/v0.1"
STATEMENT_TYPES = {STATEMENT_TYPE, "https://in-toto.io/Statement/v1"}
PREDICATE_TYPE = "https://cosign.sigstore.dev/attestation/vuln/v1"
SCANNER_URI = "pkg:pypi/seawall"


@dataclass(frozen=True, slots=True)
class Attested:
    """What a verified statement says. Times are aware, in UTC."""

    digests: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    platform: str
    database: str
    counts: Mapping[str, int]
    """Open findings by severity label."""
    result: Mapping[str, Any]
    """Image, findings and gaps, as in `seawall scan --format json`."""


def statement(report: ImageReport, name: str, *, created_at: datetime, ttl: timedelta) -> bytes:
    """Return the statement's bytes about `report`'s image, called `name` (registry and repository)."""
    digests = [digest for digest in (report.digest, report.index_digest) if digest.startswith("sha256:")]
    if not digests:
        raise InputError(f"{report.name} has no digest to attest", hint="only images in registries can be attested")
    result = own.document(report)
    del result["packages"]
    body = {
        "_type": STATEMENT_TYPE,
        "predicateType": PREDICATE_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}} for digest in digests],
        "predicate": {
            "invocation": {"parameters": None, "uri": "", "event_id": "", "builder.id": ""},
            "scanner": {
                "uri": f"{SCANNER_URI}@{version()}",
                "version": version(),
                "db": {"uri": "", "version": report.database, "lastUpdate": _stamp(report.scanned_at)},
                "result": result | {"summary": summary(report)},
            },
            "metadata": {
                "scanStartedOn": _stamp(report.scanned_at),
                "scanFinishedOn": _stamp(created_at),
                "expiresOn": _stamp(created_at + ttl),
            },
        },
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=True).encode()


def summary(report: ImageReport) -> dict[str, int]:
    """Open findings by severity label, and how many packages, gaps, and packages nobody could judge there are."""
    counts = Counter(finding.severity.label for finding in report.findings if finding.status == "open")
    unknown = sum(item.packages for item in report.not_judged)
    known = dict(counts) | {"packages": len(report.packages), "gaps": len(report.gaps)}
    return known | {"not_judged": unknown} if unknown else known


def read(payload: bytes) -> Attested:
    """Return what a statement says; its signature was checked before.

    Raises:
        InputError: not a statement of a vulnerability scan.
    """
    try:
        body = json.loads(payload)
        if body["_type"] not in STATEMENT_TYPES or body["predicateType"] != PREDICATE_TYPE:
            raise InputError("the statement is not about a vulnerability scan")
        metadata, scanner = body["predicate"]["metadata"], body["predicate"]["scanner"]
        result = scanner["result"]
        created = _parsed(metadata["scanFinishedOn"])
        return Attested(
            digests=tuple(f"sha256:{item['digest']['sha256']}" for item in body["subject"]),
            created_at=created,
            expires_at=_parsed(metadata.get("expiresOn") or metadata["scanFinishedOn"]),
            platform=str(result.get("image", {}).get("platform", "")),
            database=str(scanner.get("db", {}).get("version", "")),
            counts={str(key): int(value) for key, value in result.get("summary", {}).items()},
            result=result,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError("the statement is not in cosign's form of a vulnerability scan") from error


def open_findings(attested: Attested) -> tuple[Finding, ...]:
    """Return the open findings that a statement lists, with what a policy can ask about.

    Raises:
        InputError: the list is not in the form of our reports.
    """
    try:
        return tuple(
            Finding(
                id=str(item["id"]),
                purl=str(item.get("purl", "")),
                package=str(item.get("package", "")),
                installed_version=str(item.get("installed_version", "")),
                severity=Severity.parse(str(item.get("severity", ""))),
                aliases=tuple(str(alias) for alias in item.get("aliases", ())),
                fixed_version=str(item.get("fixed_version", "")),
                in_kev=bool(item.get("in_kev", False)),
            )
            for item in attested.result["findings"]
            if item.get("status", "open") == "open"
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError("the statement's findings are not in the form of Seawall's reports") from error


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _parsed(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
