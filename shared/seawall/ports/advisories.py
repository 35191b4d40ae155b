"""Advisories: what matching looks things up in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from seawall.vulnerability.advisory_format import Advisory, PackageBlock, Vulnerability


class Advisories(Protocol):
    """One set of advisories that does not change; `AdvisoryFile` over a mapped file fulfils it."""

    @property
    def id(self) -> str:
        """Content id, `sha256:<hex>`."""

    @property
    def meta(self) -> dict[str, Any]:
        """Counts and dates, for people."""

    def package(self, ecosystem: str, name: str) -> PackageBlock | None:
        """What is known of a package, both names in the spelling of `vulnerability.ecosystems`."""

    def advisory(self, number: int) -> Advisory:
        """The advisory of an entry."""

    def vulnerability(self, name: str) -> Vulnerability | None:
        """Enrichment of a CVE."""

    def named(self, name: str) -> list[Advisory]:
        """Advisories with this id, alias or vulnerability."""
