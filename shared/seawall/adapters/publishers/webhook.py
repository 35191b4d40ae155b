"""A generic webhook: incidents as CloudEvents, signed by HMAC-SHA256 over time and body."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence

import httpx
import msgspec

from seawall.domain.alerts import Alert, Incident
from seawall.domain.errors import Denied, InputError, NotFound, Unavailable
from seawall.domain.publishing import incident_document
from seawall.formats.cloudevents import INCIDENTS_CHANGED
from seawall.ports.clock import Clock
from seawall.ports.outbox import Outbox
from seawall.settings import Settings, WebhookPublisherSettings

SIGNATURE = "X-Seawall-Signature"
"""`t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">`: receivers refuse old times to stop replays."""


class Webhook:
    """POSTs each state change; receivers tell repeats by the CloudEvent's id (`<incident>/<seq>`)."""

    id = "webhook"

    def __init__(self, settings: WebhookPublisherSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._client = httpx.Client(
            timeout=settings.timeout_s, follow_redirects=False, headers={"User-Agent": "seawall"}
        )

    def publish(self, incident: Incident, alerts: Sequence[Alert]) -> None:
        """See the port."""
        event = {
            "specversion": "1.0",
            "id": f"{incident.id}/{incident.seq}",
            "source": "/seawall",
            "type": INCIDENTS_CHANGED,
            "subject": incident.id,
            "time": incident.last_seen.isoformat(),
            "datacontenttype": "application/json",
            "data": msgspec.to_builtins(incident_document(incident, alerts)),
        }
        body = json.dumps(event, separators=(",", ":"), default=str).encode()
        stamp = str(int(self._clock.now().timestamp()))
        headers = {
            "Content-Type": "application/cloudevents+json",
            SIGNATURE: f"t={stamp},v1={signature(self._settings, stamp, body)}",
        }
        try:
            answer = self._client.post(self._settings.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable(f"the webhook did not answer: {type(error).__name__}") from error
        if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
            after = answer.headers.get("retry-after", "")
            raise Unavailable(
                f"the webhook answered {answer.status_code}", retry_after_s=float(after) if after.isdigit() else None
            )
        if answer.status_code in (401, 403):
            raise Denied(f"the webhook refused: {answer.status_code}", hint="check webhook.secret and the receiver")
        if answer.status_code in (404, 405, 410):
            raise NotFound(f"the webhook answered {answer.status_code}", hint="check webhook.url")
        if answer.status_code >= 300:
            raise InputError(f"the webhook refused: {answer.status_code}")


def signature(settings: WebhookPublisherSettings, stamp: str, body: bytes) -> str:
    """Hex HMAC-SHA256 of "<stamp>.<body>" under the webhook's secret."""
    return hmac.new(
        settings.secret.get_secret_value().encode(), stamp.encode() + b"." + body, hashlib.sha256
    ).hexdigest()


def publisher(settings: Settings, _outbox: Outbox, clock: Clock) -> Webhook:
    """See `seawall.ports.publisher.Destination`."""
    assert settings.webhook is not None
    return Webhook(settings.webhook, clock)
