"""One HTTP request through an ASGI application, for hosts that call a function per request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

from seawall.domain.errors import SeawallError

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Response:
    """What the application answered; header names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def call(
    app: Any,
    *,
    method: str,
    path: str,
    query: bytes,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    client: str = "",
) -> Response:
    """Return the application's answer to one request, body complete; for use outside of any event loop."""
    return asyncio.run(_call(app, method, path, query, headers, body, client))


async def _call(
    app: Any, method: str, path: str, query: bytes, headers: Iterable[tuple[str, str]], body: bytes, client: str
) -> Response:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method.upper(),
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers],
        "client": (client, 0) if client else None,
        "server": None,
    }
    sent = False
    start: MutableMapping[str, Any] = {}
    parts: list[bytes] = []

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await asyncio.sleep(3600)
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["type"] == "http.response.body":
            parts.append(bytes(message.get("body", b"")))

    await app(scope, receive, send)
    if "status" not in start:
        raise SeawallError("the application did not answer")
    answered = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in start["headers"])
    return Response(int(start["status"]), answered, b"".join(parts))
