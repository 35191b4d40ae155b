"""Whatever the receiver, the network, the disk or the process does: nothing is lost without being counted, nothing twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from seawall.app.enrol_sensor import create_token
from seawall.domain.errors import ConfigError, Denied
from seawall_sensor.deliver import Delivery
from seawall_sensor.enrol import Enrolment
from seawall_sensor.event_hub import EventHub, EventHubSettings
from seawall_sensor.spool import Spool
from seawall_sensor.transports import Failed, Https, Refused

from tests.detection.runtime_events import ran
from tests.support.event_hubs import Broker, Hub
from tests.support.receivers import Receiver
from tests.support.sensors import Authority

NOW = datetime.now(UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def receiver(tmp_path, clock):
    folder = tmp_path / "server"
    folder.mkdir()
    found = Receiver(folder, Authority(NOW - timedelta(days=1)), clock)
    yield found
    found.close()


@pytest.fixture
def enrolment(tmp_path, receiver, clock):
    token = create_token(receiver.store, cluster="prod", now=NOW, lifetime=timedelta(hours=1))
    return Enrolment(tmp_path / "identity", server=receiver.url, node="n1", token=token, ca_file=receiver.ca, now=clock)


def spool_of(tmp_path, **more):
    return Spool(tmp_path / "spool", boot="boot-1", **more)


def delivery_of(spool, receiver, enrolment, **more):
    values = {"flush_s": 0.05, "backoff_s": 0.01, "max_backoff_s": 0.1, "max_records": 50} | more
    return Delivery(spool, enrolment.credentials, Https(receiver.url, lambda: enrolment, timeout_s=2), **values)


def events(number, start=0):
    return [ran(f"app {n}") for n in range(start, start + number)]


def sent_exactly(receiver, number):
    found = receiver.events()
    assert len(found) == number == len({event.id for event in found})


def test_batches_arrive_signed_over_mutual_tls(tmp_path, receiver, enrolment):
    delivery = delivery_of(spool_of(tmp_path), receiver, enrolment)
    delivery.send(events(120))
    receiver.until(lambda r: len(r.events()) == 120)
    delivery.close()
    assert delivery.figures.delivered == 120
    assert receiver.peers
    assert len(list((tmp_path / "spool").glob("*.swb"))) == 0


@pytest.mark.parametrize(
    "plan",
    [["cut"] * 3, ["silent"], [500, 503, 500], [429, 429], ["slow"] * 3, ["cut-after"], [401, 404, 502]],
    ids=str,
)
def test_faults_of_the_receiver_lose_nothing(tmp_path, receiver, enrolment, plan):
    receiver.plan.extend(plan)
    delivery = delivery_of(spool_of(tmp_path), receiver, enrolment)
    delivery.send(events(200))
    receiver.until(lambda r: len(r.events()) == 200)
    delivery.close()
    sent_exactly(receiver, 200)
    assert receiver.lost() == 0
    assert receiver.repeats == (1 if plan == ["cut-after"] else 0)


def test_retry_after_is_kept(tmp_path, receiver, enrolment):
    receiver.plan.append(429)
    receiver.retry_after = "1"
    delivery = delivery_of(spool_of(tmp_path), receiver, enrolment)
    delivery.send(events(5))
    receiver.until(lambda r: len(r.events()) == 5)
    delivery.close()
    first, second = receiver.requests[-2:]
    assert second - first >= 1.0


def test_a_refused_batch_is_counted_and_does_not_hold_up_the_next(tmp_path, receiver, enrolment):
    receiver.plan.append(400)
    delivery = delivery_of(spool_of(tmp_path), receiver, enrolment)
    delivery.send(events(50))
    receiver.until(lambda r: r.lost() == 50)
    delivery.send(events(7))
    receiver.until(lambda r: len(r.events()) == 7)
    delivery.close()
    assert delivery.figures.refused == 50


def test_receiver_down_and_process_restarted(tmp_path, receiver, enrolment):
    enrolment.credentials()
    port, authority, clock, folder, store = (
        receiver.port,
        receiver.authority,
        receiver.now,
        tmp_path / "server",
        receiver.store,
    )
    receiver.close()
    delivery = delivery_of(spool_of(tmp_path), receiver, enrolment)
    delivery.send(events(300))
    time.sleep(0.3)
    delivery.close(timeout_s=0.2)
    assert delivery.figures.delivered == 0
    back = Receiver(folder, authority, clock, port)
    back.store = store
    try:
        again = delivery_of(spool_of(tmp_path), back, enrolment)
        again.send(events(30))
        back.until(lambda r: len(r.events()) == 330)
        again.close()
        sent_exactly(back, 330)
        assert back.lost() == 0
        assert sorted(number for _, number in back.batches) == list(range(1, len(back.batches) + 1))
        assert len({stream for stream, _ in back.batches}) == 1
    finally:
        back.close()


def test_a_full_spool_drops_the_oldest_and_says_how_many(tmp_path, receiver, enrolment):
    receiver.plan.extend([503] * 40)
    delivery = delivery_of(spool_of(tmp_path, max_bytes=8_000), receiver, enrolment, backoff_s=0.1)
    for n in range(30):
        delivery.send(events(50, n * 50))
        time.sleep(0.02)
    receiver.until(lambda r: len(r.events()) + r.lost() >= 1500, 30)
    delivery.close()
    assert receiver.lost() > 0
    assert len(receiver.events()) + receiver.lost() == 1500
    assert delivery.figures.dropped == {"size": receiver.lost()}


def test_a_buffer_that_overflows_is_counted(tmp_path, receiver, enrolment):
    delivery = delivery_of(spool_of(tmp_path), receiver, enrolment, max_buffered=100, flush_s=0.3)
    delivery.send(events(100))
    delivery.send(events(40))
    receiver.until(lambda r: len(r.events()) + r.lost() == 140)
    delivery.close()


WRITER = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from seawall_sensor.deliver import Delivery
from seawall_sensor.spool import Spool
from seawall_sensor.transports import Failed
from tests.detection.runtime_events import ran
class Down:
    def send(self, body, sensor): raise Failed("down")
    def close(self): pass
def none(): raise __import__("seawall.domain.errors", fromlist=["x"]).Unavailable("down")
d = Delivery(Spool(Path({spool!r}), boot="boot-1"), none, Down(), flush_s=0.02, max_records=40)
n = 0
while True:
    d.send([ran(f"app {{n}}")]); n += 1
    print(n, flush=True)
"""


@pytest.mark.parametrize("delay_s", [0.05, 0.31])
def test_kill_9_loses_nothing_uncounted(tmp_path, receiver, enrolment, delay_s):
    enrolment.credentials()
    code = WRITER.format(root=str(Path.cwd()), spool=str(tmp_path / "spool"))
    with (tmp_path / "out").open("wb") as out:
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=out)
        while not (tmp_path / "out").stat().st_size:
            time.sleep(0.02)
        time.sleep(delay_s)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    said = int((tmp_path / "out").read_text().split()[-1])
    delivery = delivery_of(spool_of(tmp_path), receiver, enrolment)
    receiver.until(lambda r: len(r.events()) + r.lost() >= said)
    delivery.close()
    # The last one may have been taken without having been printed.
    assert len(receiver.events()) + receiver.lost() in (said, said + 1)
    assert len({event.process.args for event in receiver.events()}) == len(receiver.events())


def test_broken_files_in_the_spool_are_counted_not_fatal(tmp_path):
    spool = spool_of(tmp_path)
    for _ in range(4):
        spool.store(b"x" * 100, records=3, payload_bytes=100, lost={})
    files = sorted((tmp_path / "spool").glob("*.swb"))
    files[0].write_bytes(files[0].read_bytes()[:-10])
    files[1].write_bytes(b"")
    (tmp_path / "spool" / "0000000000000099.tmp").write_bytes(b"half")
    again = spool_of(tmp_path)
    found = again.first()
    assert found is not None
    assert found[1].batch == 3
    assert again.take_dropped() == ({"damaged": 3 + 1}, 0)
    assert again.store(b"y", records=1, payload_bytes=1, lost={}) == 5


def test_age_is_not_the_clock_s(tmp_path):
    wall, boot = [10**18], [10**12]
    spool = spool_of(tmp_path, max_age_s=60, wall_ns=lambda: wall[0], boot_ns=lambda: boot[0])
    spool.store(b"x", records=1, payload_bytes=1, lost={})
    wall[0] += 10**15
    found = spool.first()
    assert found is not None
    spool.put_back(found[0])
    spool.trim()
    assert len(spool) == 1
    boot[0] += 61 * 10**9
    spool.trim()
    assert (len(spool), spool.take_dropped()) == (0, ({"age": 1}, 0))


def test_a_reboot_starts_a_new_stream_and_keeps_what_was_spooled(tmp_path):
    first = spool_of(tmp_path)
    first.store(b"x", records=1, payload_bytes=1, lost={})
    second = Spool(tmp_path / "spool", boot="boot-2")
    assert second.stream != first.stream
    assert second.store(b"x", records=1, payload_bytes=1, lost={}) == 1
    assert second.first()[1].stream == first.stream


def test_a_spool_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can not be written"):
        Spool(tmp_path / "file" / "spool", boot="b")


def test_certificate_is_renewed_at_two_thirds_of_its_life(receiver, enrolment, clock, tmp_path):
    first = enrolment.credentials()
    clock.now = NOW + timedelta(hours=15)
    assert enrolment.credentials().certificate == first.certificate
    clock.now = NOW + timedelta(hours=17)
    second = enrolment.credentials()
    assert second.certificate != first.certificate
    assert second.identity == first.identity
    assert second.key.private_numbers() != first.key.private_numbers()
    assert (
        Enrolment(tmp_path / "identity", server=receiver.url, node="n1", now=clock).credentials().certificate
        == second.certificate
    )
    assert (tmp_path / "identity" / "identity.pem").stat().st_mode & 0o777 == 0o600


def test_a_renewal_that_fails_keeps_the_present_certificate(receiver, enrolment, clock):
    first = enrolment.credentials()
    receiver.close()
    clock.now = NOW + timedelta(hours=17)
    assert enrolment.credentials().certificate == first.certificate


def test_a_wrong_or_used_token_is_refused(tmp_path, receiver, enrolment, clock):
    enrolment.credentials()
    with pytest.raises(Denied, match="enrolment token"):
        Enrolment(
            tmp_path / "b", server=receiver.url, node="n1", token="swt_no", ca_file=receiver.ca, now=clock
        ).credentials()
    with pytest.raises(ConfigError, match="no enrolment token"):
        Enrolment(tmp_path / "c", server=receiver.url, node="n1", ca_file=receiver.ca).credentials()


def test_an_unknown_server_certificate_is_not_trusted(tmp_path, receiver, enrolment):
    enrolment.credentials()
    stranger = Enrolment(tmp_path / "identity", server=receiver.url, node="n1")
    with pytest.raises(Failed, match="CERTIFICATE_VERIFY_FAILED"):
        Https(receiver.url, lambda: stranger).send(b"x", "s")


def test_event_hubs(tmp_path, receiver, enrolment):
    with Broker(Hub("sensor", partitions=2)) as broker:
        transport = EventHub(EventHubSettings("sensor", broker.connection_string("sensor")), timeout_s=5)
        delivery = Delivery(
            spool_of(tmp_path),
            enrolment.credentials,
            transport,
            flush_s=0.05,
            backoff_s=0.01,
            max_backoff_s=0.05,
            max_records=20,
        )
        broker.fail_next(*["com.microsoft:server-busy"] * 12)  # more than the client itself tries
        delivery.send(events(60))
        end = time.monotonic() + 15
        while delivery.figures.delivered < 60 and time.monotonic() < end:
            time.sleep(0.05)
        delivery.close()
        assert delivery.figures.delivered == 60, delivery.figures
        assert delivery.figures.batches >= 3
        assert delivery.figures.failures >= 2, "busy answers reached our own retry"
        assert broker.faults == []


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        ("com.microsoft:server-busy", Failed),
        ("amqp:internal-error", Failed),
        ("amqp:link:message-size-exceeded", Refused),
    ],
)
def test_only_what_can_never_be_sent_is_refused(condition: str, error: type[Exception]):
    with Broker(Hub("sensor", partitions=1)) as broker:
        transport = EventHub(EventHubSettings("sensor", broker.connection_string("sensor")), timeout_s=5)
        transport.send(b"connects", "s")
        broker.fail_next(*[condition] * 3)
        with pytest.raises(error):
            transport.send(b"x", "s")
        transport.close()
