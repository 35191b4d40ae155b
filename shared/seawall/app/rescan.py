"""Use cases over stored inventories: which images does a vulnerability touch, and what do new advisories change.

No image is pulled again. A new advisory file is compared with the one that was last looked at; only packages that a
changed advisory names are matched anew, each distinct package once however many images have it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from seawall.app.running_images import NOTHING_KNOWN, RunningImages, Workload, with_exposure
from seawall.domain.findings import Finding, ImageReport
from seawall.domain.packages import Package
from seawall.ports.advisories import Advisories
from seawall.ports.clock import Clock
from seawall.ports.inventory_index import InventoryIndex, PackageKey
from seawall.ports.store import ImageStore
from seawall.vulnerability.coverage import not_judged
from seawall.vulnerability.exceptions import NO_EXCEPTIONS, Exceptions, ImageNames, apply
from seawall.vulnerability.match import match

if TYPE_CHECKING:
    from seawall.vulnerability.advisory_file import AdvisoryFile, Changes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Touched:
    """A package that has the vulnerability, and the images that have the package."""

    finding: Finding
    digests: tuple[str, ...]
    workloads: tuple[Workload, ...] = ()
    """Running workloads of those images, as far as they are known."""


@dataclass(frozen=True, slots=True)
class Rescanned:
    """What a rescan did."""

    database: str
    advisories: int
    """How many advisories were added, changed or removed."""
    packages: int
    """How many distinct packages were matched anew."""
    images: int
    """How many images got other findings."""
    new_findings: int = 0


def affected(
    name: str,
    *,
    advisories: Advisories,
    index: InventoryIndex,
    running: Callable[[Collection[str]], RunningImages] = lambda _digests: NOTHING_KNOWN,
) -> list[Touched]:
    """Return every package of every image ever seen that has the vulnerability.

    Args:
        name: a CVE, GHSA or advisory id, or any alias.
        advisories: an open advisory file.
        index: of stored packages.
        running: what runs of the stored images that it is given.
    """
    keys = {key for advisory in advisories.named(name) for key in advisory.packages}
    hits: dict[int, Finding] = {}
    for item in index.components(keys):
        for finding in match([item.package], advisories):
            if name in (finding.id, *finding.aliases, *finding.advisories):
                hits[item.number] = finding
    images: dict[int, list[str]] = {number: [] for number in hits}
    for number, digest in index.images(hits) if hits else ():
        images[number].append(digest)
    runs = running({digest for digests in images.values() for digest in digests}) if hits else NOTHING_KNOWN
    out = [
        Touched(
            with_exposure(finding, runs.exposure(finding, images[number]), advisories),
            tuple(images[number]),
            runs.workloads(finding, images[number]),
        )
        for number, finding in hits.items()
    ]
    return sorted(out, key=lambda item: (-len(item.workloads), -len(item.digests), item.finding.purl))


def workloads(touched: Iterable[Touched]) -> list[Workload]:
    """Every running workload that has the vulnerability, once: in use where one of its packages is."""
    found: dict[str, Workload] = {}
    for workload in (workload for item in touched for workload in item.workloads):
        known = found.get(workload.name)
        if known is None or workload.in_use or (known.in_use is None and workload.in_use is not None):
            found[workload.name] = workload
    return [found[name] for name in sorted(found)]


def document(name: str, touched: list[Touched]) -> dict[str, Any]:
    """The answer as JSON values, for command line, API and console."""
    return {
        "vulnerability": name,
        "images": len({digest for item in touched for digest in item.digests}),
        "workloads": [workload.document() for workload in workloads(touched)],
        "packages": [
            {
                "purl": item.finding.purl,
                "installed_version": item.finding.installed_version,
                "fixed_version": item.finding.fixed_version,
                "severity": item.finding.severity.label,
                "status": item.finding.status,
                "priority": item.finding.priority,
                "priority_reasons": list(item.finding.priority_reasons),
                "images": list(item.digests),
                "workloads": [workload.document() for workload in item.workloads],
            }
            for item in touched
        ],
    }


def rescan(
    *,
    advisories: AdvisoryFile,
    previous: AdvisoryFile | None,
    index: InventoryIndex,
    images: ImageStore,
    clock: Clock,
    exceptions: Exceptions = NO_EXCEPTIONS,
    changed: Callable[[ImageReport], None] | None = None,
) -> Rescanned:
    """Bring stored findings up to date; return what was done. Interrupted, it does the rest when called again.

    Args:
        advisories: the file that findings are to agree with.
        previous: the file that they agree with now; None looks at every package.
        index: of stored packages.
        images: reports.
        clock: says when.
        exceptions: as in a scan.
        changed: told of every image whose findings became others (to publish, to sign again).
    """
    changes = advisories.changed_since(previous)
    keys = _keys(changes, advisories, previous)
    components = index.components(keys)
    others = {
        item.number: item.package
        for item in components
        if _outcome(item.package, advisories) != (_outcome(item.package, previous) if previous else set())
    }
    digests = sorted({digest for _, digest in index.images(others)}) if others else []
    purls = {package.purl for package in others.values()}
    updated = found = 0
    for digest in digests:
        report = images.report(digest)
        if report is None:
            continue
        renewed = _renewed(report, purls, advisories, clock, exceptions)
        if images.save(renewed):
            updated += 1
            found += len({_name(item) for item in renewed.findings} - {_name(item) for item in report.findings})
            if changed is not None:
                changed(renewed)
    done = Rescanned(
        advisories.id,
        len(changes.added) + len(changes.changed) + len(changes.removed),
        len(components),
        updated,
        found,
    )
    log.info("rescanned", extra={"advisories": done.advisories, "packages": done.packages, "images": done.images})
    return done


def _keys(changes: Changes, advisories: AdvisoryFile, previous: AdvisoryFile | None) -> set[PackageKey]:
    keys: set[PackageKey] = set()
    for file, names in (
        (advisories, (*changes.added, *changes.changed)),
        (previous, (*changes.changed, *changes.removed)),
    ):
        if file is None:
            continue
        if len(names) > 5000:
            # So many that walking the file once is cheaper than looking each up.
            wanted = set(names)
            keys.update(key for advisory in file.advisories() if advisory.id in wanted for key in advisory.packages)
        else:
            keys.update(
                key
                for name in names
                for advisory in file.named(name)
                if advisory.id == name
                for key in advisory.packages
            )
    return keys


def _outcome(package: Package, advisories: Advisories) -> set[tuple[object, ...]]:
    """What of a package's findings makes a report another one; EPSS and the priority it gives do not."""
    return {
        (item.id, item.fixed_version, item.severity, item.cvss, item.in_kev, item.status, item.aliases, item.advisories)
        for item in match([package], advisories)
    }


def _renewed(
    report: ImageReport, purls: set[str], advisories: AdvisoryFile, clock: Clock, exceptions: Exceptions
) -> ImageReport:
    packages = [package for package in report.packages if package.purl in purls]
    now = clock.now()
    fresh = apply(
        match(packages, advisories, os=report.platform.partition("/")[0] or "linux"),
        exceptions,
        image=ImageNames.of(report.name, report.digest, report.index_digest),
        now=now,
        package_purls=(package.purl for package in report.packages),
    ).findings
    kept = tuple(finding for finding in report.findings if finding.purl not in purls)
    findings = sorted((*kept, *fresh), key=lambda item: (-item.priority, item.id, item.purl, item.path))
    return replace(
        report,
        findings=tuple(findings),
        scanned_at=now,
        database=advisories.id,
        not_judged=not_judged(report.packages, advisories, report.distro),
    )


def _name(finding: Finding) -> tuple[str, str]:
    return finding.id, finding.purl
