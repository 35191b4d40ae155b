"""A server of recorded answers: by method and path, pages by query."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Reply = tuple[int, Any]
Answerer = Callable[[str, str, dict[str, str], Any], Reply]


@dataclass
class Recorded:
    """Where it listens, and what was asked: method, path, query, body."""

    url: str
    host: str
    calls: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)


@contextmanager
def recorded(answer: Answerer) -> Iterator[Recorded]:
    """Serve `answer(method, path, query, body)`, which returns status and JSON value."""

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            server.calls.append((self.command, parts.path, query, body))
            status, value = answer(self.command, parts.path, query, body)
            raw = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = _reply

        def log_message(self, *_: object) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host = f"127.0.0.1:{listener.server_port}"
    server = Recorded(f"http://{host}", host)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
