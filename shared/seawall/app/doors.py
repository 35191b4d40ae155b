"""The doors of a deployment: inputs are checked for their form, kept as events, and answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from seawall.domain.errors import MalformedEvent
from seawall.domain.ids import content_id
from seawall.formats.cloudevents import (
    AUDIT_RECEIVED,
    IMAGE_PUSHED,
    POSTURE_RECEIVED,
    SENSOR_RECEIVED,
    CloudEvent,
    body_id,
    carrying,
)

if TYPE_CHECKING:
    from seawall.app.parts import Parts
    from seawall.domain.images import ImagePushed


class Doors:
    """Each takes one kind of input; `keep` takes the event that it becomes."""

    def __init__(self, parts: Parts, keep: Callable[[CloudEvent], None]) -> None:
        self._parts, self._keep = parts, keep

    def registry(self, kind: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        """Take a registry's notification; return (HTTP status, answer).

        Raises:
            MalformedEvent: not of the form that `kind` promises; an unknown `kind`.
        """
        from seawall.oci.notifications import parse_notification

        notification = parse_notification(kind, headers, body)
        if notification.answer is not None:
            return 200, notification.answer
        for push in notification.pushes:
            self.push(push)
        return 202, {"accepted": len(notification.pushes), "digests": [push.digest for push in notification.pushes]}

    def push(self, push: ImagePushed) -> None:
        """Queue the scan of one pushed image."""
        import msgspec

        reference = str(push.reference)
        key = content_id("push", reference, push.source_event_id)
        if push.digest:
            from seawall.ports.store import ScanState

            self._parts.store.images.set_state(
                ScanState(push.digest, reference, "queued", updated_at=self._parts.now())
            )
        self._keep(
            CloudEvent(
                id=key,
                source=f"//{push.registry}",
                type=IMAGE_PUSHED,
                subject=reference,
                data=msgspec.to_builtins(push),
            )
        )

    def audit(self, body: bytes, cluster: str = "") -> dict[str, Any]:
        """Queue audit events; return how many records were read and how many could not be.

        Raises:
            MalformedEvent: nothing in it could be read.
        """
        from seawall.detection.sources.recognise import decode

        batch = decode(body, cluster=cluster).readable()
        self._keep(carrying(AUDIT_RECEIVED, body_id(body, cluster), "/audit", body, subject=cluster))
        return {"events": len(batch.events), "skipped": batch.skipped, "rejected": batch.rejected.total()}

    def sensor(self, body: bytes) -> dict[str, Any]:
        """Queue a sensor batch whose signature holds.

        Raises:
            Unauthenticated: not signed by an enrolled sensor.
            MalformedEvent: not a batch.
            TooLarge: over the limits of the format.
        """
        from seawall.formats.sensor_batch import decode_batch

        now = self._parts.now()
        batch = decode_batch(body, self._parts.trust(now))
        self._keep(carrying(SENSOR_RECEIVED, body_id(body), "/sensor", body, subject=batch.header.sensor, time=now))
        return {"events": len(batch.events), "rejected": len(batch.rejected)}

    def posture(self, scope: str, body: bytes) -> dict[str, Any]:
        """Queue the assessment of the objects in `body` as the present state of `scope`.

        Raises:
            MalformedEvent: no object in it.
        """
        from seawall.formats.inventory_snapshot import decode_snapshot, is_snapshot
        from seawall.posture.loading import Loaded, load_bytes

        loaded = Loaded()
        if is_snapshot(body):
            listing = decode_snapshot(body, scope, self._parts.now())
            loaded.objects, loaded.notes = listing.objects, listing.notes
        else:
            load_bytes(body, loaded, scope)
        if not loaded.objects:
            note = loaded.notes[0] if loaded.notes else None
            raise MalformedEvent(
                f"no object in it{f': {note.reason}' if note else ''}", where=note.where if note else ""
            )
        key = content_id("posture", scope, body_id(body), self._parts.now().isoformat())
        self._keep(carrying(POSTURE_RECEIVED, key, "/posture", body, subject=scope))
        return {"objects": len(loaded.objects), "notes": len(loaded.notes)}

    def enrol_sensor(self, token: str, csr: str, node: str) -> Any:
        """See `seawall.app.enrol_sensor.enrol_sensor`."""
        from seawall.app.enrol_sensor import enrol_sensor

        return enrol_sensor(
            token=token,
            csr=csr,
            node=node,
            store=self._parts.store.sensors,
            authority=self._parts.authority,
            now=self._parts.now(),
        )

    def renew_sensor(self, certificate: str, csr: str, signature: str) -> Any:
        """See `seawall.app.enrol_sensor.renew_sensor`."""
        from seawall.app.enrol_sensor import renew_sensor

        return renew_sensor(
            certificate=certificate,
            csr=csr,
            signature=signature,
            store=self._parts.store.sensors,
            authority=self._parts.authority,
            now=self._parts.now(),
        )
