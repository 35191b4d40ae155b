"""Cards in Slack and Teams, posted to a real HTTP server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from seawall.adapters.publishers.chat import ChatPublisher, slack, slack_card, teams, teams_card
from seawall.adapters.sql.outbox import SqlOutbox
from seawall.app.publishing import PublishReport
from seawall.domain.severity import Severity
from seawall.settings import Settings

from tests.support.publishing import ALERT, TestClock, deliver, incident


class Receiver:
    """Keeps what is posted; answers with `statuses` in turn, then 200."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.statuses: list[tuple[int, dict[str, str]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, headers = receiver.statuses.pop(0) if receiver.statuses else (200, {})
                if status == 200:
                    receiver.posted.append(body)
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/secret-path"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(params=["slack", "teams"])
def target(request: pytest.FixtureRequest, receiver: Receiver, outbox: SqlOutbox, clock: TestClock) -> ChatPublisher:
    section = {"url": receiver.url, "minimum": "medium", "console_url": "https://seawall.example"}
    factory = {"slack": slack, "teams": teams}[request.param]
    return factory(Settings(**{request.param: section}), outbox, clock)


def test_people_hear_of_new_and_worse_incidents_only(
    receiver: Receiver, target: ChatPublisher, outbox: SqlOutbox, clock: TestClock
) -> None:
    for number, severity in enumerate([Severity.MEDIUM, Severity.MEDIUM, Severity.CRITICAL, Severity.CRITICAL], 1):
        deliver(target, outbox, clock, [incident(seq=number, severity=severity)])
    deliver(target, outbox, clock, [incident(2, severity=Severity.LOW), incident(3, status="closed")])
    assert len(receiver.posted) == 2
    assert "https://seawall.example/incidents/" in json.dumps(receiver.posted[0])


@pytest.mark.parametrize(
    ("status", "headers", "report"),
    [
        pytest.param(429, {"Retry-After": "30"}, PublishReport(retried=2), id="too fast: the second is not even tried"),
        pytest.param(503, {}, PublishReport(retried=2), id="down"),
        pytest.param(404, {}, PublishReport(retried=2), id="webhook is gone"),
        pytest.param(400, {}, PublishReport(done=1, poisoned=1), id="refused card"),
    ],
)
def test_refusals(
    receiver: Receiver,
    target: ChatPublisher,
    outbox: SqlOutbox,
    clock: TestClock,
    status: int,
    headers: dict[str, str],
    report: PublishReport,
) -> None:
    receiver.statuses = [(status, headers)]
    assert deliver(target, outbox, clock, [incident(1), incident(2)]) == report
    with outbox._db.read() as connection:
        reasons = connection.exec_driver_sql("SELECT reason FROM outbox").scalars().all()
    assert not any("secret-path" in reason for reason in reasons), "the URL is the secret"


def test_text_of_events_is_no_markup() -> None:
    hostile = incident(title="<!channel> & [click](https://evil.example)", actors=("<@U1>",))
    text = json.dumps(slack_card(hostile, [ALERT], "")["blocks"][1:])
    assert "<@U1>" not in text
    assert "&lt;@U1&gt;" in text
    card = json.dumps(teams_card(hostile, [ALERT], ""))
    assert "[click](" not in card


def test_cards_stay_within_the_limits() -> None:
    long = incident(title="x" * 9000, actors=tuple(f"user-{n}" for n in range(5000)))
    blocks = slack_card(long, [ALERT] * 50, "https://seawall.example")["blocks"]
    assert len(blocks[0]["text"]["text"]) <= 150
    assert all(len(block["text"]["text"]) <= 3000 for block in blocks if block["type"] == "section")
