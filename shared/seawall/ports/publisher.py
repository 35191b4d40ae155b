"""Where incidents and alerts go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from seawall.domain.alerts import Alert, Incident
from seawall.domain.publishing import Kind, Outcome
from seawall.ports.outbox import OutboxEntry


class Publisher(Protocol):
    """Delivers one state change of an incident. Called at least once per change: receivers tell repeats by (id, seq)."""

    @property
    def id(self) -> str:
        """Name of the destination, as in settings and in the outbox."""

    def publish(self, incident: Incident, alerts: Sequence[Alert]) -> None:
        """Deliver `incident` with its alerts.

        Raises:
            Unavailable: try again later.
            InputError: this one can never be delivered; it goes to the poison store.
        """


class BatchPublisher(Protocol):
    """Delivers documents of the outbox, several in one call, and says for each what became of it."""

    @property
    def id(self) -> str:
        """Name of the destination, as in settings and in the outbox."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """What it takes; nothing else is written to the outbox for it."""

    def publish_batch(self, entries: Sequence[OutboxEntry]) -> Sequence[Outcome]:
        """Deliver; one outcome per entry, in order. An error raised stands for every entry."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Declares a publisher. It is off until its settings section, `Settings.<id>`, is there.

    `factory` is "module:function", imported on first use and called with (settings, outbox, clock); it returns a
    `Publisher` or a `BatchPublisher`.
    """

    id: str
    title: str
    factory: str
    extra: str = ""
    """The optional dependency that it needs."""
