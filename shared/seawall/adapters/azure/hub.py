"""Forward published documents to the Event Hubs of another Seawall, as CloudEvents."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from seawall.adapters.azure.identity import azure_credential
from seawall.app.forwarding import forwarded_event
from seawall.app.publishing import outcome_of
from seawall.domain.errors import Denied, InputError, MissingExtra, NotFound, SeawallError, Unavailable
from seawall.domain.publishing import DONE, Kind, Outcome
from seawall.ports.clock import Clock
from seawall.ports.outbox import Outbox, OutboxEntry
from seawall.settings import HubSettings, Settings

ROLE = "the role Azure Event Hubs Data Sender (Microsoft.EventHub/namespaces/messages/send/action)"
RETRIES = 1
"""Of the client; the outbox tries again by itself."""


class HubPublisher:
    """Fulfils `ports.publisher.BatchPublisher`. Changes of one subject keep their order: it is the partition key."""

    id = "hub"

    def __init__(self, settings: HubSettings, producer: Any) -> None:
        self._source, self._producer = settings.source, producer
        self.kinds = frozenset(Kind(kind) for kind in settings.kinds)

    def publish_batch(self, entries: Sequence[OutboxEntry]) -> list[Outcome]:
        """See the port."""
        groups: dict[str, list[int]] = defaultdict(list)
        for position, entry in enumerate(entries):
            groups[entry.subject].append(position)
        outcomes: list[Outcome] = [DONE] * len(entries)
        stop: SeawallError | None = None
        for subject, positions in groups.items():
            if stop is None:
                stop = self._send(subject, [(position, entries[position]) for position in positions], outcomes)
            else:
                for position in positions:
                    outcomes[position] = outcome_of(stop)
        return outcomes

    def _send(self, subject: str, items: list[tuple[int, OutboxEntry]], outcomes: list[Outcome]) -> SeawallError | None:
        """Send the changes of one subject; return the error that the others would meet as well, if any."""
        unsent = [position for position, _ in items]
        try:
            for batch, positions in self._batches(subject, items, outcomes):
                self._producer.send_batch(batch)
                unsent = unsent[unsent.index(positions[-1]) + 1 :]
        except Exception as error:
            translated = _translated(error)
            if translated is None:
                raise
            for position in unsent:
                outcomes[position] = outcome_of(translated)
            return translated
        return None

    def _batches(
        self, subject: str, items: list[tuple[int, OutboxEntry]], outcomes: list[Outcome]
    ) -> Iterator[tuple[Any, list[int]]]:
        """Yield batches as full as the event hub takes them; what alone is too large becomes poison."""
        from azure.eventhub import EventData

        positions: list[int] = []
        batch = self._producer.create_batch(partition_key=subject)
        for position, entry in items:
            event = EventData(json.dumps(forwarded_event(entry, self._source), default=str).encode())
            event.content_type = "application/cloudevents+json"
            if not _added(batch, event):
                if positions:
                    yield batch, positions
                    batch, positions = self._producer.create_batch(partition_key=subject), []
                if not _added(batch, event):
                    outcomes[position] = outcome_of(InputError("larger than an event hub takes"))
                    continue
            positions.append(position)
        if positions:
            yield batch, positions


def _added(batch: Any, event: Any) -> bool:
    try:
        batch.add(event)
    except ValueError:  # the batch is full
        return False
    return True


def _translated(error: Exception) -> SeawallError | None:
    from azure.core.exceptions import ClientAuthenticationError
    from azure.eventhub import exceptions

    if isinstance(error, exceptions.AuthenticationError | ClientAuthenticationError):
        return Denied("the hub's event hub refuses us", hint=f"needs {ROLE}")
    if isinstance(error, exceptions.ConnectError) and "not-found" in str(error):
        return NotFound("no such event hub", hint="check hub.namespace and hub.event_hub")
    if isinstance(error, exceptions.EventHubError):
        return Unavailable("the hub's event hub does not answer", hint=str(error).splitlines()[0])
    return None


def publisher(settings: Settings, outbox: Outbox, clock: Clock) -> HubPublisher:  # noqa: ARG001 - every factory has this form
    """Return the publisher that the settings describe.

    Raises:
        MissingExtra: azure-eventhub is not installed.
    """
    try:
        from azure.eventhub import EventHubProducerClient
    except ImportError as error:
        raise MissingExtra("azure", "forwarding to a hub") from error
    section = settings.hub
    assert section is not None
    text = section.connection_string.get_secret_value()
    if text:
        producer = EventHubProducerClient.from_connection_string(
            text, eventhub_name=section.event_hub, retry_total=RETRIES
        )
    else:
        producer = EventHubProducerClient(
            section.namespace, section.event_hub, azure_credential(settings.azure), retry_total=RETRIES
        )
    return HubPublisher(section, producer)
