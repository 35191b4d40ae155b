"""Batches to Event Hubs: AMQP over TLS on 5671, or in WebSockets on 443, there also through a proxy."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from seawall.domain.errors import ConfigError, MissingExtra

from seawall_sensor.transports import Failed, Refused

_NEVER = ("LinkMessageSizeExceeded", "com.microsoft:argument-error", "com.microsoft:argument-out-of-range")
"""Conditions of an event that no second try can deliver, as the client spells them in its message."""


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
    """`http://user:password@host:port`; implies `websockets`. Tokens are fetched through it too."""
    ca_file: Path | None = None
    """PEM; trusted beside the system's roots, for hubs as well as for the token service."""
    credential: str = "default"
    """default (managed identity and others), workload (projected token) or certificate."""
    tenant: str = ""
    client: str = ""
    certificate_file: Path | None = None
    """PEM of certificate and key."""
    token_file: Path | None = None
    """The projected token of a workload identity."""

    def check(self) -> None:
        """Find mistakes before anything is loaded. What a message quotes is never a secret.

        Raises:
            ConfigError: what is missing or wrong, and how to say it right.
        """
        if self.proxy and (urlsplit(self.proxy).scheme != "http" or not urlsplit(self.proxy).hostname):
            raise ConfigError("--proxy is not an address that AMQP can go through", hint="http://proxy.example:3128")
        if self.connection_string:
            self._check_connection_string()
            return
        if not self.namespace:
            raise ConfigError(
                "--event-hub needs --event-hub-namespace, or a connection string in SEAWALL_EVENT_HUB_CONNECTION"
            )
        if not self.namespace.replace("-", "").replace(".", "").isalnum() or "." not in self.namespace:
            raise ConfigError(
                f"--event-hub-namespace {self.namespace!r} is not a host name", hint="NAME.servicebus.windows.net"
            )
        if self.credential == "certificate":
            self._check_certificate()
        elif self.credential == "workload":
            self._check_workload()
        elif self.credential != "default":
            raise ConfigError(f"credential {self.credential!r}: default, workload, or certificate")

    def _check_connection_string(self) -> None:
        fields = dict(part.partition("=")[::2] for part in self.connection_string.split(";"))
        names = {name.strip().lower() for name, value in fields.items() if value}
        signed = {"sharedaccesskeyname", "sharedaccesskey"} <= names or "sharedaccesssignature" in names
        if "endpoint" not in names or not signed:
            raise ConfigError(
                "SEAWALL_EVENT_HUB_CONNECTION is not a connection string of Event Hubs",
                hint="Endpoint=sb://NAME.servicebus.windows.net/;SharedAccessKeyName=...;SharedAccessKey=...",
            )

    def _check_certificate(self) -> None:
        file = self.certificate_file
        if file is None or not self.tenant or not self.client:
            raise ConfigError(
                "--event-hub-credential certificate needs --event-hub-certificate, AZURE_TENANT_ID and AZURE_CLIENT_ID"
            )
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            text = file.read_bytes()
            x509.load_pem_x509_certificate(text)
            key = load_pem_private_key(text, None)
        except OSError as error:
            raise ConfigError(f"--event-hub-certificate {file} can not be read: {error.strerror}") from error
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"--event-hub-certificate {file} must hold a certificate and its private key without a password, both PEM"
            ) from error
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ConfigError(f"--event-hub-certificate {file}: Entra takes RSA keys only")

    def _check_workload(self) -> None:
        if self.token_file is None or not self.tenant or not self.client:
            raise ConfigError(
                "--event-hub-credential workload needs AZURE_FEDERATED_TOKEN_FILE, AZURE_TENANT_ID and AZURE_CLIENT_ID",
                hint="the webhook of workload identity sets them: label the pod azure.workload.identity/use=true",
            )


class EventHub:
    """Sends batches to Event Hubs, all of one sensor to one partition, in order. Fulfils `Transport`."""

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
            options: dict[str, Any] = {"retry_total": 0, "auth_timeout": self._timeout_s, "ssl_context": self._trust()}
            if settings.websockets or settings.proxy:
                options["transport_type"] = TransportType.AmqpOverWebsocket
            if settings.proxy:
                parts = urlsplit(settings.proxy)
                options["http_proxy"] = {"proxy_hostname": parts.hostname, "proxy_port": parts.port or 3128,
                                         "username": parts.username, "password": parts.password}  # fmt: skip
            if settings.connection_string:
                self._producer = EventHubProducerClient.from_connection_string(
                    settings.connection_string, eventhub_name=settings.hub, **options
                )
            else:
                self._producer = EventHubProducerClient(
                    settings.namespace, settings.hub, credential=self._credential(), **options
                )
        return self._producer

    def _trust(self) -> ssl.SSLContext:
        """The system's roots and `ca_file`: a Seawall server with a CA of its own stands beside Microsoft's hubs."""
        context = ssl.create_default_context()
        if self._settings.ca_file is not None:
            context.load_verify_locations(str(self._settings.ca_file))
        return context

    def _credential(self) -> Any:
        from azure.identity import CertificateCredential, DefaultAzureCredential, WorkloadIdentityCredential

        settings, options = self._settings, self._identity_options()
        if settings.credential == "workload":
            return WorkloadIdentityCredential(
                tenant_id=settings.tenant,
                client_id=settings.client,
                token_file_path=str(settings.token_file),
                **options,
            )
        if settings.credential == "certificate":
            return CertificateCredential(settings.tenant, settings.client, str(settings.certificate_file), **options)
        return DefaultAzureCredential(managed_identity_client_id=settings.client or None, **options)

    def _identity_options(self) -> dict[str, Any]:
        """How the token service is reached: through the same proxy, trusted by the same roots."""
        from azure.core.pipeline.transport import RequestsTransport
        from requests import Session
        from requests.adapters import HTTPAdapter

        context = self._trust()

        class Trusting(HTTPAdapter):
            def init_poolmanager(self, *args: Any, **more: Any) -> None:
                super().init_poolmanager(*args, ssl_context=context, **more)

            def proxy_manager_for(self, *args: Any, **more: Any) -> Any:
                return super().proxy_manager_for(*args, ssl_context=context, **more)

        session = Session()
        session.mount("https://", Trusting())
        options: dict[str, Any] = {"transport": RequestsTransport(session=session, session_owner=False)}
        if self._settings.proxy:
            # Of https only: the metadata service of a node is asked without, by http.
            options["proxies"] = {"https": self._settings.proxy}
        return options

    def close(self) -> None:
        """See `Transport`."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None
