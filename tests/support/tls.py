"""Doubles of HTTPS services: a server with a certificate of its own, and a proxy that leads every name to it."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.certificates import write_certificate

Answer = tuple[int, dict[str, str], bytes]
Answers = Callable[["Request"], Answer]


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


@dataclass
class Service:
    """A running double."""

    port: int
    ca_file: Path
    requests: list[Request] = field(default_factory=list)


@contextmanager
def http_service(answers: Answers) -> Iterator[Service]:
    """Yield a double without TLS."""
    with _running(answers, None, Path()) as service:
        yield service


@contextmanager
def https_service(answers: Answers, folder: Path, *names: str) -> Iterator[Service]:
    """Yield a double whose certificate is for localhost, 127.0.0.1 and `names`."""
    ca_file, key_file = folder / "ca.pem", folder / "key.pem"
    write_certificate(ca_file, key_file, *names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    with _running(answers, context, ca_file) as service:
        yield service


@contextmanager
def _running(answers: Answers, context: ssl.SSLContext | None, ca_file: Path) -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, self.rfile.read(length))
            service.requests.append(request)
            status, more, body = answers(request)
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = answer

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that does not trust the certificate hangs up."""

    server = Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    service = Service(server.server_port, ca_file)
    with _served(server):
        yield service


@contextmanager
def proxy_to(port: int, **others: int) -> Iterator[tuple[str, list[str]]]:
    """Yield the URL of an HTTP proxy and the names it was asked for; every tunnel ends at `port` of this machine, those
    to a name whose first label is among `others` at that one's."""
    asked: list[str] = []

    class Tunnel(socketserver.StreamRequestHandler):
        rbufsize = 0

        def handle(self) -> None:
            verb, target, _ = self.rfile.readline().decode().split()
            while self.rfile.readline().strip():
                pass
            asked.append(f"{verb} {target}")
            to = others.get(target.partition(".")[0], port)
            with socket.create_connection(("127.0.0.1", to)) as far, contextlib.suppress(OSError):
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                ends = {self.connection: far, far: self.connection}
                while True:
                    for ready in select.select(list(ends), [], [])[0]:
                        piece = ready.recv(65536)
                        if not piece:
                            return
                        ends[ready].sendall(piece)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Tunnel)
    with _served(server):
        yield f"http://127.0.0.1:{server.server_address[1]}", asked


@contextmanager
def _served(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
