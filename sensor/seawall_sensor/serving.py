"""`/metrics` (Prometheus text, version 0.0.4) and `/healthz` of a running sensor, on localhost unless told otherwise."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from seawall.domain.errors import ConfigError

Samples = Mapping[str, float | Mapping[str, float]]
"""Name of a metric: its value, or values by label set as the text between the braces. Names that end in `_total` count."""


def rendered(samples: Samples) -> str:
    """Return samples as Prometheus reads them."""
    lines = []
    for name, value in samples.items():
        lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
        if isinstance(value, Mapping):
            lines += [
                f"{name}{{{labels}}} {each:g}" if labels else f"{name} {each:g}" for labels, each in value.items()
            ]
        else:
            lines.append(f"{name} {value:.17g}")
    return "\n".join([*lines, ""])


class StatusServer:
    """Answers from a thread of its own. `health` returns what is wrong, empty = nothing."""

    def __init__(self, address: str, samples: Callable[[], Samples], health: Callable[[], str]) -> None:
        """`address` is `host:port`, an IPv6 host with or without brackets; port 0 takes a free one.

        Raises:
            ConfigError: not an address, or taken.
        """
        host, _, port = address.rpartition(":")
        host = host.strip("[]") or "127.0.0.1"
        if not port.isdecimal() or int(port) > 65535:
            raise ConfigError(f"{address!r} is not host:port", hint="127.0.0.1:9440")

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, rendered(samples()), "text/plain; version=0.0.4; charset=utf-8")
                elif self.path == "/healthz":
                    wrong = health()
                    self._answer(503 if wrong else 200, f"{wrong or 'ok'}\n", "text/plain; charset=utf-8")
                else:
                    self._answer(404, "not found: /metrics and /healthz are here\n", "text/plain; charset=utf-8")

            def _answer(self, status: int, text: str, kind: str) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: scrapes are not news."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

            def handle_error(self, *_: object) -> None:
                """A client that went away is not news either."""

        try:
            self._server = Server((host, int(port)), Handler)
        except OSError as error:
            raise ConfigError(f"can not listen on {address}: {error.strerror}") from error
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="status", daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
