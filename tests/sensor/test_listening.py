"""Who listens, read from the real `/proc`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from seawall_sensor.listening import listeners


def test_only_the_holder_of_a_listening_socket_listens():
    with (
        socket.create_server(("127.0.0.1", 0)),
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
    ):
        assert listeners([os.getpid(), other.pid, 2**22 + 1]) == {os.getpid()}
        assert other.stdin is not None
        other.stdin.close()


def test_a_connected_or_unbound_socket_is_none():
    with subprocess.Popen(
        [sys.executable, "-c", "import socket; s = socket.socket(); s.bind(('', 0)); input()"], stdin=subprocess.PIPE
    ) as other:
        assert listeners([other.pid]) == set()
        assert other.stdin is not None
        other.stdin.close()
