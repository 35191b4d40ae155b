"""Advisory files and packages for tests, from a few words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from seawall.domain.packages import Package
from seawall.vulnerability import osv
from seawall.vulnerability.advisory_build import Builder
from seawall.vulnerability.advisory_file import AdvisoryFile

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class FixedClock:
    """A clock that stands still until it is set."""

    def __init__(self, time: datetime = NOON) -> None:
        self.time = time

    def now(self) -> datetime:
        return self.time


def affected(
    ecosystem: str, name: str, *events: tuple[str, str], versions: Iterable[str] = (), **more: Any
) -> dict[str, Any]:
    """One `affected` item with one range of (kind, version) events."""
    item: dict[str, Any] = {"package": {"ecosystem": ecosystem, "name": name}, **more}
    if events:
        item["ranges"] = [{"type": "ECOSYSTEM", "events": [{kind: version} for kind, version in events]}]
    if versions:
        item["versions"] = list(versions)
    return item


def record(name: str, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An OSV record."""
    return {"id": name, "modified": "2026-01-01T00:00:00Z", "affected": list(items), **more}


def build(
    *records: dict[str, Any], kev: Iterable[str] = (), epss: dict[str, float] | None = None, **more: Any
) -> bytes:
    """The bytes of an advisory file."""
    builder = Builder()
    for item in records:
        builder.add(osv.parse(json.dumps(item)))
    for name in kev:
        builder.enrichment.of(name).kev = "2026-01-02"
    for name, score in (epss or {}).items():
        builder.enrichment.of(name).epss = score
    return builder.finish(built_at=NOON, **more)


def advisories(*records: dict[str, Any], **more: Any) -> AdvisoryFile:
    """An open advisory file."""
    return AdvisoryFile(build(*records, **more))


def package(ecosystem: str, name: str, version: str, **more: Any) -> Package:
    """A package whose purl is good enough to tell it apart."""
    kind = {"PyPI": "pypi", "npm": "npm", "Debian": "deb/debian", "Go": "golang"}.get(
        ecosystem.partition(":")[0], "generic"
    )
    return Package(purl=f"pkg:{kind}/{name}@{version}", name=name, version=version, ecosystem=ecosystem, **more)
