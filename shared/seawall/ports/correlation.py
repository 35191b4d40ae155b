"""What correlation asks of the store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol

from seawall.domain.alerts import Alert, Entity, Incident

Carry = Callable[[Incident, Incident | None], Incident]
"""Gives a freshly computed incident the status and number of its stored state (None = not stored yet)."""


class CorrelationStore(Protocol):
    """Alerts by what they touch; incidents by what they hold."""

    def touching(self, entity: Entity, start: datetime, end: datetime, limit: int) -> Sequence[Alert]:
        """Return alerts whose [first_seen, last_seen] touches [start, end] and that `entities_of` gives `entity`.

        Oldest first, at most `limit`.
        """

    def holding(self, alert_ids: Collection[str]) -> Sequence[Incident]:
        """Return the incidents, merged ones too, that hold any of the alerts."""

    def save(self, incidents: Sequence[Incident], carry: Carry) -> list[Incident]:
        """Keep what `carry(incident, stored)` gives, in one transaction; return those whose number grew, as stored."""
