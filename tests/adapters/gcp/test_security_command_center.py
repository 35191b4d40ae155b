"""Findings by PATCH to a server that speaks the API's form."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from seawall.adapters.gcp.security_command_center import SecurityCommandCenterPublisher, finding_id
from seawall.adapters.rest import JsonHttp
from seawall.adapters.sql.outbox import SqlOutbox
from seawall.app.publishing import PublishReport
from seawall.domain.severity import Severity
from seawall.settings import SecurityCommandCenterSettings

from tests.support.publishing import TestClock, deliver, incident

SOURCE = "organizations/1/sources/2"


class Api:
    def __init__(self) -> None:
        self.findings: dict[str, dict[str, Any]] = {}
        self.fail: list[int] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_PATCH(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = api.fail.pop(0) if api.fail else 200
                name = re.fullmatch(rf"/v2/{SOURCE}/locations/global/findings/([a-zA-Z0-9]{{1,32}})", self.path)
                if self.headers["Authorization"] != "Bearer token":
                    status = 401
                elif name is None:
                    status = 404
                elif status == 200:
                    api.findings[name[1]] = body
                raw = json.dumps(body if status == 200 else {"error": {"code": status, "message": "no"}}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def target(api: Api) -> SecurityCommandCenterPublisher:
    http = JsonHttp(api.url, lambda: "token", needs="securitycenter.findings.update")
    return SecurityCommandCenterPublisher(SecurityCommandCenterSettings(source=SOURCE), http)


def test_an_incident_is_one_finding(
    api: Api, target: SecurityCommandCenterPublisher, outbox: SqlOutbox, clock: TestClock
) -> None:
    deliver(target, outbox, clock, [incident(seq=1), incident(seq=2, severity=Severity.CRITICAL)])
    finding = api.findings[finding_id(incident().id)]
    assert (finding["severity"], finding["state"], finding["findingClass"]) == ("CRITICAL", "ACTIVE", "THREAT")
    deliver(target, outbox, clock, [incident(seq=3, status="closed")])
    assert api.findings[finding_id(incident().id)]["state"] == "INACTIVE"
    assert len(api.findings) == 1


def test_a_refusal_ends_the_round_and_names_the_permission(
    api: Api, target: SecurityCommandCenterPublisher, outbox: SqlOutbox, clock: TestClock
) -> None:
    api.fail = [403]
    assert deliver(target, outbox, clock, [incident(1), incident(2)]) == PublishReport(retried=2)
    with outbox._db.read() as connection:
        assert "securitycenter.findings.update" in connection.exec_driver_sql("SELECT reason FROM outbox").scalar()
    api.fail = [400]
    clock.advance(minutes=5)
    assert deliver(target, outbox, clock) == PublishReport(done=1, poisoned=1)
