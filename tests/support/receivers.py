"""A receiver of sensor batches on loopback: TLS with client certificates, faults on demand, verifies every batch."""

from __future__ import annotations

import ssl
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from seawall.app.enrol_sensor import enrol_sensor, renew_sensor
from seawall.domain.errors import SeawallError, Unauthenticated
from seawall.domain.runtime_events import Loss, RuntimeEvent
from seawall.formats.sensor_batch import decode_batch

from tests.support.certificates import write_certificate
from tests.support.sensors import Authority, MemorySensors


class Receiver:
    """`plan` holds what the next requests get: a status, "cut" (connection closed), "silent" (open, no answer), "cut-after" it was
    taken, or "slow"; then all is well."""

    def __init__(self, folder: Path, authority: Authority, now: Any, port: int = 0) -> None:
        self.authority, self.now = authority, now
        self.store = MemorySensors()
        self.plan: deque[int | str] = deque()
        self.retry_after = ""
        self.batches: dict[tuple[str, int], tuple[RuntimeEvent, ...]] = {}
        self.alerts: list[Any] = []
        self.repeats = 0
        self.requests: list[float] = []
        self.peers: list[str] = []
        self.ca = folder / "server.pem"
        if not self.ca.exists():
            write_certificate(self.ca, folder / "server.key")
        (folder / "authority.pem").write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, folder / "server.key")
        context.load_verify_locations(folder / "authority.pem")
        context.verify_mode = ssl.CERT_OPTIONAL
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver.requests.append(time.monotonic())
                body = self.rfile.read(int(self.headers["content-length"]))
                fault = receiver.plan.popleft() if receiver.plan and self.path.endswith("/sensor") else None
                self.close_connection = fault in ("cut", "cut-after")
                if fault in ("cut", "silent"):
                    return
                if fault == "slow":
                    time.sleep(0.3)
                status, answer = (fault, b"{}") if isinstance(fault, int) else receiver.take(self, body)
                if fault == "cut-after":
                    return
                self.send_response(status)
                if isinstance(fault, int) and receiver.retry_after:
                    self.send_header("retry-after", receiver.retry_after)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass

            def finish_request(self, request: Any, client_address: Any) -> None:
                with context.wrap_socket(request, server_side=True) as connection:
                    super().finish_request(connection, client_address)

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"https://localhost:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def take(self, handler: Any, body: bytes) -> tuple[int, bytes]:
        """Answer one request as the real doors do."""
        try:
            if handler.path.endswith("/enrol"):
                asked = msgspec.json.decode(body)
                token = handler.headers["authorization"].removeprefix("Bearer ")
                found = enrol_sensor(token=token, csr=asked["csr"], node=asked["node"], store=self.store, authority=self.authority, now=self.now())  # fmt: skip
                return 200, msgspec.json.encode(found)
            if handler.path.endswith("/renew"):
                asked = msgspec.json.decode(body)
                return 200, msgspec.json.encode(
                    renew_sensor(**asked, store=self.store, authority=self.authority, now=self.now())
                )
            if not handler.connection.getpeercert():
                return 401, b"no client certificate"
            self.peers.append(str(handler.connection.getpeercert()["subject"]))
            batch = decode_batch(body, self.authority.trust(self.now()))
        except Unauthenticated as error:
            return 401, str(error).encode()
        except SeawallError as error:
            return 400, str(error).encode()
        key = (batch.header.stream, batch.header.batch)
        if key in self.batches:
            self.repeats += 1
        self.batches[key] = batch.events
        self.alerts += batch.alerts
        return 202, b"{}"

    def events(self) -> list[RuntimeEvent]:
        """What arrived, once each."""
        return [event for events in list(self.batches.values()) for event in events if not isinstance(event, Loss)]

    def lost(self) -> int:
        """What was counted as lost."""
        return sum(event.lost for events in list(self.batches.values()) for event in events if isinstance(event, Loss))

    def until(self, enough: Any, timeout_s: float = 60.0) -> None:
        """Wait until `enough(self)`."""
        end = time.monotonic() + timeout_s
        while not enough(self):
            assert time.monotonic() < end, (len(self.batches), self.lost(), len(self.requests))
            time.sleep(0.02)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
