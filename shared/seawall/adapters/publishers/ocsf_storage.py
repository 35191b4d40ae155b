"""OCSF JSON lines as objects: one object per batch, named by day and content, so that a repeat overwrites itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from seawall.adapters.blobs import Blobs, open_blobs
from seawall.app.publishing import outcome_of
from seawall.domain.errors import SeawallError
from seawall.domain.publishing import DONE, Kind, Outcome
from seawall.formats.ocsf import records
from seawall.ports.clock import Clock
from seawall.ports.outbox import Outbox, OutboxEntry
from seawall.settings import ObjectStorageSettings, Settings


class OcsfStorage:
    """Fulfils `ports.publisher.BatchPublisher`."""

    id = "ocsf_storage"

    def __init__(self, settings: ObjectStorageSettings, blobs: Blobs, clock: Clock) -> None:
        self._blobs, self._clock = blobs, clock
        self.kinds = frozenset(Kind(kind) for kind in settings.kinds)

    def publish_batch(self, entries: Sequence[OutboxEntry]) -> list[Outcome]:
        """See the port."""
        now = self._clock.now()
        lines: list[str] = []
        outcomes: list[Outcome] = []
        for entry in entries:
            try:
                found = records(entry.kind, entry.subject, entry.seq, entry.body, now)
                lines += [json.dumps(record, separators=(",", ":")) for record in found]
            except SeawallError as error:
                outcomes.append(outcome_of(error))
            else:
                outcomes.append(DONE)
        content = "".join(f"{line}\n" for line in lines).encode()
        identity = json.dumps(sorted((entry.kind, entry.subject, entry.seq) for entry in entries)).encode()
        name = f"{now:%Y/%m/%d}/{hashlib.sha256(identity).hexdigest()[:32]}.jsonl"
        if content:
            self._blobs.put(name, content)
        return outcomes


def publisher(settings: Settings, outbox: Outbox, clock: Clock) -> OcsfStorage:  # noqa: ARG001 - every factory has this form
    """Return the publisher that the settings describe."""
    section = settings.ocsf_storage
    assert section is not None
    return OcsfStorage(section, open_blobs(section.url, settings), clock)
