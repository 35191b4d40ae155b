"""A batch that waited in its cloud's stream is judged by when it came: its sensor's certificate has ended since."""

from __future__ import annotations

import base64
import json
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from seawall.app.enrol_sensor import create_token, enrol_sensor
from seawall.bootstrap import bootstrap
from seawall.domain.runtime_events import NO_PROCESS, Heartbeat
from seawall.formats.sensor_batch import encode_batch, identity_of
from seawall.formats.sensor_certificate import make_request
from seawall.settings import Settings

from demo.sensor import CertificateSigner
from tests.support.fixtures import clean_environment
from tests.support.hosts import FUNCTIONS, framework, write_config
from tests.support.lambda_runtime import LambdaProcess
from tests.support.pubsub import envelope_of

CAME = datetime.now(UTC) - timedelta(hours=40)


@pytest.fixture
def batch(tmp_path: Path) -> bytes:
    application = bootstrap(Settings(data_dir=tmp_path / "data"))
    store, key = application.store.sensors, ec.generate_private_key(ec.SECP256R1())
    token = create_token(store, cluster="prod", now=CAME, lifetime=timedelta(hours=1))
    enrolled = enrol_sensor(
        token=token, csr=make_request(key, "n1").decode(), node="n1", store=store,
        authority=application.sensor_authority, now=CAME,
    )  # fmt: skip
    certificate = x509.load_pem_x509_certificate(enrolled.certificate.encode())
    beat = Heartbeat(
        ts_ns=int(CAME.timestamp() * 1e9), process=NO_PROCESS, node="n1", cluster="prod", boot="b", state="ok"
    )
    body = encode_batch(
        [beat], signer=CertificateSigner(key, certificate), identity=identity_of(certificate),
        boot="b", stream="s", batch=1, created_ns=int(CAME.timestamp() * 1e9),
    )  # fmt: skip
    application.close()
    return body


def taken(folder: Path) -> tuple[int, int]:
    application = bootstrap(Settings(data_dir=folder / "data"))
    found = len(application.store.sensors.sensors()), len(application.store.poison.newest())
    application.close()
    return found


@pytest.mark.real("lambda")
def test_kinesis(tmp_path: Path, batch: bytes) -> None:
    config = write_config(tmp_path, {"data_dir": str(tmp_path / "data")})
    record = {"sequenceNumber": "1", "data": base64.b64encode(batch).decode()}
    record |= {"approximateArrivalTimestamp": CAME.timestamp() + 60}  # type: ignore[dict-item]
    with LambdaProcess(
        FUNCTIONS / "aws", "handlers.sensor_stream", env=clean_environment(SEAWALL_CONFIG=str(config))
    ) as function:
        assert function.invoke({"Records": [{"kinesis": record}]}).body == {"batchItemFailures": []}
    assert taken(tmp_path) == (1, 0)


def test_pubsub(tmp_path: Path, batch: bytes) -> None:
    config = write_config(tmp_path, {"data_dir": str(tmp_path / "data")})
    envelope = envelope_of(batch)
    envelope["message"]["publishTime"] = (CAME + timedelta(minutes=1)).isoformat().replace("+00:00", "Z")
    with framework("sensor_events", config) as port:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/", json.dumps(envelope).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status < 300
    assert taken(tmp_path) == (1, 0)
