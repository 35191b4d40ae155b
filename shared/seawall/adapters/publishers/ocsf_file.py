"""OCSF JSON lines appended to a local file."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path

from seawall.domain.errors import Unavailable
from seawall.domain.publishing import DONE, Kind, Outcome
from seawall.formats.ocsf import records
from seawall.ports.clock import Clock
from seawall.ports.outbox import Outbox, OutboxEntry
from seawall.settings import Settings


class OcsfFile:
    """Appends every incident, alert, image finding and control result; one line is written whole or not at all."""

    id = "ocsf_file"
    kinds = frozenset({Kind.INCIDENT, Kind.ALERT, Kind.IMAGE, Kind.ASSESSMENT})

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def publish_batch(self, entries: Sequence[OutboxEntry]) -> list[Outcome]:
        """See the port. A crash between writing and `done` repeats lines: readers tell them by `metadata.uid`."""
        now = self._clock.now()
        lines = [
            json.dumps(record, separators=(",", ":")) + "\n"
            for entry in entries
            for record in records(entry.kind, entry.subject, entry.seq, entry.body, now)
        ]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                end = file.seek(0, os.SEEK_END)
                try:
                    file.write("".join(lines).encode())
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(end)
                    raise
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be written: {error.strerror}") from error
        return [DONE] * len(entries)


def publisher(settings: Settings, _outbox: Outbox, clock: Clock) -> OcsfFile:
    """See `seawall.ports.publisher.Destination`."""
    assert settings.ocsf_file is not None
    return OcsfFile(settings.ocsf_file, clock)
