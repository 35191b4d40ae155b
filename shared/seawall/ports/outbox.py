"""What waits to leave the product: written once per state change, delivered at least once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One document for one destination. (`destination`, `kind`, `subject`, `seq`) is its identity.

    `kind` is a `seawall.domain.publishing.Kind`; `subject` the id of what changed (incident, alert, image, ...); `seq`
    the number of the change; `body` the JSON document to publish, complete: nothing is looked up when it is sent.
    """

    destination: str
    kind: str
    subject: str
    seq: int
    body: Mapping[str, Any]
    created_at: datetime
    attempts: int = 0


class Outbox(Protocol):
    """Keeps entries until their destination has them."""

    def add(self, entries: Iterable[OutboxEntry]) -> int:
        """Write the entries that are not known yet (by identity); return how many were new."""

    def claim(self, destination: str, *, limit: int, now: datetime, lease_s: float) -> list[OutboxEntry]:
        """Lease the oldest due entries of a destination, `attempts` counted up, incidents and alerts first, in order of
        creation then `seq`.

        One sender per destination at a time: empty while another holds the destination. Nothing due, no lease. So a destination sees
        the changes of one subject in order, and a cap on its rate holds over all instances. An entry waits while an
        earlier change of its subject does.
        """

    def release(self, destination: str) -> None:
        """Let others claim the destination before the lease ends."""

    def done(self, entries: Sequence[OutboxEntry], *, now: datetime, units: int = 0) -> None:
        """The destination has them. `units` is what they count against its rate cap."""

    def retry(self, entries: Sequence[OutboxEntry], *, not_before: datetime, reason: str) -> None:
        """Offer them again from `not_before` on."""

    def poison(self, entries: Sequence[OutboxEntry], *, reason: str, now: datetime) -> None:
        """They can never be delivered; they stay, with the reason, for an operator to see."""

    def units_since(self, destination: str, since: datetime) -> int:
        """Return the sum of `units` that were delivered to a destination since then."""

    def latest(
        self, destination: str, kind: str, subject: str, *, below_seq: int, min_units: int = 0
    ) -> OutboxEntry | None:
        """Return the newest entry of a subject below a `seq` that was delivered, if any: what the receiver knows.

        `min_units` 1: the newest that counted against the rate cap.
        """

    def forget(self, before: datetime) -> int:
        """Delete what was settled before then; return how many entries. A change of that age that comes again is sent again."""

    def pending(self) -> dict[str, int]:
        """Return how many entries wait, by destination."""
