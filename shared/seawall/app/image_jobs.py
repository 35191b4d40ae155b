"""What a deployment does with images: scanned when pushed, judged again when advisories change, asked about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from seawall.app.parts import Outcome
from seawall.domain.errors import MalformedEvent, NotFound, SeawallError, Unavailable, UnsupportedImage

if TYPE_CHECKING:
    from seawall.app.parts import Parts
    from seawall.domain.findings import ImageReport
    from seawall.domain.images import ImagePushed
    from seawall.formats.cloudevents import CloudEvent

FORGOTTEN = timedelta(hours=1)
"""A scan that is under way for longer was lost with its worker."""


class ImageJobs:
    """Idempotent, over the stores of images, packages and what runs."""

    def __init__(self, parts: Parts, push: Callable[[ImagePushed], None]) -> None:
        """`push` takes an image that is to be scanned, as if its registry had announced it."""
        self._parts, self._push = parts, push

    def pushed(self, event: CloudEvent) -> Outcome:
        """Scan the image that a door's event names.

        Raises:
            MalformedEvent: it names none.
        """
        import msgspec

        from seawall.domain.images import ImagePushed

        try:
            push = msgspec.convert(event.data, ImagePushed)
        except msgspec.ValidationError as error:
            raise MalformedEvent(f"not an image push: {error}", where="/data") from error
        return self.scan(push)

    def scan(self, push: ImagePushed) -> Outcome:
        """Scan a pushed image, keep the report, sign and attach it. Scan states follow; the last reason stays visible."""
        from seawall.ports.store import ScanState

        reference, digest = str(push.reference), push.digest

        def state(word: str, reason: str = "") -> None:
            if digest:
                self._parts.store.images.set_state(ScanState(digest, reference, word, reason, self._parts.now()))

        state("running")
        try:
            outcome = self._scan(push)
        except Unavailable as error:
            state("queued", error.message)
            raise
        except SeawallError as error:
            state("failed", str(error))
            raise
        skipped = str(outcome.details.get("skipped", ""))
        state("skipped" if skipped else "done", skipped)
        return outcome

    def _scan(self, push: ImagePushed) -> Outcome:
        try:
            reports = self._parts.scanning.scan(push.reference)
        except (UnsupportedImage, NotFound) as error:
            # Signatures, attestations (our own too) and charts announce themselves like images; others are gone already.
            return Outcome(details={"skipped": error.message})
        for report in reports:
            changed = self._parts.store.images.save(report)
            self._parts.store.index.put(report.digest, report.packages)
            self._publish_image(report)  # also when a try before this one kept the report and got no further
            held = self._parts.store.images.attestation(report.digest)
            if changed or held is None or self._parts.scanning.is_stale(held, self._parts.now()):
                for record in self._parts.scanning.attest(push.reference, report):
                    self._parts.store.images.save_attestation(record)
        return Outcome(details={"digests": [report.digest for report in reports]})

    def rescan(self) -> Any:
        """Match stored packages against advisories that changed; publish and sign again where findings are others now."""
        return self._parts.scanning.rescan(self._parts.store, self._rescanned)

    def _rescanned(self, report: ImageReport) -> None:
        self._publish_image(report)
        for record in self._parts.scanning.attest_again(report):
            self._parts.store.images.save_attestation(record)

    def reconcile(self) -> int:
        """Queue scans that were accepted long ago and never finished, and images nobody announced; return how many."""
        from seawall.domain.images import ImagePushed
        from seawall.oci.references import parse_reference

        limit = self._parts.now() - FORGOTTEN
        found = 0
        for state in self._parts.store.images.states(limit=1000, states=("queued", "running"), before=limit):
            assert state.updated_at is not None
            reference = parse_reference(state.reference)
            push = ImagePushed(reference.registry, reference.repository, state.digest, reference.tag)
            self._push(replace(push, source_event_id=f"reconcile/{state.updated_at.isoformat()}"))
            found += 1
        for push in self._parts.scanning.unannounced(lambda digest: self._parts.store.images.state(digest) is not None):
            self._push(push)
            found += 1
        return found

    def affected(self, name: str) -> dict[str, Any]:
        """Which stored images and running workloads have the vulnerability `name`: JSON values for API and console.

        Raises:
            NotFound: no advisory is called so.
        """
        from seawall.app.rescan import affected, document
        from seawall.app.running_images import running_images

        advisories = self._parts.scanning.advisories()
        if not advisories.named(name):
            raise NotFound(f"no advisory is called {name}")
        found = affected(
            name,
            advisories=advisories,
            index=self._parts.store.index,
            running=lambda digests: running_images(self._parts.store, digests),
        )
        return document(name, found)

    def report(self, digest: str) -> ImageReport | None:
        """The stored report of an image, its findings in the order of their urgency as things run now."""
        from seawall.app.running_images import prioritised, running_images

        report = self._parts.store.images.report(digest)
        running = running_images(self._parts.store, (digest,)) if report else None
        if report is None or running is None or not running.is_known:
            return report
        findings = prioritised(report.findings, digest, running, self._parts.scanning.advisories())
        return replace(report, findings=findings)

    def _publish_image(self, report: Any) -> None:
        from seawall.app.publishing import image_entries

        self._parts.store.outbox.add(image_entries(self._parts.publishers, report, self._parts.now()))
