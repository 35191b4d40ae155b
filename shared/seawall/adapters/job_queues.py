"""Where function apps keep accepted events: one queue per kind of job, in the cloud's own service.

A message is a CloudEvent. One that is larger than the service takes lies in the blob store, and the message says where
(claim check); the blob is named by its content, so a repeat overwrites it with itself.
"""

from __future__ import annotations

import base64
import hashlib
import os
from typing import TYPE_CHECKING, Any, Protocol

from seawall.adapters.blobs import Blobs, azure_translated, open_blobs
from seawall.adapters.tracing import stamped
from seawall.domain.errors import Denied, MalformedEvent, MissingExtra, Unavailable
from seawall.formats.cloudevents import (
    ALERTS_RAISED,
    AUDIT_RECEIVED,
    IMAGE_PUSHED,
    POSTURE_RECEIVED,
    SENSOR_RECEIVED,
    CloudEvent,
    parse,
)

if TYPE_CHECKING:
    from seawall.settings import JobQueueSettings, Settings

NAMES = {
    IMAGE_PUSHED: "images",
    AUDIT_RECEIVED: "audit",
    SENSOR_RECEIVED: "sensor",
    POSTURE_RECEIVED: "posture",
    ALERTS_RAISED: "correlate",
}
"""Kind of event: name of its queue, behind the prefix of the settings."""
CHECKED = "io.seawall.job.checked"
"""Type of a message whose event lies in the blob store."""


class Service(Protocol):
    """A queue service. `group` keeps messages of one cluster in order where the service can."""

    limit: int
    """Largest message in bytes."""

    def send(self, name: str, message: bytes, *, group: str, key: str) -> None:
        """Keep the message. Raises: Unavailable, Denied, NotFound."""


class CloudJobQueue:
    """Fulfils `ports.queue.JobQueue`."""

    def __init__(self, service: Service, blobs: Blobs) -> None:
        self._service, self._blobs = service, blobs

    def put(self, event: CloudEvent) -> None:
        """See the port."""
        name = NAMES.get(event.type)
        if name is None:
            raise MalformedEvent(f"no queue takes {event.type}", where="/type")
        event = stamped(event)
        raw = event.to_bytes()
        if len(raw) > self._service.limit:
            place = f"jobs/{hashlib.sha256(raw).hexdigest()}.json"
            self._blobs.put(place, raw)
            raw = CloudEvent(id=event.id, source=event.source, type=CHECKED, data={"blob": place}).to_bytes()
        self._service.send(name, raw, group=event.subject or event.source, key=event.id)

    def take(self, message: bytes) -> CloudEvent:
        """Return the event of a message, from the blob store if it lies there.

        Raises:
            MalformedEvent: not a message of ours. NotFound: its blob is gone.
        """
        event = parse(message)
        if event.type != CHECKED:
            return event
        place = event.data.get("blob") if isinstance(event.data, dict) else None
        if not isinstance(place, str) or not place.startswith("jobs/") or ".." in place:
            raise MalformedEvent("the message does not say where its event lies", where="/data/blob")
        return parse(self._blobs.get(place))


class StorageQueues:
    """Azure Storage queues. The Functions trigger expects base64."""

    limit = 45_000

    def __init__(self, settings: JobQueueSettings, whole: Settings) -> None:
        self._settings, self._whole = settings, whole
        self._clients: dict[str, Any] = {}

    def send(self, name: str, message: bytes, *, group: str, key: str) -> None:  # noqa: ARG002 - no order here
        """See the service."""
        right = "Microsoft.Storage/storageAccounts/queueServices/queues/messages/add/action"
        with azure_translated(f"queue {self._settings.prefix}{name}", right):
            self._client(name).send_message(base64.b64encode(message).decode())

    def _client(self, name: str) -> Any:
        if name not in self._clients:
            self._clients[name] = self._open(self._settings.prefix + name)
        return self._clients[name]

    def _open(self, queue: str) -> Any:
        try:
            from azure.storage.queue import QueueClient
        except ImportError as error:
            raise MissingExtra("azure", "Azure Storage queues") from error
        text = os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
        if text:
            return QueueClient.from_connection_string(text, queue)
        from seawall.adapters.azure.identity import azure_credential

        return QueueClient(self._settings.endpoint, queue, credential=azure_credential(self._whole.azure))


class SqsQueues:
    """SQS: standard queues, and a FIFO queue for what has an order."""

    limit = 250_000

    def __init__(self, settings: JobQueueSettings) -> None:
        self._settings = settings

    def send(self, name: str, message: bytes, *, group: str, key: str) -> None:
        """See the service."""
        from seawall.adapters.aws.session import client, translated

        fifo = name == "correlate"
        url = f"{self._settings.endpoint.rstrip('/')}/{self._settings.prefix}{name}{'.fifo' if fifo else ''}"
        order = {"MessageGroupId": _token(group), "MessageDeduplicationId": _token(key)} if fifo else {}
        with translated("sqs:SendMessage", Unavailable):
            client("sqs").send_message(QueueUrl=url, MessageBody=message.decode(), **order)


class PubSubQueues:
    """Pub/Sub topics; messages of one cluster carry its ordering key."""

    limit = 9_000_000

    def __init__(self, settings: JobQueueSettings) -> None:
        try:
            from google.cloud import pubsub_v1  # type: ignore[attr-defined]
        except ImportError as error:
            raise MissingExtra("gcp", "Pub/Sub") from error
        options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
        self._settings, self._publisher = settings, pubsub_v1.PublisherClient(publisher_options=options)

    def send(self, name: str, message: bytes, *, group: str, key: str) -> None:  # noqa: ARG002 - its events have ids
        """See the service."""
        from google.api_core.exceptions import Forbidden, GoogleAPIError, Unauthorized

        topic = f"{self._settings.endpoint.rstrip('/')}/topics/{self._settings.prefix}{name}"
        order = {"ordering_key": _token(group)} if name == "correlate" else {}
        try:
            self._publisher.publish(topic, message, **order).result(timeout=30)
        except (GoogleAPIError, TimeoutError) as error:
            if order:
                self._publisher.resume_publish(topic, order["ordering_key"])
            if isinstance(error, Forbidden | Unauthorized):
                raise Denied(f"topic {topic}: refused", hint="needs pubsub.topics.publish") from error
            raise Unavailable(f"topic {topic} does not take messages", hint=str(error)) from error


def _token(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def open_job_queue(settings: Settings) -> CloudJobQueue | None:
    """Return the queue that `job_queue` describes, or None: accepted events are then handled at once."""
    section = settings.job_queue
    if section is None:
        return None
    blobs = open_blobs(settings.effective_blob_url, settings)
    if section.service == "azure-storage":
        return CloudJobQueue(StorageQueues(section, settings), blobs)
    if section.service == "sqs":
        return CloudJobQueue(SqsQueues(section), blobs)
    return CloudJobQueue(PubSubQueues(section), blobs)
