"""The real sensor, its programs in the kernel, and whatever goes wrong behind it: every event once, or counted as lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from seawall.app.enrol_sensor import create_token
from seawall.domain.runtime_events import Heartbeat, Loss, ProcessExec

from tests.support.disks import small_disk
from tests.support.ports import free_port, wait_until
from tests.support.receivers import Receiver

from .conftest import Running

pytestmark = [pytest.mark.real("ebpf"), pytest.mark.bpf]

NOW = datetime.now(UTC)
PROCESSES = int(os.environ.get("SEAWALL_TEST_PROCESSES", "50000"))
SPAWNER = """
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
extern char **environ;
int main(int n, char **args) {
    char *child[] = { "/bin/true", args[2], 0 };
    for (int left = atoi(args[1]); left > 0; left--) {
        pid_t pid;
        if (posix_spawn(&pid, child[0], 0, 0, child, environ) || waitpid(pid, 0, 0) < 0)
            return 1;
    }
    return 0;
}
"""


class Sensor:
    """`seawall-sensor run` that delivers every event to a receiver; its state outlives it."""

    def __init__(self, folder: Path, receiver: Receiver, state: Path, *options: str) -> None:
        self.receiver, self.log = receiver, folder / "log"
        token = create_token(receiver.store, cluster="prod", now=NOW, lifetime=timedelta(hours=1))
        (folder / "token").write_text(token)
        self.command = [
            sys.executable, "-m", "seawall_sensor.cli", "run", "--server", receiver.url, "--ca-file", str(receiver.ca),
            "--enrolment-token-file", str(folder / "token"), "--state-dir", str(state), "--deliver", "events",
            "--node", "n1", "--no-inventory", "--max-pause-s", "2", *options,
        ]  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        before = self._beats()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        wait_until(lambda: self._alive() and self._beats() > before, what=f"the sensor ({self.log})", timeout_s=60)

    def _alive(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return True

    def _beats(self) -> int:
        return sum(isinstance(each, Heartbeat) and each.state != "stopping" for each in self.receiver.events())

    def end(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(60)


@pytest.fixture
def sensor(tmp_path: Path, receiver: Receiver, programs: None) -> Iterator[Sensor]:
    found = Sensor(tmp_path, receiver, tmp_path / "state")
    found.start()
    yield found
    if found.process is not None and found.process.poll() is None:
        found.end(signal.SIGKILL)


def run_marked(mark: str, number: int) -> None:
    loop = f"i=0; while [ $i -lt {number} ]; do /bin/true {mark}-$i; i=$((i+1)); done"
    subprocess.run(["sh", "-c", loop], check=True)


def marked(receiver: Receiver, mark: str) -> Counter[str]:
    """How often each marked program arrived."""
    return Counter(
        event.process.args[1]
        for event in receiver.events()
        if isinstance(event, ProcessExec)
        and len(event.process.args) == 2
        and event.process.args[1].startswith(f"{mark}-")
    )


def losses(receiver: Receiver) -> int:
    return sum(
        event.lost
        for events in list(receiver.batches.values())
        for event in events
        if isinstance(event, Loss) and event.event_class in ("", "exec")
    )


def test_a_receiver_at_its_worst(receiver, sensor):
    receiver.plan.extend([500, 503, 429, "cut", "slow", "cut-after", "slow", "cut-after", 500])
    run_marked("worst", 300)
    wait_until(lambda: len(marked(receiver, "worst")) + losses(receiver) >= 300, what="all of them", timeout_s=120)
    # What was cut after it had been taken comes again, under its number, when the pauses are over.
    wait_until(lambda: receiver.repeats >= 1, what="the repeat", timeout_s=240)
    sensor.end(signal.SIGTERM)
    found = marked(receiver, "worst")
    assert set(found.values()) == {1}
    assert len(found) <= 300 <= len(found) + losses(receiver)


def test_kill_9_in_the_middle(receiver, sensor):
    receiver.plan.extend([503] * 1000)
    run_marked("before", 200)
    time.sleep(2.5)  # read, taken and written
    sensor.end(signal.SIGKILL)
    receiver.plan.clear()
    sensor.start()
    run_marked("after", 200)
    wait_until(lambda: len(marked(receiver, "after")) >= 200, what="all of them", timeout_s=120)
    sensor.end(signal.SIGTERM)
    before, after = marked(receiver, "before"), marked(receiver, "after")
    assert set((before + after).values()) == {1}
    assert len(before) <= 200 <= len(before) + losses(receiver)
    ids = Counter(event.id for event in receiver.events() if isinstance(event, ProcessExec))
    assert set(ids.values()) == {1}  # no event number comes twice, though the sensor was started twice
    assert len({stream for stream, _ in receiver.batches}) == 1


@pytest.mark.real("tmpfs")
def test_a_full_disk(tmp_path, receiver, programs):
    """The node's disk fills up while nobody receives: the sensor runs on, says so, and uses the disk again."""
    with small_disk(tmp_path / "disk") as disk:
        port = free_port()
        sensor = Sensor(tmp_path, receiver, disk.folder / "state", "--status-address", f"127.0.0.1:{port}")
        sensor.start()

        def metric(name: str) -> float:
            lines = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text.splitlines()
            return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"seawall_sensor_{name}"))

        wait_until(lambda: metric("spool_batches") == 0)
        receiver.plan.extend([503] * 1000)
        disk.fill()
        run_marked("full", 100)
        wait_until(lambda: metric("spool_disk_working") == 0 and metric("spool_held_bytes") > 0, what="a held batch")
        assert "takes nothing" in sensor.log.read_text()
        receiver.plan.clear()
        wait_until(lambda: len(marked(receiver, "full")) + losses(receiver) >= 100, what="all of them", timeout_s=60)
        disk.free()
        run_marked("free", 20)
        wait_until(lambda: len(marked(receiver, "free")) + losses(receiver) >= 20, what="the rest", timeout_s=60)
        assert metric("spool_disk_working") == 1
        sensor.end(signal.SIGTERM)
    assert "takes batches again" in sensor.log.read_text()
    assert set((marked(receiver, "full") + marked(receiver, "free")).values()) == {1}
    beats = [event for event in receiver.events() if isinstance(event, Heartbeat)]
    assert beats[-1].state == "stopping"
    assert (beats[-1].spool_error, beats[-1].dropped) == ("", 0)


def test_short_lived_processes(tmp_path, programs):
    """As many as a busy build makes: each is seen, or counted."""
    source, spawner = tmp_path / "spawner.c", tmp_path / "spawner"
    source.write_text(SPAWNER)
    subprocess.run(["clang", "-O1", "-o", str(spawner), str(source)], check=True)
    running = Running("--no-inventory")
    running.wait_for(lambda line: line["kind"] == "heartbeat" and line["state"] == "ready", 60)
    subprocess.run([str(spawner), str(PROCESSES), "short"], check=True, timeout=400)
    running.stop()
    seen = sum(
        line.get("count", 1)
        for line in running.lines
        if line.get("event") == "process_exec" and line["process"].get("args") == ["/bin/true", "short"]
    )
    lost = sum(
        line["lost"] for line in running.lines if line["kind"] == "loss" and line.get("event_class") in ("", "exec")
    )
    assert seen <= PROCESSES <= seen + lost
    assert seen > PROCESSES / 2


@pytest.mark.real("podman")
def test_containers_come_and_go(programs, in_container):
    running = Running("--no-inventory")
    running.wait_for(lambda line: line["kind"] == "heartbeat" and line["state"] == "ready", 60)
    names = [in_container("true") for _ in range(8)]
    time.sleep(2)
    running.stop()
    for kind in ("container_start", "container_stop"):
        told = Counter(line["container"].get("name") for line in running.lines if line.get("event") == kind)
        assert {name: told[name] for name in names} == dict.fromkeys(names, 1), kind
