"""A disk that takes nothing: full, out of inodes, read-only, limited, or gone. The spool goes on and counts what it loses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from seawall.app.enrol_sensor import create_token
from seawall.domain.errors import ConfigError, Unavailable
from seawall_sensor.deliver import Delivery
from seawall_sensor.enrol import Enrolment
from seawall_sensor.figures import facts
from seawall_sensor.spool import Spool
from seawall_sensor.transports import Https

from tests.detection.runtime_events import ran
from tests.support.disks import Disk, small_disk
from tests.support.ports import wait_until
from tests.support.receivers import Receiver

pytestmark = pytest.mark.real("tmpfs")

NOW = datetime.now(UTC)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as found:
        yield found


@pytest.fixture
def enrolment(tmp_path: Path, receiver: Receiver) -> Enrolment:
    token = create_token(receiver.store, cluster="prod", now=NOW, lifetime=timedelta(hours=1))
    return Enrolment(tmp_path / "identity", server=receiver.url, node="n1", token=token, ca_file=receiver.ca)


@contextmanager
def delivering(spool: Spool, receiver: Receiver, enrolment: Enrolment) -> Iterator[Delivery]:
    delivery = Delivery(
        spool, enrolment.credentials, Https(receiver.url, lambda: enrolment, timeout_s=2),
        flush_s=0.02, backoff_s=0.02, max_backoff_s=0.05, max_records=50,
    )  # fmt: skip
    try:
        yield delivery
    finally:
        delivery.close()


def events(start: int, number: int) -> list:
    """Each with 200 bytes that do not shrink."""
    return [ran(f"app {n} {os.urandom(100).hex()}") for n in range(start, start + number)]


def arrived(receiver: Receiver) -> list[int]:
    return [int(event.process.args[1]) for event in receiver.events()]


def settled(delivery: Delivery) -> bool:
    return len(delivery.spool) == 0 and not delivery._events


def test_oldest_go_first_and_are_counted(disk, receiver, enrolment):
    """The receiver is away, the disk full, memory too: what is lost is the oldest, and what arrives is whole and once."""
    receiver.plan.extend([503] * 100_000)
    spool = Spool(disk.folder / "state", boot="b", max_held_bytes=40_000)
    with delivering(spool, receiver, enrolment) as delivery:
        for start in range(0, 2_000, 50):
            delivery.send(events(start, 50))
            if start == 1_000:
                wait_until(lambda: not delivery._events)
                disk.fill()
        wait_until(lambda: delivery.figures.dropped["disk"] > 0, what="a loss")
        wait_until(lambda: not delivery._events)
        assert "No space" in spool.wrong or spool.held_bytes == 0
        whole = Spool(disk.folder / "state", boot="b")  # every name in the folder is a whole batch
        assert all(whole._read(entry) is not None for entry in whole._entries.values())
        receiver.plan.clear()
        wait_until(lambda: len(receiver.events()) + receiver.lost() >= 2_000, what="all of them")
        disk.free()
        delivery.send(events(2_000, 50))
        wait_until(lambda: len(receiver.events()) + receiver.lost() >= 2_050)
        assert not spool.wrong
        assert facts(delivery)["dropped"] == delivery.figures.dropped["disk"] == receiver.lost()
    found = arrived(receiver)
    assert len(found) == len(set(found)) == 2_050 - receiver.lost()
    lost = set(range(2_050)) - set(found)
    # All up to one point, but for the batch that was on its way just then.
    assert max(lost) + 1 - len(lost) in (0, 50)
    numbers = sorted(number for _, number in receiver.batches)
    assert len(numbers) == len(set(numbers))


FAULTS: dict[str, tuple[Callable[[Disk], None], Callable[[Disk], None], str]] = {
    "full": (Disk.fill, Disk.free, "No space"),
    "out of inodes": (Disk.take_inodes, Disk.give_inodes, "No space"),
    "read-only": (Disk.read_only, Disk.writable, "Read-only"),
    "size of files limited": (Disk.limit, Disk.unlimit, "too large"),
    "folder removed": (Disk.remove, Disk.leave, ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_while_memory_holds_it(disk, receiver, enrolment, fault):
    """Also with the receiver away at first; afterwards the disk is used again."""
    breaks, mends, says = FAULTS[fault]
    enrolment.credentials()
    spool = Spool(disk.folder / "state" / "spool", boot="b")
    with delivering(spool, receiver, enrolment) as delivery:
        delivery.send(events(0, 100))
        wait_until(lambda: settled(delivery))
        breaks(disk)
        try:
            receiver.plan.extend([503] * 1_000)
            for start in range(100, 500, 50):
                delivery.send(events(start, 50))
            wait_until(lambda: spool.wrong.find(says) >= 0 and (spool.held_bytes > 0 or not says), what="held batches")
            assert facts(delivery)["spool_error"] == spool.wrong
            receiver.plan.clear()
            wait_until(lambda: settled(delivery) and len(receiver.events()) == 500, what="all of them")
        finally:
            mends(disk)
        receiver.plan.extend([503] * 1_000)
        delivery.send(events(500, 50))
        wait_until(lambda: list((disk.folder / "state" / "spool").glob("*.swb")), what="a file")
        assert not spool.wrong
        receiver.plan.clear()
        wait_until(lambda: len(receiver.events()) == 550)
    assert sorted(arrived(receiver)) == list(range(550))
    assert receiver.lost() == 0
    assert sorted(number for _, number in receiver.batches) == list(range(1, len(receiver.batches) + 1))
    assert len({stream for stream, _ in receiver.batches}) == 1


def test_what_is_held_goes_to_the_disk_when_it_can(disk):
    spool = Spool(disk.folder / "state", boot="b")
    disk.fill()
    for _ in range(3):
        assert spool.store(bytes(5_000), records=4, payload_bytes=5_000, lost={})
    assert (spool.held_bytes > 15_000, spool.wrong) == (True, "No space left on device")
    disk.free()
    spool.store(bytes(5_000), records=4, payload_bytes=5_000, lost={})
    assert (spool.held_bytes, spool.wrong) == (0, "")
    spool.close()
    again = Spool(disk.folder / "state", boot="b")
    assert len(again) == 4
    assert again.first()[1].batch == 1


def test_files_that_are_garbled_under_a_running_sensor_are_counted_exactly(tmp_path, receiver, enrolment):
    receiver.plan.extend([503] * 100_000)
    spool = Spool(tmp_path / "spool", boot="b")
    with delivering(spool, receiver, enrolment) as delivery:
        for start in range(0, 300, 50):
            delivery.send(events(start, 50))
            wait_until(lambda: not delivery._events)
        wait_until(lambda: len(spool) >= 6)
        files = sorted((tmp_path / "spool").glob("*.swb"))
        files[1].write_bytes(files[1].read_bytes()[:100])
        files[2].write_bytes(os.urandom(3_000))
        files[3].unlink()
        files[4].write_bytes(b"")
        receiver.plan.clear()
        wait_until(lambda: len(receiver.events()) + receiver.lost() >= 300)
    assert (len(receiver.events()), receiver.lost()) == (100, 200)
    assert delivery.figures.dropped == {"damaged": 200}


def test_a_sensor_starts_on_a_full_disk(disk, receiver, enrolment):
    disk.fill()
    spool = Spool(disk.folder / "state", boot="b")
    assert spool.wrong
    with delivering(spool, receiver, enrolment) as delivery:
        delivery.send(events(0, 100))
        wait_until(lambda: len(receiver.events()) == 100)
        disk.free()
        delivery.send(events(100, 20))
        wait_until(lambda: len(receiver.events()) == 120)
        assert not spool.wrong
        stream = spool.stream
    assert Spool(disk.folder / "state", boot="b").stream == stream


def test_a_read_only_folder_at_the_start_is_a_mistake(disk):
    disk.read_only()
    try:
        with pytest.raises(ConfigError, match="Read-only"):
            Spool(disk.folder / "state", boot="b")
    finally:
        disk.writable()


def test_a_token_is_not_spent_for_a_certificate_that_can_not_be_kept(disk, receiver):
    token = create_token(receiver.store, cluster="prod", now=NOW, lifetime=timedelta(hours=1))
    enrolment = Enrolment(disk.folder / "identity", server=receiver.url, node="n1", token=token, ca_file=receiver.ca)
    disk.fill()
    with pytest.raises(Unavailable, match="No space"):
        enrolment.credentials()
    assert not receiver.requests
    disk.free()
    assert enrolment.credentials().identity.node == "n1"
    again = Enrolment(disk.folder / "identity", server=receiver.url, node="n1", ca_file=receiver.ca)
    assert again.credentials().identity.node == "n1"
    assert (disk.folder / "identity" / "identity.pem").stat().st_mode & 0o777 == 0o600


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from seawall_sensor.spool import Spool
spool = Spool(Path({folder!r}), boot="b")
spool.taken(30)
spool.store(b"x" * 2000, records=10, payload_bytes=2000, lost={{}})
with open({filler!r}, "wb", buffering=0) as file:
    try:
        while True: file.write(bytes(512))
    except OSError: pass
spool.store(b"x" * 9000, records=20, payload_bytes=9000, lost={{}})
assert spool.held_bytes, spool.wrong
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_memory_held_when_the_process_was_killed_is_counted(disk):
    code = KILLED.format(root=str(Path.cwd()), folder=str(disk.folder / "state"), filler=str(disk.folder / "filler"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -9, done.stderr
    again = Spool(disk.folder / "state", boot="b")
    assert (len(again), again.lost_at_start) == (1, 20)
