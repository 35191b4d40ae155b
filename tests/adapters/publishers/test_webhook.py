"""The generic webhook against a real HTTP server."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import SecretStr
from seawall.adapters.publishers.webhook import SIGNATURE, Webhook
from seawall.app.publishing import outcome_of
from seawall.domain.alerts import Incident
from seawall.domain.errors import Denied, InputError, NotFound, Unavailable
from seawall.domain.publishing import State
from seawall.domain.severity import Severity
from seawall.settings import WebhookPublisherSettings

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
INCIDENT = Incident("incident-1", "A took B", Severity.HIGH, NOW, NOW, ("alert-1",), seq=3)


class Fixed:
    def now(self) -> datetime:
        return NOW


class Receiver(HTTPServer):
    status = 200
    after = ""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        self.send_response(self.server.status)
        if self.server.after:
            self.send_header("Retry-After", self.server.after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def webhook(receiver: Receiver) -> Webhook:
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    return Webhook(WebhookPublisherSettings(url=url, secret=SecretStr("s3cret")), Fixed())


def test_a_delivery_is_a_signed_cloudevent(receiver) -> None:
    webhook(receiver).publish(INCIDENT, [])
    ((headers, body),) = receiver.got
    event = json.loads(body)
    assert (event["id"], event["type"]) == ("incident-1/3", "io.seawall.incidents.changed")
    assert event["data"]["incident"]["title"] == "A took B"
    stamp = str(int(NOW.timestamp()))
    expected = hmac.new(b"s3cret", stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers[SIGNATURE] == f"t={stamp},v1={expected}"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_failures_that_pass_are_tried_again(receiver, status) -> None:
    receiver.status, receiver.after = status, "7"
    with pytest.raises(Unavailable) as caught:
        webhook(receiver).publish(INCIDENT, [])
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize(("status", "kind"), [(401, Denied), (403, Denied), (404, NotFound), (410, NotFound)])
def test_a_receiver_that_is_set_up_wrongly_costs_no_incident(receiver, status, kind) -> None:
    receiver.status = status
    with pytest.raises(kind, match=str(status)) as caught:
        webhook(receiver).publish(INCIDENT, [])
    assert outcome_of(caught.value).state is State.RETRY


@pytest.mark.parametrize("status", [301, 400, 413])
def test_refusals_are_final(receiver, status) -> None:
    receiver.status = status
    with pytest.raises(InputError, match=str(status)):
        webhook(receiver).publish(INCIDENT, [])


def test_nobody_listens() -> None:
    settings = WebhookPublisherSettings(url="http://127.0.0.1:9/", secret=SecretStr("x"))
    with pytest.raises(Unavailable, match="did not answer"):
        Webhook(settings, Fixed()).publish(INCIDENT, [])
