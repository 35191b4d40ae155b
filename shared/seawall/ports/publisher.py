"""Where incidents and alerts go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from seawall.domain.alerts import Alert, Incident


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
