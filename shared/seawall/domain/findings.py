"""Vulnerabilities of the packages of an image."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from seawall.domain.packages import Distro, Gap, Package
from seawall.domain.severity import Severity


# Not frozen, as an image may have 15,000 of them and a frozen one of twenty fields takes twelve times as long to make
# (12 us against 1 us on CPython 3.13); it is a value all the same, and nobody changes one.
@dataclass(slots=True, unsafe_hash=True)
class Finding:
    """One vulnerability in one package.

    `id` is the preferred name (CVE first, then the advisory's own), `aliases` the other names. `fixed_version` is the
    lowest version that ends it, empty when there is none. `cvss` is the base score 0 to 10 or None, `epss` the
    probability 0 to 1 or None. `status` is open, suppressed, wont_fix or not_affected; `status_reason` says why.
    """

    id: str
    purl: str
    package: str
    installed_version: str
    severity: Severity = Severity.UNKNOWN
    aliases: tuple[str, ...] = ()
    advisories: tuple[str, ...] = ()
    fixed_version: str = ""
    cvss: float | None = None
    cvss_vector: str = ""
    epss: float | None = None
    in_kev: bool = False
    status: str = "open"
    status_reason: str = ""
    priority: float = 0.0
    priority_reasons: tuple[str, ...] = ()
    path: str = ""
    layer: str = ""
    url: str = ""
    """A page that describes it."""
    published: str = ""
    """When the first advisory about it appeared, RFC 3339."""


@dataclass(frozen=True, slots=True)
class NotJudged:
    """How many packages are of an ecosystem of which the advisory file holds nothing, neither good nor bad."""

    ecosystem: str
    """OSV's name; the distribution's own, or purl's type, where OSV has none."""
    packages: int


@dataclass(frozen=True, slots=True)
class ImageReport:
    """What is known of one image of one platform after a scan. `digest` is the platform manifest's digest."""

    digest: str
    name: str
    platform: str
    distro: Distro
    packages: tuple[Package, ...]
    findings: tuple[Finding, ...]
    gaps: tuple[Gap, ...]
    scanned_at: datetime
    database: str = ""
    """Content id of the advisory file that the findings come from."""
    labels: dict[str, str] = field(default_factory=dict)
    size_bytes: int = 0
    index_digest: str = ""
    """Digest of the index that the platform manifest was chosen from, if any."""
    not_judged: tuple[NotJudged, ...] = ()
