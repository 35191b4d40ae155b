"""Fixtures that start real servers and doubles on loopback; each says what it needs through `real(...)` of its tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from seawall.adapters.sql.outbox import SqlOutbox

from tests.support.ports import free_port, listens, wait_until
from tests.support.publishing import TestClock, outbox_at

NPM = Path(__file__).parent / "npm"


def azurite_program() -> str | None:
    """Where Azurite is: on the path, or installed by `npm ci --prefix tests/support/npm`."""
    local = NPM / "node_modules/.bin/azurite"
    return str(local) if local.exists() else shutil.which("azurite")


@dataclass(frozen=True)
class Azurite:
    """A running Azurite."""

    blob: str
    queue: str
    table: str
    key: str

    @property
    def connection_string(self) -> str:
        """For every storage client of the Azure SDK."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={self.key};"
            f"BlobEndpoint={self.blob};QueueEndpoint={self.queue};TableEndpoint={self.table};"
        )


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Blobs, queues and tables of Azure Storage: Microsoft's own emulator."""
    program = azurite_program()
    assert program, "mark the test real('azurite')"
    ports = {kind: free_port() for kind in ("blob", "queue", "table")}
    arguments = [word for kind, port in ports.items() for word in (f"--{kind}Port", str(port))]
    process = subprocess.Popen(
        [program, "--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", *arguments],
        cwd=tmp_path_factory.mktemp("azurite"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: all(listens(port) for port in ports.values()), 60, "Azurite")
        urls = {kind: f"http://127.0.0.1:{port}/devstoreaccount1" for kind, port in ports.items()}
        # The account key that Microsoft publishes for its emulator.
        key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
        yield Azurite(**urls, key=key)
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """AWS APIs: URL of a moto server."""
    port = free_port()
    log = (tmp_path_factory.mktemp("moto") / "log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
    )
    try:
        wait_until(lambda: listens(port), 60, "moto")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)
        log.close()


@pytest.fixture
def clock() -> TestClock:
    """A clock that stands still until it is told to move."""
    return TestClock()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[SqlOutbox]:
    """An outbox of its own."""
    with outbox_at(tmp_path) as opened:
        yield opened


@pytest.fixture
def aws_environment(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Environment that sends every AWS client to moto; also set for this process."""
    values = {
        "AWS_ENDPOINT_URL": moto_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-west-1",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without Seawall's settings, plus `more`: for child processes."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")} | more
