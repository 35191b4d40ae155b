"""Where results are delivered to: the options of `run` into a spool, an identity and a transport.

Everything heavy (HTTP, certificates, AMQP) is imported by the delivering thread when the first batch waits: the hooks are
attached by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from seawall.domain.errors import ConfigError

from seawall_sensor.deliver import Delivery
from seawall_sensor.event_hub import EventHub, EventHubSettings
from seawall_sensor.host import read_text
from seawall_sensor.spool import Spool
from seawall_sensor.transports import Https, Transport

if TYPE_CHECKING:
    from seawall_sensor.enrol import Enrolment
    from seawall_sensor.host import Host

IDENTITY, SPOOL = "identity", "spool"
"""Folders in the state folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    """Who receives. `server` gives the sensor its certificate, and takes its batches unless `event_hub` does."""

    server: str
    state: Path
    token: str = ""
    token_file: Path | None = None
    ca_file: Path | None = None
    proxy: str = ""
    event_hub: EventHubSettings | None = None
    spool_bytes: int = 256 << 20
    spool_age_s: float = 72 * 3600.0
    max_pause_s: float = 60.0

    def check(self) -> None:
        """Find mistakes before anything is loaded.

        Raises:
            ConfigError: what is missing or wrong, and how to say it right.
        """
        parts = urlsplit(self.server)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ConfigError(f"--server {self.server!r} is not an address", hint="https://seawall.example:8440")
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ConfigError("--server must be https outside this machine", hint="an enrolment token travels to it")
        if self.event_hub is not None:
            self.event_hub.check()
        for name, file in (("--ca-file", self.ca_file), ("--enrolment-token-file", self.token_file)):
            if file is not None and not file.is_file() and (name == "--ca-file" or not self._enrolled):
                raise ConfigError(f"{name} {file}: there is no such file")
        if not self._enrolled and not self.token and self.token_file is None:
            raise ConfigError(
                f"this sensor is not enrolled yet ({self.state / IDENTITY} holds no certificate) and was given no token",
                hint="make one on the server with `seawall sensor token --cluster NAME`, give it by "
                "--enrolment-token-file or SEAWALL_ENROLMENT_TOKEN",
            )

    @property
    def _enrolled(self) -> bool:
        return (self.state / IDENTITY / "identity.pem").is_file()

    @property
    def cluster(self) -> str:
        """The cluster that this sensor was enrolled for; empty = not enrolled yet."""
        return read_text(self.state / IDENTITY / "cluster").strip()

    def open(self, host: Host, analytics: str) -> Delivery:
        """Return the delivery, its threads running. `analytics`: content id of what runs here, empty = nothing does.

        Raises:
            ConfigError: the state folder can not be written.
        """
        spool = Spool(self.state / SPOOL, boot=host.boot, max_bytes=self.spool_bytes, max_age_s=self.spool_age_s)

        @cache
        def enrolment() -> Enrolment:
            from seawall_sensor.enrol import Enrolment

            return Enrolment(
                self.state / IDENTITY,
                server=self.server,
                node=host.node,
                token=self.token,
                token_file=self.token_file,
                ca_file=self.ca_file,
                proxy=self.proxy,
            )

        transport: Transport = (
            EventHub(self.event_hub) if self.event_hub is not None else Https(self.server, enrolment, proxy=self.proxy)
        )
        return Delivery(
            spool, lambda: enrolment().credentials(), transport, analytics=analytics, max_backoff_s=self.max_pause_s
        )
