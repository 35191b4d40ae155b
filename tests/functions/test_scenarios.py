"""One table of inputs through four hosts: the stored rows are the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from seawall.app.enrol_sensor import create_token
from seawall.bootstrap import bootstrap
from seawall.formats.sensor_batch import encode_batch, identity_of
from seawall.formats.sensor_certificate import make_request
from seawall.settings import Settings

from demo import sensor as recorded
from demo import story
from tests.support.hosts import Audit, Aws, Azure, Google, Input, Push, Sensor, Serve, rows
from tests.support.registry import Throttled, running_registry, throttled

pytestmark = pytest.mark.timeout(900)  # up to six processes start, each with all that its cloud's SDK imports

ROOT = Path(__file__).parents[2]
LAYOUT = ROOT / "demo/fixtures/image"
T0 = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
HOSTS: dict[str, Callable[[], Any]] = {"azure": Azure, "aws": Aws, "google": Google}


@dataclass(frozen=True)
class Prepared:
    """A data folder that every host starts from, and inputs that belong to it."""

    base: Path
    settings: dict[str, Any]
    inputs: dict[str, list[Input]]
    front: Throttled
    """The registry as the pushes name it."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("prepared")
    base = folder / "base"
    base.mkdir()
    sources = [word for path in sorted((ROOT / "demo/fixtures/advisories").iterdir()) for word in ("--from", str(path))]
    target = folder / "advisories.db"
    command = [sys.executable, "-m", "seawall.cli.main", "db", "build", *sources, "--output", str(target)]
    subprocess.run(command, check=True, capture_output=True)
    batch = sensor_batch(base)
    with running_registry(folder / "registry") as registry:
        image = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{LAYOUT}:shop/api:1.4.2"]
        subprocess.run([*image, f"docker://{registry.host}/shop/api:1"], check=True)
        digest = json.loads((LAYOUT / "index.json").read_text())["manifests"][0]["digest"]
        with throttled(registry.host) as front:
            settings = {"advisories": str(target), "registries": {front.host: {"plain_http": True}}}
            yield Prepared(base, settings, scenarios(front.host, digest, batch), front)


def sensor_batch(base: Path) -> bytes:
    """Enrol a sensor at the deployment in `base` and return a batch that it signed."""
    application = bootstrap(Settings(data_dir=base))
    now = datetime.now(UTC)
    token = create_token(application.store.sensors, cluster=story.CLUSTER, now=now, lifetime=timedelta(hours=1))
    key = ec.generate_private_key(ec.SECP256R1())
    enrolled = application.doors.enrol_sensor(token, make_request(key, recorded.NODE).decode(), recorded.NODE)
    certificate = x509.load_pem_x509_certificate(enrolled.certificate.encode())
    application.close()
    return encode_batch(
        recorded._events(now, "boot"),
        signer=recorded.CertificateSigner(key, certificate),
        identity=identity_of(certificate),
        boot="boot",
        stream="stream",
        batch=1,
        created_ns=int(now.timestamp() * 1e9),
    )


def scenarios(host: str, digest: str, batch: bytes) -> dict[str, list[Input]]:
    events = sorted(story.ordinary(T0) + story.attack_on_aks(T0), key=lambda event: str(event["stageTimestamp"]))
    aks, eks, gke = (
        Audit(body)
        for body in (
            story.aks_envelope(events),
            story.eks_envelope(T0 + timedelta(minutes=6)),
            story.gke_envelope(T0 + timedelta(minutes=8)),
        )
    )
    tampered = bytearray(batch)
    tampered[-20] ^= 0xFF
    push = Push(host, "shop/api", "1", digest)
    everything: list[Input] = [push, aks, eks, gke, Sensor(batch)]
    return {
        "once": everything,
        "twice": [given for given in everything for _ in range(2)],
        "out of order": [gke, Sensor(batch), aks, eks],
        "poison in the middle": [aks, Audit(b'{"kind": "nonsense"'), Sensor(b"garbage"), Sensor(bytes(tampered)), eks],
    }


NAMES = ["twice", "out of order", "poison in the middle"]


@pytest.fixture(scope="module")
def expected(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, list[Any]]]:
    """What `seawall serve` stores for a scenario."""
    known: dict[str, dict[str, list[Any]]] = {}

    def of(name: str) -> dict[str, list[Any]]:
        if name not in known:
            folder = tmp_path_factory.mktemp("serve")
            with Serve().running(folder, prepared.base, prepared.settings) as host:
                for given in prepared.inputs[name]:
                    host.send(given)
            known[name] = rows(folder / "data")
        return known[name]

    return of


@pytest.mark.real("registry")
@pytest.mark.real("skopeo")
@pytest.mark.real("azure-functions")
@pytest.mark.real("lambda")
@pytest.mark.parametrize("cloud", HOSTS)
@pytest.mark.parametrize("name", NAMES)
def test_the_rows_are_those_of_serve(
    prepared: Prepared, expected: Callable[[str], dict[str, list[Any]]], tmp_path: Path, cloud: str, name: str
) -> None:
    with HOSTS[cloud]().running(tmp_path, prepared.base, prepared.settings) as host:
        for given in prepared.inputs[name]:
            host.send(given)
    found, wanted = rows(tmp_path / "data"), expected(name)
    poison = found.pop("poison"), wanted.get("poison")
    found.pop("queue", None)
    assert {table: found[table] for table in found} == {table: wanted[table] for table in found}
    assert len(poison[0]) == (3 if name == "poison in the middle" else 0), "kept with its reason, the rest went through"
    assert found["incident"]
    assert found["outbox"]
    if name == "twice":
        assert found["finding"]
        assert found["sensor"]
        assert wanted == expected("once"), "the same inputs again change nothing"


@pytest.mark.real("registry")
@pytest.mark.real("skopeo")
@pytest.mark.real("azure-functions")
@pytest.mark.real("lambda")
@pytest.mark.parametrize("host", [*HOSTS, "serve"])
def test_lost_leases_and_a_throttled_registry_change_nothing(
    prepared: Prepared, expected: Callable[[str], dict[str, list[Any]]], tmp_path: Path, host: str
) -> None:
    """Two workers have the same event at the same time, and the registry refuses each its first call.

    So it is when a worker lost its partition (Event Hubs), its message's visibility (SQS, storage queues) or its deadline
    (Pub/Sub): it goes on while the event is with another already.
    """
    wanted = expected("once")
    prepared.front.refuse, prepared.front.refused = 2, 0
    made = Serve() if host == "serve" else HOSTS[host]()
    with made.running(tmp_path, prepared.base, prepared.settings) as first, first.other() as second:
        for given in prepared.inputs["once"]:
            with ThreadPoolExecutor(2) as pool:
                for sent in [pool.submit(worker.send, given) for worker in (first, second)]:
                    sent.result()
    assert prepared.front.refused == 2, "the trigger brought the push again"
    found = rows(tmp_path / "data")
    assert found["poison"] == []
    assert found == {table: wanted[table] for table in found}
