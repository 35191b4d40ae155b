"""How a batch travels: HTTPS with mutual TLS, or Event Hubs over AMQP (plain or in WebSockets on 443)."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from seawall.domain.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from seawall_sensor.enrol import Enrolment

_REFUSED = frozenset({400, 413, 415, 422})
"""Answers that the same batch will get again: it is dropped and counted. All other failures are tried again."""


class Failed(Exception):
    """Not delivered; worth another try. `retry_after_s`: what the receiver asked for, None = it did not say."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Refused(Exception):
    """The receiver will never take this batch."""


class Transport(Protocol):
    """Delivers one encoded batch."""

    def send(self, body: bytes, sensor: str) -> None:
        """Return when the receiver has it.

        Raises:
            Failed: try again.
            Refused: do not.
        """

    def close(self) -> None:
        """Let connections go."""


class Https:
    """POST to `<server>/v1/events/sensor`. The TLS context is made anew whenever the certificate changed."""

    def __init__(
        self, server: str, enrolment: Callable[[], Enrolment], *, proxy: str = "", timeout_s: float = 30.0
    ) -> None:
        """`enrolment` is called when the first batch is sent. Without `proxy` the environment's `HTTPS_PROXY` counts."""
        self._url = server.rstrip("/") + "/v1/events/sensor"
        self._enrolment, self._proxy, self._timeout_s = enrolment, proxy, timeout_s
        self._client: httpx.Client | None = None
        self._serial = 0

    def send(self, body: bytes, sensor: str) -> None:  # noqa: ARG002 - one signature for all transports
        """See `Transport`."""
        import httpx
        from seawall.formats.sensor_batch import MEDIA_TYPE

        try:
            response = self._connected().post(self._url, content=body, headers={"content-type": MEDIA_TYPE})
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            self.close()
            if "_ALERT_" in str(error).upper().replace(" ", "_"):
                self._enrolment().distrust()  # the server ended the handshake over our certificate
            raise Failed(f"{type(error).__name__}: {error}"[:200]) from error
        if response.status_code == 401:
            self._enrolment().distrust()
        if response.status_code in _REFUSED:
            raise Refused(f"{response.status_code}: {response.text[:200]}")
        if not 200 <= response.status_code < 300:
            raise Failed(f"answered {response.status_code}", _retry_after(response.headers.get("retry-after", "")))

    def _connected(self) -> httpx.Client:
        import httpx

        enrolment = self._enrolment()
        serial = enrolment.credentials().certificate.serial_number
        if self._client is None or serial != self._serial:
            self.close()
            self._client = httpx.Client(verify=enrolment.tls(), proxy=self._proxy or None, timeout=self._timeout_s)
            self._serial = serial
        return self._client

    def close(self) -> None:
        """See `Transport`."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _retry_after(value: str) -> float | None:
    """Seconds of a Retry-After header (RFC 9110, 10.2.3), at most 300; None = none or not readable."""
    if not value:
        return None
    try:
        seconds = float(value) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), 300.0)


@dataclass(frozen=True, slots=True)
class EventHubSettings:
    """Which hub, and how to get in. A connection string wins; else an Entra credential is used."""

    hub: str
    connection_string: str = ""
    namespace: str = ""
    """`<name>.servicebus.windows.net`."""
    websockets: bool = False
    """AMQP inside WebSockets on 443, for networks that let nothing else out."""
    proxy: str = ""
    """`http://host:port`; only with `websockets`."""
    ca_file: Path | None = None
    credential: str = "default"
    """default (managed identity and others), workload (projected token) or certificate."""
    tenant: str = ""
    client: str = ""
    certificate_file: Path | None = None


_NEVER = ("LinkMessageSizeExceeded", "com.microsoft:argument-error", "com.microsoft:argument-out-of-range")
"""Conditions of an event that no second try can deliver, as the client spells them in its message."""


class EventHub:
    """Sends batches to Event Hubs, all of one sensor to one partition, in order."""

    def __init__(self, settings: EventHubSettings, *, timeout_s: float = 30.0) -> None:
        self._settings, self._timeout_s = settings, timeout_s
        self._producer: Any = None

    def send(self, body: bytes, sensor: str) -> None:
        """See `Transport`."""
        try:
            from azure.eventhub import EventData
            from azure.eventhub.exceptions import EventDataSendError, EventHubError
            from seawall.formats.sensor_batch import MEDIA_TYPE
        except ImportError as error:
            raise MissingExtra("sensor", "delivery to Event Hubs") from error
        try:
            producer = self._connected()
            data = EventData(body)
            data.content_type = MEDIA_TYPE
            batch = producer.create_batch(partition_key=sensor)
            try:
                batch.add(data)
            except ValueError as error:
                raise Refused(f"larger than the hub takes: {error}"[:200]) from error
            producer.send_batch(batch, timeout=self._timeout_s)
        except EventDataSendError as error:
            # Also what passes comes as this error: a busy namespace refuses single sends (`com.microsoft:server-busy`).
            kind = Refused if any(condition in str(error) for condition in _NEVER) else Failed
            raise kind(str(error)[:200]) from error
        except (EventHubError, OSError, TimeoutError) as error:
            self.close()
            raise Failed(f"{type(error).__name__}: {error}"[:200]) from error

    def _connected(self) -> Any:
        if self._producer is None:
            from azure.eventhub import EventHubProducerClient, TransportType

            settings = self._settings
            options: dict[str, Any] = {"retry_total": 0, "auth_timeout": self._timeout_s}
            if settings.websockets:
                options["transport_type"] = TransportType.AmqpOverWebsocket
            if settings.proxy:
                parts = urlsplit(settings.proxy)
                options["http_proxy"] = {"proxy_hostname": parts.hostname, "proxy_port": parts.port or 3128,
                                         "username": parts.username, "password": parts.password}  # fmt: skip
            if settings.ca_file is not None:
                options["connection_verify"] = str(settings.ca_file)
            if settings.connection_string:
                self._producer = EventHubProducerClient.from_connection_string(
                    settings.connection_string, eventhub_name=settings.hub, **options
                )
            else:
                self._producer = EventHubProducerClient(
                    settings.namespace, settings.hub, credential=_credential(settings), **options
                )
        return self._producer

    def close(self) -> None:
        """See `Transport`."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None


def _credential(settings: EventHubSettings) -> Any:
    from azure.identity import CertificateCredential, DefaultAzureCredential, WorkloadIdentityCredential

    if settings.credential == "default":
        return DefaultAzureCredential(managed_identity_client_id=settings.client or None)
    if settings.credential == "workload":
        return WorkloadIdentityCredential(tenant_id=settings.tenant or None, client_id=settings.client or None)
    if settings.credential == "certificate" and settings.certificate_file is not None:
        return CertificateCredential(settings.tenant, settings.client, str(settings.certificate_file))
    raise ConfigError(f"credential {settings.credential!r}: default, workload, or certificate with its file")
