"""What the sensor gives up to stay within its limits, and when it takes it back."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest
from seawall_sensor import limits
from seawall_sensor.limits import SHEDDING, Limits
from seawall_sensor.records import Kind

from .conftest import Running


@pytest.fixture
def clock(monkeypatch):
    """Seconds of wall and of processor time, as the test says them."""
    found = {"wall": 0.0, "cpu": 0.0, "resident": 50 << 20}
    monkeypatch.setattr(limits.time, "monotonic", lambda: found["wall"])
    monkeypatch.setattr(limits.time, "process_time", lambda: found["cpu"])
    monkeypatch.setattr(Limits, "resident_bytes", staticmethod(lambda: found["resident"]))
    return found


def seconds(clock, watched, number, *, busy=0.0, ring=0.0):
    for _ in range(number):
        clock["wall"] += 1
        clock["cpu"] += busy
        shed = watched.adjust(ring)
    return shed


def test_least_important_first_and_back_again(clock):
    watched = Limits(0.5)
    assert seconds(clock, watched, 2, busy=0.4) == frozenset()
    first = seconds(clock, watched, 3, busy=0.9)
    assert Kind.IN_USE in first
    assert Kind.OPEN not in first
    everything = seconds(clock, watched, 10, busy=0.9)
    assert everything == frozenset().union(*SHEDDING)
    assert not everything & {Kind.EXEC, Kind.PTRACE, Kind.MODULE, Kind.NAMESPACE, Kind.CGROUP}
    assert seconds(clock, watched, 60, busy=0.05) == frozenset()


@pytest.mark.parametrize("reason", ["ring", "memory"])
def test_full_rings_and_memory_count_too(clock, reason):
    watched = Limits(0.5, memory_bytes=100 << 20)
    if reason == "memory":
        clock["resident"] = 101 << 20
    assert seconds(clock, watched, 1, ring=0.7 if reason == "ring" else 0.0)
    clock["resident"] = 50 << 20
    assert seconds(clock, watched, 6) == frozenset()


@pytest.mark.real("ebpf")
@pytest.mark.bpf
def test_a_sensor_that_fell_behind_sheds_says_so_and_recovers(programs):
    """Stopped while programs start, it wakes to a full ring: whatever the machine's speed. CPU is no reason here."""
    running = Running("--cpu-share", "16", "--fold-s", "0", "--no-inventory", "--all-hooks")
    running.wait_for(lambda line: line["kind"] == "heartbeat" and line["state"] == "ready", 60)
    # It says that it is ready before it reads: stopped in between, it would empty the ring before it looks at its level.
    time.sleep(2)
    running.process.send_signal(signal.SIGSTOP)
    try:
        subprocess.run(["sh", "-c", "i=0; while [ $i -lt 9000 ]; do /bin/true; i=$((i+1)); done"], check=True)
    finally:
        running.process.send_signal(signal.SIGCONT)
    beat = running.wait_for(lambda line: line["kind"] == "heartbeat" and line.get("shed"), 60)
    assert beat["state"] == "degraded"
    assert "in_use" in beat["shed"]
    assert "exec" not in beat["shed"]
    later = running.wait_for(
        lambda line: (
            line["kind"] == "heartbeat"
            and line["state"] == "ready"
            and not line.get("shed")
            and line["uptime_s"] > beat["uptime_s"]
        ),
        120,
    )
    assert later["lag_s"] < beat["lag_s"] or beat["lag_s"] == 0
    running.stop()
