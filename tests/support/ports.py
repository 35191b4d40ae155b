"""Free ports and waiting for servers."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from pathlib import Path

_given: set[int] = set()
_random = random.SystemRandom()  # tests that are seeded would all ask for the same ports


def _below_ephemeral() -> int:
    """The first port that the kernel gives to outgoing connections: one of those takes a port between asking and listening."""
    try:
        return max(int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]), 20000)
    except OSError:
        return 32768


def free_port() -> int:
    """Return a TCP port on the loopback address that is free now; never one that this process was given before."""
    end = _below_ephemeral()
    for _ in range(1000):
        port = _random.randrange(15000, end)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise OSError("no port of the loopback address is free")


def wait_until(ready: Callable[[], bool], timeout_s: float = 60, what: str = "the server") -> None:
    """Return when `ready()` is true; fail with `what` after `timeout_s`."""
    end = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} was not ready in {timeout_s} s")
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether something accepts connections on `port`."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
