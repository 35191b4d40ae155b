"""Heartbeats become monitored vCores per hour: once each, whatever arrives how often, and no sensor can make them up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from seawall.app.application import Application
from seawall.app.enrol_sensor import create_token
from seawall.app.meter import MOST_VCORES
from seawall.bootstrap import bootstrap
from seawall.cli.main import build
from seawall.domain.runtime_events import NO_PROCESS, Heartbeat
from seawall.formats.sensor_batch import encode_batch, identity_of
from seawall.formats.sensor_certificate import make_request
from seawall.settings import Settings
from typer.testing import CliRunner

from demo.sensor import CertificateSigner

NOW = datetime.now(UTC)
HOUR = NOW.replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    opened = bootstrap(Settings(data_dir=tmp_path / "data"))
    yield opened
    opened.close()


class Sensor:
    """An enrolled sensor that sends heartbeats."""

    def __init__(self, application: Application, node: str, cluster: str = "prod") -> None:
        self._application, self._node, self._number = application, node, 0
        self._key = ec.generate_private_key(ec.SECP256R1())
        token = create_token(application.store.sensors, cluster=cluster, now=NOW, lifetime=timedelta(hours=1))
        enrolled = application.doors.enrol_sensor(token, make_request(self._key, node).decode(), node)
        self._certificate = x509.load_pem_x509_certificate(enrolled.certificate.encode())

    def beat(self, *cpus: int, at: datetime = HOUR, claims: str = "") -> bytes:
        self._number += 1
        events = [
            Heartbeat(
                ts_ns=int(at.timestamp() * 1e9), process=NO_PROCESS, node=claims or self._node,
                cluster=claims or "prod", boot="b", state="ok", cpus=count,
            )
            for count in cpus
        ]  # fmt: skip
        body = encode_batch(
            events, signer=CertificateSigner(self._key, self._certificate), identity=identity_of(self._certificate),
            boot="b", stream="s", batch=self._number, created_ns=int(NOW.timestamp() * 1e9),
        )  # fmt: skip
        self._application.detection.sensor(body, datetime.now(UTC))
        return body


def usage(application: Application) -> dict[str, dict[str, object]]:
    found = application.usage(HOUR - timedelta(days=10), HOUR + timedelta(hours=2))
    return {str(item["cluster"]): item for item in found}


def test_hours_are_counted_once(application: Application) -> None:
    one, two = Sensor(application, "node-1"), Sensor(application, "node-2")
    body = one.beat(4, 4, 4)
    one.beat(4, at=HOUR + timedelta(seconds=1))
    application.detection.sensor(body, datetime.now(UTC))
    two.beat(8)
    two.beat(8, at=HOUR - timedelta(hours=1))
    Sensor(application, "other", "test").beat(2)
    found = usage(application)
    assert found["prod"] == {
        "cluster": "prod", "vcore_hours": 20, "hours": 2, "nodes": 2, "peak_vcores": 12, "average_vcores": 10.0,
    }  # fmt: skip
    assert found["test"]["vcore_hours"] == 2
    assert application.monitored_vcores() == {"prod": 12, "test": 2}


def test_a_node_that_grew_counts_what_it_had_most(application: Application) -> None:
    sensor = Sensor(application, "node-1")
    sensor.beat(4)
    sensor.beat(8)
    sensor.beat(2)
    assert usage(application)["prod"]["vcore_hours"] == 8


@pytest.mark.parametrize(
    ("cpus", "at", "vcores"),
    [
        pytest.param(0, HOUR, None, id="does not say"),
        pytest.param(-4, HOUR, None, id="negative"),
        pytest.param(1 << 40, HOUR, MOST_VCORES, id="absurd"),
        pytest.param(4, datetime(2001, 1, 1, tzinfo=UTC), 4, id="clock of 2001"),
        pytest.param(4, datetime(2090, 1, 1, tzinfo=UTC), 4, id="clock of 2090"),
    ],
)
def test_what_a_sensor_says_is_bounded(application: Application, cpus: int, at: datetime, vcores: int | None) -> None:
    Sensor(application, "node-1").beat(cpus, at=at, claims="somebody-else")
    found = usage(application)
    assert set(found) == ({"prod"} if vcores else set()), "cluster and node are the certificate's"
    if vcores:
        assert found["prod"]["vcore_hours"] == vcores


def test_the_report(application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Sensor(application, "node-1").beat(4)
    monkeypatch.setenv("SEAWALL_DATA_DIR", str(tmp_path / "data"))
    app, run = build(), CliRunner().invoke
    document = json.loads(
        run(
            app, ["cost", "report", "--format", "json", "--end", f"{HOUR + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}"]
        ).stdout
    )
    assert [item["vcore_hours"] for item in document["clusters"]] == [4]
    lines = run(app, ["cost", "report", "--format", "csv"]).stdout.splitlines()
    assert lines[0] == "cluster,vcore_hours,average_vcores,peak_vcores,nodes,hours"
    assert lines[1] == "prod,4,4.0,4,1,1"
    assert "prod" in run(app, ["cost", "report"]).stdout
    assert run(app, ["cost", "report", "--start", "2026-12-01", "--end", "2026-11-01"]).exit_code != 0
