"""The socket that `seawall serve` listens on."""

from __future__ import annotations

import asyncio
import socket

import pytest
from seawall.domain.errors import ConfigError
from seawall.server.run import listen


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """With Nagle's algorithm on, each answer of head and body takes 40 ms: the other side's delayed acknowledgement."""

    async def accepted() -> int:
        options: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def opened(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            options.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listen("127.0.0.1", 0) as listener:
            async with await asyncio.start_server(opened, sock=listener):
                _reader, writer = await asyncio.open_connection(*listener.getsockname())
                answer = await asyncio.wait_for(options, 10)
                writer.close()
                return answer

    assert asyncio.run(accepted())


def test_an_address_that_is_taken_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
            listen("127.0.0.1", port)
