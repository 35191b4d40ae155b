"""AMQP in WebSockets, as Event Hubs takes it on 443: a TLS server that passes the frames on to a broker's plain port."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from aiohttp import WSMsgType, web

from tests.support.certificates import write_certificate


@contextmanager
def amqp_in_websockets(broker_port: int, folder: Path, *names: str) -> Iterator[tuple[int, Path]]:
    """Yield port and CA file of a server whose certificate is for `names`."""
    certificate, key = folder / "hub-ca.pem", folder / "hub-key.pem"
    write_certificate(certificate, key, *names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    ready, port, ends = threading.Event(), [0], []

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/$servicebus/websocket", partial(_bridge, broker_port))
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port[0] = runner.addresses[0][1]
        stop = asyncio.Event()
        ends.append((asyncio.get_running_loop(), stop))
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield port[0], certificate
    finally:
        loop, stop = ends[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


async def _bridge(broker_port: int, request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=("AMQPWSB10",))
    await socket.prepare(request)
    assert socket.ws_protocol == "AMQPWSB10"
    reader, writer = await asyncio.open_connection("127.0.0.1", broker_port)

    async def back() -> None:
        while piece := await reader.read(65536):
            await socket.send_bytes(piece)

    task = asyncio.create_task(back())
    try:
        async for message in socket:
            assert message.type is WSMsgType.BINARY
            writer.write(message.data)
    finally:
        task.cancel()
        writer.close()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await task
    return socket
