"""Work for later: what a door accepts before it answers."""

from __future__ import annotations

from typing import Protocol

from seawall.formats.cloudevents import CloudEvent


class JobQueue(Protocol):
    """A durable queue: the local one of `seawall serve`, a storage queue, SQS or a Pub/Sub topic."""

    def put(self, event: CloudEvent) -> None:
        """Keep the event; when this returns it survives a crash. Handled at least once, by `Application.handle`.

        Raises:
            Unavailable: not kept; the caller answers 503.
        """
