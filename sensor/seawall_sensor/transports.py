"""How a batch travels: HTTPS with mutual TLS here, Event Hubs in `seawall_sensor.event_hub`."""

from __future__ import annotations

import ssl
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol

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
