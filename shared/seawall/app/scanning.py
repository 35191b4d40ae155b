"""Everything that a deployment does with images: scan, sign, attach, rescan, find what was never announced."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from seawall.domain.errors import Denied, RemoteError, SeawallError
from seawall.domain.images import ImagePushed, ImageReference
from seawall.ports.clock import Clock
from seawall.ports.store import AttestationRecord
from seawall.vulnerability.exceptions import NO_EXCEPTIONS, Exceptions

if TYPE_CHECKING:
    from seawall.app.rescan import Rescanned
    from seawall.domain.findings import ImageReport
    from seawall.ports.images import ImageSources, LayerCache
    from seawall.ports.registry import Registry
    from seawall.ports.signer import Signer
    from seawall.ports.store import Store
    from seawall.vulnerability.advisory_file import AdvisoryFile

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scanning:
    """The jobs over images. Callables are called when first needed."""

    clock: Clock
    sources: Callable[[], ImageSources]
    cache: Callable[[], LayerCache | None]
    advisories: Callable[[], AdvisoryFile]
    registry: Callable[[], Registry]
    signer: Callable[[], Signer] | None = None
    """None: findings are not attached to images."""
    attestation_lifetime: timedelta = timedelta(days=30)
    listed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Registries to list for pushes that were never announced, and the repositories to look at (none = the catalogue)."""
    exceptions: Callable[[], Exceptions] = lambda: NO_EXCEPTIONS
    """The deployment's own policy: what it covers is in every report as suppressed."""
    previous: Callable[[], AdvisoryFile | None] = lambda: None
    """The advisory file that stored findings agree with; None looks at every stored package."""
    rescanned: Callable[[], None] = lambda: None
    """Remembers that stored findings agree with the present advisory file."""

    def scan(self, reference: ImageReference) -> list[ImageReport]:
        """Return the report of every platform of the image.

        Raises:
            InputError: not an image, or one that cannot be read at all.
            RemoteError: the registry failed.
            ConfigError: there is no advisory file.
        """
        from seawall.app.scan_image import scan_platforms

        named = ImageReference(
            reference.registry, reference.repository, "" if reference.digest else reference.tag, reference.digest
        )
        return scan_platforms(
            str(named),
            sources=self._sources,
            advisories=self.advisories(),
            clock=self.clock,
            cache=self._cache,
            platform="all",
            exceptions=self.exceptions(),
        )

    def attest(self, reference: ImageReference, report: ImageReport) -> list[AttestationRecord]:
        """Sign the report's findings and attach them; without the right to push, say so in the log and return nothing.

        Raises:
            Unavailable: registry or key service; the scan is tried again, which changes nothing that is there.
        """
        if self.signer is None or not report.digest:
            return []
        from seawall.app.attest_image import attest_image

        try:
            attached = attest_image(
                report,
                reference,
                registry=self.registry(),
                signer=self.signer(),
                clock=self.clock,
                ttl=self.attestation_lifetime,
            )
        except Denied as error:
            log.warning("findings are not attached", extra={"digest": report.digest, "reason": error.message})
            return []
        return [
            AttestationRecord(item.digest, item.reference, item.referrer, item.key_id, item.created_at, item.expires_at)
            for item in attached
        ]

    def attest_again(self, report: ImageReport) -> list[AttestationRecord]:
        """Sign a stored report anew where its image lies in a registry; a registry that fails is tried at the next scan."""
        from seawall.oci.references import parse_reference

        try:
            return self.attest(parse_reference(report.name), report)
        except SeawallError as error:
            log.warning("findings are not signed again", extra={"digest": report.digest, "reason": error.message})
            return []

    def rescan(self, store: Store, changed: Callable[[ImageReport], None]) -> Rescanned:
        """Bring stored findings up to date with the present advisory file; see `seawall.app.rescan.rescan`."""
        from seawall.app.rescan import rescan

        done = rescan(
            advisories=self.advisories(),
            previous=self.previous(),
            index=store.index,
            images=store.images,
            clock=self.clock,
            exceptions=self.exceptions(),
            changed=changed,
        )
        self.rescanned()
        return done

    def unannounced(self, is_known: Callable[[str], bool]) -> Iterator[ImagePushed]:
        """Yield the images of the listed registries whose push was never heard of."""
        from seawall.app.reconcile_registry import missed_pushes

        for host, repositories in self.listed.items():
            try:
                yield from missed_pushes(host, registry=self.registry(), is_known=is_known, repositories=repositories)
            except RemoteError as error:
                log.warning("registry not reconciled", extra={"registry": host, "reason": error.message})

    def is_stale(self, record: AttestationRecord, now: datetime) -> bool:
        """Whether less than a third of the attestation's life is left."""
        return record.expires_at - now < (record.expires_at - record.created_at) / 3

    @cached_property
    def _sources(self) -> ImageSources:
        return self.sources()

    @cached_property
    def _cache(self) -> LayerCache | None:
        return self.cache()
