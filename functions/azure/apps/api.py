"""API, console and webhooks: the same application as `seawall serve`, made at the first request."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from apps.shell import SETTINGS, application

Message = dict[str, Any]


@cache
def _app() -> Any:
    from seawall.server.app import create_app

    return create_app(application(), SETTINGS)


async def asgi(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """An ASGI application that is loaded when it is first asked for something."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await _app()(scope, receive, send)
