"""Use case: which vulnerabilities does this image have? Inventory, matching and exceptions, as one report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from seawall.domain.errors import InputError
from seawall.domain.findings import Finding, ImageReport
from seawall.domain.packages import Package
from seawall.domain.severity import Severity
from seawall.ports.advisories import Advisories
from seawall.ports.clock import Clock
from seawall.vulnerability.coverage import not_judged
from seawall.vulnerability.exceptions import NO_EXCEPTIONS, Exceptions, ImageNames, apply
from seawall.vulnerability.match import match
from seawall.vulnerability.priority import Exposure

if TYPE_CHECKING:
    from seawall.domain.inventory import Inventory
    from seawall.ports.images import ImageSources, LayerCache

log = logging.getLogger(__name__)


def scan_image(
    target: str,
    *,
    sources: ImageSources,
    advisories: Advisories,
    clock: Clock,
    cache: LayerCache | None = None,
    platform: str = "",
    exceptions: Exceptions = NO_EXCEPTIONS,
    exposure: Callable[[Package], Exposure] | None = None,
) -> ImageReport:
    """Return the report of the image that `target` names, of one platform.

    Args:
        target: a registry reference, `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE` or `dir:PATH`.
        sources: opens targets.
        advisories: what findings are looked up in; its id is part of the report.
        clock: says when.
        cache: remembers layers; None reads every layer.
        platform: `os/architecture[/variant]`; empty = linux/amd64, or the only one there is.
        exceptions: ignore rules and VEX; what they cover stays in the report with its status.
        exposure: what is known of where a package runs, for priorities.

    Raises:
        InputError: no such image, or one that cannot be read at all.
        RemoteError: the registry failed.
    """
    from seawall.app.inventory_image import inventory_image

    inventory = inventory_image(target, sources=sources, cache=cache, platform=platform)
    return judge(inventory, advisories=advisories, clock=clock, exceptions=exceptions, exposure=exposure)


def scan_platforms(
    target: str,
    *,
    sources: ImageSources,
    advisories: Advisories,
    clock: Clock,
    cache: LayerCache | None = None,
    platform: str = "",
    exceptions: Exceptions = NO_EXCEPTIONS,
) -> list[ImageReport]:
    """As `scan_image`, one report per platform; platform `all` gives every one of an index."""
    from seawall.app.inventory_image import inventory_platforms

    inventories = inventory_platforms(target, sources=sources, cache=cache, platform=platform)
    if not inventories:
        raise InputError(f"{target}: no image in it")
    return [judge(item, advisories=advisories, clock=clock, exceptions=exceptions) for item in inventories]


def judge(
    inventory: Inventory,
    *,
    advisories: Advisories,
    clock: Clock,
    exceptions: Exceptions = NO_EXCEPTIONS,
    exposure: Callable[[Package], Exposure] | None = None,
) -> ImageReport:
    """Return the report of an inventory. The same inventory against the same advisories gives the same findings."""
    now = clock.now()
    findings = match(inventory.packages, advisories, os=inventory.platform.os, exposure=exposure)
    applied = apply(
        findings,
        exceptions,
        image=ImageNames.of(inventory.target, inventory.digest, inventory.index_digest),
        now=now,
        package_purls=(package.purl for package in inventory.packages),
    )
    for rule in applied.expired:
        log.warning("an ignore rule has expired", extra={"rule": rule.id or rule.purl or rule.image or rule.path})
    log.info(
        "image judged",
        extra={"digest": inventory.digest, "packages": len(inventory.packages), "findings": len(findings)},
    )
    return ImageReport(
        digest=inventory.digest or inventory.config_digest,
        name=inventory.target,
        platform=str(inventory.platform),
        distro=inventory.distro,
        packages=inventory.packages,
        findings=applied.findings,
        gaps=inventory.gaps,
        scanned_at=now,
        database=advisories.id,
        labels=dict(inventory.labels),
        size_bytes=inventory.size_bytes,
        index_digest=inventory.index_digest,
        not_judged=not_judged(inventory.packages, advisories, inventory.distro),
    )


def worst_open(findings: Sequence[Finding]) -> Severity:
    """The highest severity among open findings; UNKNOWN when there is none."""
    return max((finding.severity for finding in findings if finding.status == "open"), default=Severity.UNKNOWN)
