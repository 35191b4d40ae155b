"""Which processes listen on TCP already when the sensor starts; later ones say so themselves (`Listen`)."""

from __future__ import annotations

import os
from collections.abc import Iterable

from seawall_sensor.host import read_text

_LISTEN = "0A"
_MAX_DESCRIPTORS = 256
"""Looked at per process: a server opens its listening sockets first."""
_MAX_PROCESSES = 4096


def listeners(pids: Iterable[int], proc: str = "/proc") -> set[int]:
    """Return those of `pids` that hold a listening TCP socket of their network namespace.

    Source: `/proc/PID/net/tcp` and `tcp6` (state 0A), `/proc/PID/fd`. Processes that end meanwhile are left out.
    """
    sockets: dict[int, frozenset[str]] = {}
    found = set()
    for pid in list(pids)[:_MAX_PROCESSES]:
        folder = f"{proc}/{pid}"
        try:
            namespace = os.stat(f"{folder}/ns/net").st_ino
            if namespace not in sockets:
                sockets[namespace] = _listening_sockets(folder)
            if sockets[namespace] and _holds(folder, sockets[namespace]):
                found.add(pid)
        except OSError:
            continue
    return found


def _listening_sockets(folder: str) -> frozenset[str]:
    rows = (line.split(None, 10) for name in ("tcp", "tcp6") for line in read_text(f"{folder}/net/{name}").splitlines())
    return frozenset(f"socket:[{row[9]}]" for row in rows if len(row) > 9 and row[3] == _LISTEN)


def _holds(folder: str, sockets: frozenset[str]) -> bool:
    for descriptor in os.listdir(f"{folder}/fd")[:_MAX_DESCRIPTORS]:
        try:
            if os.readlink(f"{folder}/fd/{descriptor}") in sockets:
                return True
        except OSError:
            continue
    return False
