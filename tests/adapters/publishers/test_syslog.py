"""CEF over UDP, TCP and TLS to real sockets."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seawall.adapters.publishers.syslog import cef, publisher
from seawall.adapters.sql.outbox import SqlOutbox
from seawall.app.publishing import PublishReport
from seawall.settings import Settings

from tests.support.certificates import write_certificate
from tests.support.ports import free_port
from tests.support.publishing import ALERT, TestClock, deliver, incident

FRAME = re.compile(rb"(\d+) ")


@contextmanager
def stream_server(context: ssl.SSLContext | None) -> Iterator[tuple[int, list[bytes]]]:
    received: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            connection, _ = listener.accept()
            if context:
                connection = context.wrap_socket(connection, server_side=True)
            with connection:
                while chunk := connection.recv(65536):
                    received.append(chunk)
        except OSError:
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1], received
    thread.join(5)
    listener.close()


def frames(raw: bytes) -> list[str]:
    found = []
    while raw:
        head = FRAME.match(raw)
        assert head
        end = head.end() + int(head[1])
        found.append(raw[head.end() : end].decode())
        raw = raw[end:]
    return found


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_octet_counted_messages(tmp_path: Path, outbox: SqlOutbox, clock: TestClock, transport: str) -> None:
    context, certificate = None, tmp_path / "cert.pem"
    if transport == "tls":
        write_certificate(certificate, tmp_path / "key.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, tmp_path / "key.pem")
    with stream_server(context) as (port, received):
        section = {"host": "localhost", "port": port, "transport": transport}
        if context:
            section["ca_file"] = certificate
        target = publisher(Settings(syslog=section), outbox, clock)
        assert deliver(target, outbox, clock, [incident(1), incident(2)]) == PublishReport(done=2)
    first, second = frames(b"".join(received))
    assert first.startswith("<107>1 2026-11-02T09:30:05.000Z ")
    assert "CEF:0|Seawall|Seawall|" in first
    assert "|Incident 2|8|" in second
    assert "suser=alice@acme.example src=203.0.113.9" in first


def test_udp(outbox: SqlOutbox, clock: TestClock) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        section = {"host": "127.0.0.1", "port": receiver.getsockname()[1], "transport": "udp"}
        target = publisher(Settings(syslog=section), outbox, clock)
        assert deliver(target, outbox, clock, [incident()]) == PublishReport(done=1)
        assert b"CEF:0|" in receiver.recv(65536)


def test_nobody_listens(outbox: SqlOutbox, clock: TestClock) -> None:
    target = publisher(Settings(syslog={"host": "127.0.0.1", "port": free_port()}), outbox, clock)
    assert deliver(target, outbox, clock, [incident(1), incident(2)]) == PublishReport(retried=2)


@given(title=st.text(), message=st.text(), actor=st.text(min_size=1))
def test_text_of_events_cannot_forge_fields(title: str, message: str, actor: str) -> None:
    from dataclasses import replace

    record = cef(incident(title=title, actors=(actor,)), [replace(ALERT, message=message)])
    header = re.split(r"(?<!\\)(?:\\\\)*\|", record, maxsplit=7)
    assert len(header) == 8
    assert header[6] == "8"
    assert "\n" not in record
    assert "\r" not in record
    keys = re.findall(r"(?:^| )(\w+)=", re.sub(r"\\.", "__", header[7]))
    assert keys[:4] == ["externalId", "start", "end", "cnt"]
    assert len(keys) == len(set(keys))
