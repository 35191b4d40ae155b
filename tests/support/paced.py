"""A paced sender of HTTP requests for benchmarks, a process of its own: `python -m tests.support.paced PORT PATH RATE SECONDS < bodies`.

Bodies come as JSON lines of strings. For each request it prints two numbers, in milliseconds:

* what a caller waited: from when the request was due to when the sender had read the answer; what the sender itself was late
  counts, so it is an upper bound;
* what the server took: from when the request was handed to the kernel to when the kernel had the answer (`SO_TIMESTAMPNS`),
  whenever the sender got to read it. Where no connection was free when a request was due, from when it was due: a server
  that stalls is not flattered.
"""

from __future__ import annotations

import json
import selectors
import socket
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; the kernel's time of the last byte that was read, CLOCK_REALTIME
CONNECTIONS = 64
_TIMESPEC = struct.Struct("qq")


@dataclass(slots=True)
class _Request:
    due: float
    begun: float
    got: bytes = b""


def send(port: int, path: str, rate: int, count: int, bodies: list[bytes], expect: bytes) -> list[tuple[float, float]]:
    """Return (seconds a caller waited, seconds the server took) of each request.

    Raises:
        AssertionError: an answer is not 200 or does not have `expect` in it.
    """
    selector = selectors.EpollSelector()
    free: deque[socket.socket] = deque()
    for _ in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        free.append(connection)
    requests = [
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies
    ]
    times: list[tuple[float, float]] = []
    waited = False
    begin, sent = time.time() + 0.2, 0
    while len(times) < count:
        now = time.time()
        while sent < count and free and (due := begin + sent / rate) <= now:
            connection = free.popleft()
            request = _Request(due, due if waited else time.time())
            connection.sendall(requests[sent % len(requests)])
            selector.register(connection, selectors.EVENT_READ, request)
            sent += 1
        waited = not free and sent < count and begin + sent / rate <= now
        rest = begin + sent / rate - time.time() if sent < count and free else 1.0
        for key, _events in selector.select(max(rest, 0.0)):
            if _answered(key, expect, times):
                assert isinstance(key.fileobj, socket.socket)
                selector.unregister(key.fileobj)
                free.append(key.fileobj)
    return times


def _answered(key: selectors.SelectorKey, expect: bytes, times: list[tuple[float, float]]) -> bool:
    """Read what came; whether the answer is whole."""
    assert isinstance(key.fileobj, socket.socket)
    request: _Request = key.data
    data, control, _flags, _address = key.fileobj.recvmsg(65536, 64)
    assert data, "the server closed the connection"
    request.got += data
    head, _, body = request.got.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None)
    if length is None or len(body) < length:
        return False
    assert b" 200 " in head.partition(b"\r\n")[0], request.got[:300]
    assert expect in body, request.got[:300]
    stamp = next((value for _level, kind, value in control if kind == SO_TIMESTAMPNS), b"")
    seconds, nanoseconds = _TIMESPEC.unpack(stamp)
    times.append((time.time() - request.due, seconds + nanoseconds / 1e9 - request.begun))
    return True


def main() -> None:
    """Send what stands in the arguments and print the times as JSON."""
    port, path, rate, seconds, expect = sys.argv[1:]
    bodies = [json.loads(line).encode() for line in sys.stdin]
    times = send(int(port), path, int(rate), int(rate) * int(seconds), bodies, expect.encode())
    json.dump([(waited * 1e3, took * 1e3) for waited, took in times], sys.stdout)


if __name__ == "__main__":
    main()
