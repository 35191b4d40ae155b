"""A real sensor with its programs in the kernel, a real server, a real container: from the attack to the incident."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from seawall.bootstrap import bootstrap
from seawall.settings import Settings

from tests.support.event_hubs import Broker, Hub
from tests.support.hosts import FUNCTIONS
from tests.support.ports import free_port, wait_until
from tests.support.server import RunningServer

pytestmark = [pytest.mark.real("ebpf"), pytest.mark.real("podman"), pytest.mark.bpf]

ATTACK = "cp /bin/busybox /tmp/xmrig; /tmp/xmrig true"


class Node:
    """One node's sensor: its state survives its process."""

    def __init__(self, folder: Path, server: RunningServer, *options: str, **environment: str) -> None:
        self.folder, self.server, self.options, self.environment = folder, server, options, environment
        folder.mkdir()
        (folder / "token").write_text(server.run("sensor", "token", "--cluster", "prod") + "\n")
        self.status = f"http://127.0.0.1:{free_port()}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            sys.executable, "-m", "seawall_sensor.cli", "run", "--server", self.server.url, "--node", "node-1",
            "--ca-file", str(self.server.certificate), "--enrolment-token-file", str(self.folder / "token"),
            "--state-dir", str(self.folder / "state"), "--status-address", self.status.removeprefix("http://"),
            *self.options,
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | self.environment)
        wait_until(self.ready, what=f"the sensor ({self.folder / 'log'})", timeout_s=30)

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return httpx.get(f"{self.status}/healthz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def metric(self, name: str) -> float:
        lines = httpx.get(f"{self.status}/metrics", trust_env=False).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].partition(" ")[0] == name)

    def end(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(30)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "server", tls=True) as running:
        yield running


@pytest.fixture
def node(tmp_path: Path, server: RunningServer, programs: None) -> Iterator[Node]:
    found = Node(tmp_path / "node", server)
    found.start()
    yield found
    if found.process is not None and found.process.poll() is None:
        found.end(signal.SIGKILL)


def alerts_of(answer: dict, names: list[str]) -> dict[str, int]:
    """Container: how many alerts about a miner name it."""
    found = dict.fromkeys(names, 0)
    for alert in answer["alerts"]:
        said = str(alert)
        if alert["analytic"] == "RT-0202":
            for name in names:
                found[name] += name in said
    return found


def test_attacks_arrive_once_whatever_dies_in_between(server, node, in_container, tmp_path):
    """Kill -9 of the sensor with a full spool, kill -9 of the server: each attack is one alert, in an incident."""

    def attacked() -> str:
        file = tmp_path / f"container-{len(names)}"
        in_container(ATTACK, "--cidfile", str(file))
        return file.read_text().strip()

    names: list[str] = []
    names.append(attacked())
    server.until("/v1/alerts", lambda answer: alerts_of(answer, names) == {names[0]: 1})
    assert node.metric("seawall_sensor_delivered_total") > 0

    server.kill()
    names.append(attacked())
    wait_until(lambda: node.metric("seawall_sensor_spool_batches") > 0, what="a batch in the spool")
    wait_until(lambda: node.metric("seawall_sensor_delivery_failures_total") > 0, what="a failed attempt")
    time.sleep(1.2)  # what was taken is on disk after a second
    node.end(signal.SIGKILL)
    node.start()
    names.append(attacked())
    server.start()

    found = server.until("/v1/alerts?limit=500", lambda answer: all(alerts_of(answer, names).values()))
    assert alerts_of(found, names) == dict.fromkeys(names, 1)
    incidents = server.until("/v1/incidents", lambda answer: bool(answer["incidents"]))["incidents"]
    held = {alert for incident in incidents for alert in incident["alert_ids"]}
    assert {alert["id"] for alert in found["alerts"] if alert["analytic"] == "RT-0202"} <= held

    wait_until(lambda: node.metric("seawall_sensor_spool_batches") == 0, what="an empty spool")
    node.end(signal.SIGTERM)
    (sensor,) = server.until(
        "/v1/sensors", lambda answer: answer["sensors"] and answer["sensors"][0]["state"] == "stopping"
    )["sensors"]
    assert (sensor["cluster"], sensor["node"], sensor["missing_batches"]) == ("prod", "node-1", 0)
    assert sensor["details"]["cpus"] == os.cpu_count()
    # What was in memory when the sensor was killed is counted, and that is all that is missing.
    assert set(sensor["lost"]) <= {"spool/", "scan/exec"}  # the miner ends before anyone can read it


@pytest.mark.real("azure-functions")
def test_through_event_hubs_into_the_function(server, programs, in_container, tmp_path):
    """The hub is away for a while; the function reads everything twice: each attack is one alert."""
    from tests.support.functions_host import FunctionsProcess, event_hub  # needs Python 3.13

    def attacked(number: int) -> str:
        file = tmp_path / f"container-{number}"
        in_container(ATTACK, "--cidfile", str(file))
        return file.read_text().strip()

    hub = Hub("sensor", partitions=1)
    with Broker(hub) as broker:
        node = Node(tmp_path / "node", server, "--event-hub", "sensor",
                    SEAWALL_EVENT_HUB_CONNECTION=broker.connection_string("sensor"))  # fmt: skip
        node.start()
        names = [attacked(1)]
        wait_until(lambda: node.metric("seawall_sensor_delivered_total") > 0, what="a batch in the hub")
    try:
        names.append(attacked(2))
        wait_until(lambda: node.metric("seawall_sensor_delivery_failures_total") > 0, what="a failed attempt")
        wait_until(lambda: node.metric("seawall_sensor_spool_batches") > 0, what="a batch in the spool")
        with Broker(hub, port=broker.port):
            wait_until(lambda: node.metric("seawall_sensor_spool_batches") == 0, what="an empty spool")
            node.end(signal.SIGTERM)
    finally:
        if node.process is not None and node.process.poll() is None:
            node.end(signal.SIGKILL)
    server.__exit__()  # the function app has the same store
    bodies = list(hub.bodies())
    with FunctionsProcess(FUNCTIONS / "azure", {"SEAWALL_CONFIG": str(server.config)}) as process:
        for _ in range(2):
            result = process.call("sensor_events", event_hub(bodies), max_retry_count=-1)
            assert result.ok, result.traceback
    application = bootstrap(Settings(data_dir=server.folder / "data"))
    told = [str(alert) for alert in application.store.alerts.newest(limit=500) if alert.analytic == "RT-0202"]
    assert [sum(name in each for each in told) for name in names] == [1, 1]
    (sensor,) = application.store.sensors.sensors()
    assert (sensor.cluster, sensor.node, sensor.state, sensor.missing_batches) == ("prod", "node-1", "stopping", 0)
    assert not application.store.poison.newest()
    application.close()


def test_a_wrong_token_is_said_and_does_not_stop_the_sensor(server, node, tmp_path):
    node.end(signal.SIGTERM)
    other = Node(tmp_path / "other", server)
    (other.folder / "token").write_text("swt_wrong")
    other.start()
    try:
        wait_until(lambda: "enrolment token" in (other.folder / "log").read_text(), what="a reason")
        assert other.ready()
        assert other.metric("seawall_sensor_delivery_working") == 0
    finally:
        other.end(signal.SIGTERM)
    assert "swt_wrong" not in (other.folder / "log").read_text()


def test_the_server_asks_sensors_for_their_certificate(server, node, tmp_path):
    wait_until(lambda: node.metric("seawall_sensor_delivered_total") > 0, what="a delivery")
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", server.url.removeprefix("https://")],
        capture_output=True,
        text=True,
        input="",
    ).stdout
    assert "Requested Signature Algorithms" in shown, "said of a request for a certificate only"
    strange = tmp_path / "strange.pem"
    key = tmp_path / "strange.key"
    from tests.support.certificates import write_certificate

    write_certificate(strange, key)
    context = ssl.create_default_context(cafile=server.certificate)
    context.load_cert_chain(strange, key)
    with pytest.raises(httpx.TransportError), httpx.Client(verify=context, trust_env=False) as client:
        client.get(server.url + "/healthz")
