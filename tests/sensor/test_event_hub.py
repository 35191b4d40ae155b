"""Batches to Event Hubs: every way in, through proxies and own roots, with what Entra gives; and each batch once."""

from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from seawall.app.enrol_sensor import create_token
from seawall.domain.errors import ConfigError
from seawall.formats.sensor_batch import decode_batch
from seawall_sensor.deliver import Delivery
from seawall_sensor.enrol import Enrolment
from seawall_sensor.event_hub import EventHub, EventHubSettings
from seawall_sensor.spool import Spool

from tests.detection.runtime_events import ran
from tests.support.certificates import write_certificate
from tests.support.event_hubs import Broker, Hub, sas_keys
from tests.support.ports import wait_until
from tests.support.receivers import Receiver
from tests.support.sensors import Authority
from tests.support.tls import Answer, Request, http_service, https_service, proxy_to
from tests.support.websockets import amqp_in_websockets

# The client leaves sockets to the garbage collector when a connection is refused or cut.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

NAMESPACE = "ours.servicebus.windows.net"
TENANT, CLIENT = "3f2c8f0e-0000-4000-8000-000000000001", "3f2c8f0e-0000-4000-8000-000000000002"
NOW = datetime.now(UTC)
KEYED = "Endpoint=sb://ours.servicebus.windows.net/;SharedAccessKeyName=Send;SharedAccessKey=c2VjcmV0"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("azure", "msal")]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    yield
    for logger in loggers:
        logger.setLevel(logging.NOTSET)
    gc.collect()


class Entra:
    """The token service; `forms` are what it was asked with."""

    def __init__(self) -> None:
        self.forms: list[dict[str, list[str]]] = []

    def __call__(self, request: Request) -> Answer:
        base = f"https://login.microsoftonline.com/{TENANT}"
        if request.path.endswith("/token"):
            self.forms.append(parse_qs(request.body.decode()))
            return _json({"access_token": "of-entra", "token_type": "Bearer", "expires_in": 3600})
        if "openid-configuration" in request.path:
            return _json({"authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token", "issuer": base})  # fmt: skip
        return _json({"api-version": "1.1", "tenant_discovery_endpoint": f"{base}/v2.0/.well-known/openid-configuration", "metadata": []})  # fmt: skip


def _json(body: object) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """What a sensor shows to Entra."""
    write_certificate(tmp_path / "cert.pem", tmp_path / "key.pem", key=rsa.generate_private_key(65537, 2048))
    both = tmp_path / "both.pem"
    both.write_text((tmp_path / "cert.pem").read_text() + (tmp_path / "key.pem").read_text())
    return both


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AZURE_") or name.lower() in ("https_proxy", "http_proxy", "requests_ca_bundle"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("credential", ["certificate", "workload", "default", "connection string"])
def test_through_a_proxy_with_own_roots(tmp_path, certificate, monkeypatch, no_environment, credential):
    """WebSockets on 443 and the token service behind one proxy, both with certificates that only our own file vouches for."""
    hub, entra, seen = Hub("sensor", partitions=2), Entra(), []
    (tmp_path / "token").write_text("projected-token")

    def authorize(audience: str, kind: str, token: str) -> bool:
        seen.append((audience, kind, token))
        return sas_keys({"Send": "c2VjcmV0"})(audience, kind, token)

    folders = [tmp_path / "entra", tmp_path / "hub"]
    for folder in folders:
        folder.mkdir()
    with (
        Broker(hub, authorize=authorize) as broker,
        amqp_in_websockets(broker.port, folders[1], NAMESPACE) as (hub_port, hub_ca),
        https_service(entra, folders[0], "login.microsoftonline.com") as service,
        http_service(lambda _: _json({"access_token": "of-node", "expires_in": "3600", "expires_on": "9999999999", "resource": "x", "token_type": "Bearer"})) as node,
        proxy_to(service.port, ours=hub_port) as (proxy, asked),
    ):  # fmt: skip
        roots = tmp_path / "roots.pem"
        roots.write_text(hub_ca.read_text() + service.ca_file.read_text())
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{node.port}")
        settings = EventHubSettings(
            "sensor",
            connection_string=KEYED if credential == "connection string" else "",
            namespace=NAMESPACE,
            proxy=proxy,
            ca_file=roots,
            credential=credential,
            tenant=TENANT,
            client=CLIENT,
            certificate_file=certificate,
            token_file=tmp_path / "token",
        )
        settings.check()
        transport = EventHub(settings, timeout_s=10)
        transport.send(b"one", "sensor-1")
        transport.send(b"two", "sensor-1")
        transport.close()
        assert sorted(hub.bodies()) == [b"one", b"two"]
        assert sum(bool(log) for log in hub.partitions) == 1, "one sensor, one partition"
    assert f"CONNECT {NAMESPACE}:443" in asked
    tokens = {token for _, _, token in seen}
    if credential == "connection string":
        assert {kind for _, kind, _ in seen} == {"servicebus.windows.net:sastoken"}
        assert not entra.forms
    elif credential == "default":
        assert tokens == {"of-node"}
        assert {request.headers.get("metadata") for request in node.requests} <= {"true", None}
        assert not any("169.254" in each for each in asked)
    else:
        assert "CONNECT login.microsoftonline.com:443" in asked
        assert tokens == {"of-entra"}
        (form,) = entra.forms
        assert form["client_id"] == [CLIENT]
        (assertion,) = form["client_assertion"]
        assert (assertion == "projected-token") is (credential == "workload")


def test_roots_of_the_system_count_beside_our_own(tmp_path, monkeypatch, no_environment):
    """`--ca-file` names the Seawall server's own CA; the hub's certificate comes from a public one."""
    folder = tmp_path / "hub"
    folder.mkdir()
    write_certificate(tmp_path / "server.pem", tmp_path / "server.key")
    hub = Hub("sensor", partitions=1)
    with (
        Broker(hub) as broker,
        amqp_in_websockets(broker.port, folder, NAMESPACE) as (port, public),
        proxy_to(port) as (proxy, _),
    ):
        monkeypatch.setenv("SSL_CERT_FILE", str(public))  # the system's roots, as OpenSSL finds them
        settings = EventHubSettings("sensor", connection_string=KEYED, proxy=proxy, ca_file=tmp_path / "server.pem")
        transport = EventHub(settings, timeout_s=10)
        transport.send(b"one", "s")
        transport.close()
    assert list(hub.bodies()) == [b"one"]


def test_a_batch_arrives_signed_and_once_after_the_hub_was_away(tmp_path):
    folder = tmp_path / "server"
    folder.mkdir()
    receiver = Receiver(folder, Authority(NOW - timedelta(days=1)), lambda: datetime.now(UTC))
    token = create_token(receiver.store, cluster="prod", now=NOW, lifetime=timedelta(hours=1))
    enrolment = Enrolment(tmp_path / "identity", server=receiver.url, node="n1", token=token, ca_file=receiver.ca)
    hub = Hub("sensor", partitions=3)
    with Broker(hub) as broker:
        text, port = broker.connection_string("sensor"), broker.port
    delivery = Delivery(
        Spool(tmp_path / "spool", boot="boot-1"), enrolment.credentials,
        EventHub(EventHubSettings("sensor", text), timeout_s=2),
        flush_s=0.05, backoff_s=0.01, max_backoff_s=0.1, max_records=20,
    )  # fmt: skip
    delivery.send([ran(f"app {n}") for n in range(70)])
    wait_until(lambda: delivery.figures.failures >= 3, what="attempts that fail")
    assert len(delivery.spool) >= 3
    with Broker(hub, port=port) as broker:
        wait_until(lambda: delivery.figures.delivered >= 40, what="the first batches")
        broker.drop_connections()
        delivery.send([ran(f"app {n}") for n in range(70, 100)])
        wait_until(lambda: len(delivery.spool) == 0 and delivery.figures.delivered >= 100, what="the rest")
        delivery.close()
    receiver.close()
    batches = {}
    for body in hub.bodies():
        batch = decode_batch(body, receiver.authority.trust(datetime.now(UTC)))
        assert batch.identity.node == "n1"
        batches[batch.header.stream, batch.header.batch] = batch  # what a receiver de-duplicates by
    told = [event.process.args[-1] for batch in batches.values() for event in batch.events]
    assert sorted(told, key=lambda each: int(each)) == [str(n) for n in range(100)]
    assert sum(bool(log) for log in hub.partitions) == 1


GOOD = {"hub": "sensor", "namespace": NAMESPACE, "tenant": TENANT, "client": CLIENT}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        pytest.param({"hub": "s"}, "--event-hub-namespace", id="no way in"),
        pytest.param({"hub": "s", "connection_string": "hunter2"}, "not a connection string", id="not a connection string"),
        pytest.param({"hub": "s", "connection_string": "Endpoint=sb://x/;SharedAccessKey=hunter2"}, "not a connection string", id="key without its name"),
        pytest.param(GOOD | {"namespace": "sb://ours.servicebus.windows.net"}, "not a host name", id="a URL"),
        pytest.param(GOOD | {"namespace": "ours"}, "servicebus.windows.net", id="half a name"),
        pytest.param(GOOD | {"proxy": "proxy.example:3128"}, "--proxy", id="proxy without scheme"),
        pytest.param(GOOD | {"proxy": "https://u:hunter2@proxy.example"}, "--proxy", id="proxy over TLS"),
        pytest.param(GOOD | {"credential": "certificate"}, "--event-hub-certificate", id="certificate without file"),
        pytest.param(GOOD | {"credential": "certificate", "certificate_file": Path("/no/such")}, "can not be read", id="no such certificate"),
        pytest.param(GOOD | {"credential": "certificate", "certificate_file": Path("/etc/passwd")}, "both PEM", id="not a certificate"),
        pytest.param(GOOD | {"credential": "workload"}, "AZURE_FEDERATED_TOKEN_FILE", id="no projected token"),
        pytest.param(GOOD | {"credential": "workload", "tenant": "", "token_file": Path("/x")}, "AZURE_TENANT_ID", id="no tenant"),
        pytest.param(GOOD | {"credential": "password"}, "default, workload, or certificate", id="unknown"),
    ],
)  # fmt: skip
def test_wrong_settings_are_said_before_anything_starts(settings, says):
    with pytest.raises(ConfigError, match=says) as caught:
        EventHubSettings(**settings).check()
    assert "hunter2" not in str(caught.value)


def test_entra_wants_an_rsa_key(tmp_path):
    write_certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    both = tmp_path / "both.pem"
    both.write_text((tmp_path / "cert.pem").read_text() + (tmp_path / "key.pem").read_text())
    with pytest.raises(ConfigError, match="RSA"):
        EventHubSettings(**GOOD, credential="certificate", certificate_file=both).check()


def test_the_command_line_says_it(tmp_path):
    (tmp_path / "token").write_text("swt_x")
    command = [sys.executable, "-m", "seawall_sensor.cli", "run", "--server", "https://localhost:1", "--state-dir",
               str(tmp_path / "state"), "--enrolment-token-file", str(tmp_path / "token")]  # fmt: skip
    for options, says in (
        (["--event-hub", "sensor"], "SEAWALL_EVENT_HUB_CONNECTION is not a connection string"),
        (["--event-hub-namespace", NAMESPACE], "name the hub in it"),
    ):
        done = subprocess.run(
            [*command, *options],
            env=os.environ | {"SEAWALL_EVENT_HUB_CONNECTION": "hunter2", "COLUMNS": "200"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert says in done.stderr, done.stderr
        assert "hunter2" not in done.stderr
        assert "Traceback" not in done.stderr
