"""Who may use which door."""

from __future__ import annotations

import time
from base64 import b64encode

import pytest
from seawall.domain.errors import TooLarge, Unauthenticated
from seawall.server.security import bounded_body, new_session, require_reader, require_secret
from starlette.requests import Request


def request(
    headers: dict[str, str] | None = None, *, client: str = "127.0.0.1", query: str = "", chunks: tuple[bytes, ...] = ()
) -> Request:
    sent = {"Host": "localhost"} | (headers or {})
    raw = [(name.lower().encode(), value.encode()) for name, value in sent.items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": raw,
        "client": (client, 1),
        "query_string": query.encode(),
    }
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    return Request(scope, receive)


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param({"Authorization": "Bearer right"}, id="bearer"),
        pytest.param({"Authorization": "Basic " + b64encode(b"any:right").decode()}, id="basic"),
        pytest.param({"X-Seawall-Token": "right"}, id="header"),
        pytest.param({"X-JFrog-Event-Auth": "right"}, id="jfrog"),
    ],
)
def test_the_secret_opens_the_door(shown) -> None:
    require_secret(request(shown), "right", "door")


def test_the_secret_in_an_unguessable_url() -> None:
    require_secret(request(query="token=right"), "right", "door")


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param({}, id="none"),
        pytest.param({"Authorization": "Bearer wrong"}, id="wrong"),
        pytest.param({"Authorization": "Bearer righ"}, id="prefix"),
        pytest.param({"Authorization": "Basic !!!"}, id="not base64"),
        pytest.param({"Authorization": "Bearer"}, id="empty"),
        pytest.param({"X-Seawall-Token": "r\u00efght"}, id="not ascii"),
    ],
)
def test_anything_else_does_not(shown) -> None:
    with pytest.raises(Unauthenticated):
        require_secret(request(shown), "right", "door")


def test_a_door_without_a_secret_is_closed() -> None:
    with pytest.raises(Unauthenticated, match="closed"):
        require_secret(request({"Authorization": "Bearer "}), "", "door")


@pytest.mark.parametrize(
    ("made", "token", "allowed"),
    [
        pytest.param(request(), "", True, id="this machine, no token set"),
        pytest.param(request(client="::1"), "", True, id="this machine over IPv6"),
        pytest.param(request(client="203.0.113.9"), "", False, id="another machine, no token set"),
        pytest.param(request({"X-Forwarded-For": "203.0.113.9"}), "", False, id="through a proxy on this machine"),
        pytest.param(request(), "t", False, id="this machine, token set, not shown"),
        pytest.param(request({"Authorization": "Bearer t"}, client="203.0.113.9"), "t", True, id="token shown"),
        pytest.param(
            request({"Cookie": f"seawall_session={new_session('t', time.time())}"}, client="203.0.113.9"),
            "t",
            True,
            id="session",
        ),
        pytest.param(request({"Cookie": "seawall_session=t"}), "t", False, id="not a session"),
        pytest.param(request({"Host": "rebound.example"}), "", False, id="this machine under another name"),
    ],
)
def test_readers(made, token, allowed) -> None:
    if allowed:
        require_reader(made, token)
    else:
        with pytest.raises(Unauthenticated):
            require_reader(made, token)


async def _body(made: Request, limit: int) -> bytes:
    return await bounded_body(made, limit)


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(request({"Content-Length": "11"}), id="declared"),
        pytest.param(request(chunks=(b"12345", b"67890", b"1")), id="while it arrives"),
        pytest.param(request({"Content-Length": "3"}, chunks=(b"12345678901",)), id="more than declared"),
    ],
)
def test_oversized_bodies(made) -> None:
    import asyncio

    with pytest.raises(TooLarge):
        asyncio.run(_body(made, 10))


def test_a_body_of_just_the_limit() -> None:
    import asyncio

    assert asyncio.run(_body(request(chunks=(b"12345", b"67890")), 10)) == b"1234567890"
