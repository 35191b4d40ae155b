"""What the sensor costs: an exec-heavy loop with the sensor off and on, memory, idle share of a core, time to start.

Off and on alternate in one run; the ratio is of the best of `--rounds`. `--loops N` processes a round (default 20,000).
Needs root and `make sensor`. Exit code 1 when a budget is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SLOWDOWN, RESIDENT_MB, IDLE_SHARE, START_S = 1.02, 80.0, 0.01, 2.0
_TICKS = os.sysconf("SC_CLK_TCK")


def loop(number: int) -> float:
    """Return the seconds that a shell takes to run `true` so often."""
    start = time.monotonic()
    subprocess.run(["sh", "-c", f"i=0; while [ $i -lt {number} ]; do /bin/true; i=$((i+1)); done"], check=True)
    return time.monotonic() - start


def start(out: Path) -> tuple[subprocess.Popen[bytes], float]:
    """Return a sensor that is ready, and the seconds until it was."""
    began = time.monotonic()
    with out.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "seawall_sensor.cli", "run", "--only", "alert"], stdout=stream
        )
    while b'"state":"ready"' not in out.read_bytes():
        if process.poll() is not None or time.monotonic() - began > 60:
            sys.exit("the sensor did not start")
        time.sleep(0.02)
    return process, time.monotonic() - began


def cpu_s(pid: int) -> float:
    """Return the processor time that a process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    """Return resident memory without the rings' pages, which are shared with the kernel and mapped twice."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Measure, print, compare with the budgets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loops", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle-s", type=float, default=10.0)
    options = parser.parse_args()
    off, on, lost, starts, idle, memory = [], [], 0, [], 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            off.append(loop(options.loops))
            out = Path(folder) / f"{number}.jsonl"
            process, seconds = start(out)
            starts.append(seconds)
            if not number:
                before = cpu_s(process.pid)
                time.sleep(options.idle_s)
                idle = (cpu_s(process.pid) - before) / options.idle_s
            on.append(loop(options.loops))
            memory = max(memory, resident_mb(process.pid))
            process.terminate()
            process.wait(timeout=30)
            lines = [json.loads(line) for line in out.read_bytes().splitlines()]
            lost += sum(line["lost"] for line in lines if line["kind"] == "loss")
    rows = [
        (f"shell loop of {options.loops} true, on / off", min(on) / min(off), SLOWDOWN, ""),
        ("resident, own pages", memory, RESIDENT_MB, " MB"),
        (f"share of a core in {options.idle_s:.0f} s without work of ours", idle, IDLE_SHARE, ""),
        ("start to ready", min(starts), START_S, " s"),
    ]
    for name, value, budget, unit in rows:
        sys.stdout.write(f"{'ok  ' if value <= budget else 'MISS'} {name}: {value:.3f}{unit} (budget {budget}{unit})\n")
    sys.stdout.write(f"lost and counted: {lost}\n")
    sys.exit(any(value > budget for _, value, budget, _ in rows))


if __name__ == "__main__":
    main()
