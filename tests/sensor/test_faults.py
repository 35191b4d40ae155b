"""What goes wrong is counted, and nothing of the sensor stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import Running

pytestmark = [pytest.mark.real("ebpf"), pytest.mark.bpf]

PROCESSES = int(os.environ.get("SEAWALL_TEST_PROCESSES", "10000"))
"""Enough to overrun the 4 MB ring of processes while the sensor stands still."""


def _programs_of(pid: int) -> set[int]:
    found = set()
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        found |= {int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith("prog_id:")}
    return found


def _loaded() -> set[int]:
    shown = subprocess.run(["bpftool", "-j", "prog", "show"], check=True, capture_output=True, text=True)
    return {row["id"] for row in json.loads(shown.stdout)}


def test_overrun_is_counted(sensor):
    sensor.process.send_signal(signal.SIGSTOP)
    try:
        loop = f"i=0; while [ $i -lt {PROCESSES} ]; do /bin/true; i=$((i+1)); done"
        subprocess.run(["sh", "-c", loop], check=True)
    finally:
        sensor.process.send_signal(signal.SIGCONT)
    loss = sensor.wait_for(lambda line: line["kind"] == "loss" and line.get("stage") == "ring", 20)
    assert loss["event_class"] == "exec"
    sensor.stop()
    seen = sum(
        1
        for line in sensor.lines
        if line.get("event") == "process_exec" and line["process"].get("args") == ["/bin/true"]
    )
    lost = sum(line["lost"] for line in sensor.lines if line["kind"] == "loss" and line.get("event_class") == "exec")
    assert seen < PROCESSES <= seen + lost


def test_killed_sensor_leaves_no_programs(programs):
    running = Running("--all-hooks")
    running.wait_for(lambda line: line["kind"] == "heartbeat" and line["state"] == "ready")
    identities = _programs_of(running.process.pid)
    assert identities & _loaded()
    running.process.kill()
    running.stop()  # closes its pipes
    end = time.monotonic() + 5
    while (left := identities & _loaded()) and time.monotonic() < end:
        time.sleep(0.1)  # the kernel frees programs after a grace period
    assert not left
