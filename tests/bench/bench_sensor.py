"""What the sensor costs: workloads with the sensor off and on, a burst of events, memory, idle share, time to start.

Off and on alternate in one run, `--rounds` times each; ratios are of the medians. Between them the same work runs with an empty
program on the tracepoint that every system call passes: what the kernel itself asks for that, and so the limit of any sensor
where it has no trampolines. The burst makes 300,000 kernel events a
second, which no analytic watches, so each is read, decoded and filtered, and nothing may be lost: `fchmod` of one file; then
`fchmod` and opening for writing in turn, over 1,000 files. Needs root, a C compiler and `make sensor`. Exit code 1 when a budget is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from seawall_sensor.libbpf import BpfObject

RESIDENT_MB, IDLE_SHARE, START_S, BURST_PER_S = 80.0, 0.01, 2.0, 300_000
_TICKS = os.sysconf("SC_CLK_TCK")

BURST = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
int main(int n, char **args)
{
    double rate = atof(args[2]), seconds = atof(args[3]), start;
    int files = atoi(args[4]), fd = -1;
    char (*names)[256] = calloc(files, 256);
    long done = 0;
    for (int i = 0; i < files; i++) {
        snprintf(names[i], 256, "%s/%d.bin", args[1], i);
        fd = open(names[i], O_RDWR | O_CREAT, 0600);
        if (i < files - 1)
            close(fd);
    }
    start = now();
    while (now() - start < seconds) {
        /* A machine that is too slow for the rate ends in time all the same. */
        while (done < (now() - start) * rate && now() - start < seconds)
            for (int i = 0; i < 64; i++, done++)
                if (files > 1 && done & 1) {
                    close(fd);
                    fd = open(names[done / 2 % files], O_WRONLY);
                } else {
                    fchmod(fd, 0600);
                }
        usleep(50);
    }
    printf("%ld %f\n", done, now() - start);
    return 0;
}
"""

HTTP_SERVER = """
import http.server
class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Quiet)
print(server.server_port, flush=True)
server.serve_forever()
"""

HTTP_CLIENT = """
import http.client, sys, time
start = time.monotonic()
for _ in range(int(sys.argv[2])):
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
    connection.request("GET", "/"); connection.getresponse().read(); connection.close()
print(time.monotonic() - start)
"""

EMPTY = r"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("raw_tp/sys_exit") int empty(void *context) { return 0; }
char LICENSE[] SEC("license") = "GPL";
"""


def _timed(*command: str) -> float:
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - start


def _http(requests: int) -> float:
    with subprocess.Popen([sys.executable, "-c", HTTP_SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        client = [sys.executable, "-c", HTTP_CLIENT, server.stdout.readline().strip(), str(requests)]
        try:
            return float(subprocess.run(client, check=True, capture_output=True, text=True).stdout)
        finally:
            server.kill()


def workloads(loops: int) -> dict[str, tuple[Callable[[], float], float, int]]:
    """Return name: (what runs it and returns its seconds, the slowdown that is allowed, how often a round runs it)."""
    script = f"i=0; while [ $i -lt {loops} ]; do /bin/true; i=$((i+1)); done"
    return {
        f"shell loop of {loops} true": (lambda: _timed("sh", "-c", script), 1.02, 1),
        f"{loops * 50} one-byte reads and writes": (
            lambda: _timed("dd", "if=/dev/zero", "of=/dev/null", "bs=1", f"count={loops * 50}"),
            1.03,
            5,
        ),
        f"{loops // 5} loopback HTTP requests": (lambda: _http(loops // 5), 1.03, 5),
    }


def empty_program(folder: Path) -> BpfObject:
    """Return a program that does nothing, attached to the tracepoint at the end of every system call."""
    built = folder / "empty.bpf.o"
    include = Path("/usr/include", f"{platform.machine()}-linux-gnu")
    compiler = ["clang", "-O2", "-g", "-target", "bpf", f"-I{include}", "-x", "c", "-c", "-", "-o", str(built)]
    subprocess.run(compiler, input=EMPTY.encode(), check=True)
    found = BpfObject(built)
    found.load()
    found.attach("empty")
    return found


class Sensor:
    """A sensor that is ready, with the seconds that it took and what it said."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.out = folder / f"{time.monotonic_ns()}.jsonl"
        began = time.monotonic()
        with self.out.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "seawall_sensor.cli", "run", "--only", "alert", *options],
                stdout=stream,
            )
        while b'"state":"ready"' not in self.out.read_bytes():
            if self.process.poll() is not None or time.monotonic() - began > 60:
                sys.exit("the sensor did not start")
            time.sleep(0.02)
        self.start_s = time.monotonic() - began

    def cpu_s(self) -> float:
        """Return the processor time that it took so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_mb(self) -> float:
        """Return resident memory without the rings' pages, which are shared with the kernel and mapped twice."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> int:
        """End it; return what it counted as lost."""
        self.process.terminate()
        self.process.wait(timeout=60)
        lines = [json.loads(line) for line in self.out.read_bytes().splitlines()]
        return sum(line["lost"] for line in lines if line["kind"] == "loss")


def burst(folder: Path, seconds: float, files: int, *options: str) -> tuple[float, int, float]:
    """Return (events a second made on so many files, lost, share of a core that the sensor took); `options` are its."""
    program = folder / "burst"
    subprocess.run(["cc", "-O2", "-x", "c", "-", "-o", str(program)], input=BURST.encode(), check=True)
    sensor = Sensor(folder, *options)
    before = sensor.cpu_s()
    done = subprocess.run(
        [program, folder, str(BURST_PER_S), str(seconds), str(files)], capture_output=True, text=True, check=True
    )
    number, took = done.stdout.split()
    time.sleep(1)
    share = (sensor.cpu_s() - before) / float(took)
    return int(number) / float(took), sensor.stop(), share


def main() -> None:
    """Measure, print, compare with the budgets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loops", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle-s", type=float, default=10.0)
    parser.add_argument("--burst-s", type=float, default=10.0)
    options = parser.parse_args()
    works = workloads(options.loops)
    took: dict[str, dict[str, list[float]]] = {state: {name: [] for name in works} for state in ("off", "empty", "on")}

    def work(state: str) -> None:
        for name, (run, _, times) in works.items():
            took[state][name] += [run() for _ in range(times)]

    starts, idle, memory, lost_at_work = [], 0.0, 0.0, 0
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        folder = Path(place)
        for number in range(options.rounds):
            work("off")
            empty = empty_program(folder)
            work("empty")
            empty.close()
            sensor = Sensor(folder)
            starts.append(sensor.start_s)
            if not number:
                before = sensor.cpu_s()
                time.sleep(options.idle_s)
                idle = (sensor.cpu_s() - before) / options.idle_s
            work("on")
            memory = max(memory, sensor.resident_mb())
            lost_at_work += sensor.stop()
        # Each event comes to user space, is decoded as far as it takes to know, and filtered there; then, as the sensor runs
        # by default, equal ones are counted in the kernel.
        bursts = {
            "on one file": burst(folder, options.burst_s, 1, "--fold-s", "0"),
            "on 1,000 files": burst(folder, options.burst_s, 1000, "--fold-s", "0"),
            "on one file, folded in the kernel": burst(folder, options.burst_s, 1),
        }
    medians = {state: {name: statistics.median(each[name]) for name in works} for state, each in took.items()}
    rows = [
        (f"{name}, on / off", medians["on"][name] / medians["off"][name], budget, "")
        for name, (_, budget, _) in works.items()
    ]
    rows += [
        ("lost in the workloads", float(lost_at_work), 0.0, ""),
        *(
            (f"lost at {rate:,.0f} events a second for {options.burst_s:.0f} s {what}", float(lost), 0.0, "")
            for what, (rate, lost, _) in bursts.items()
        ),
        ("resident, own pages", memory, RESIDENT_MB, " MB"),
        (f"share of a core in {options.idle_s:.0f} s without work of ours", idle, IDLE_SHARE, ""),
        ("start to ready", min(starts), START_S, " s"),
    ]
    missed = any(value > budget for _, value, budget, _ in rows)
    missed |= any(rate < 0.99 * BURST_PER_S for rate, _, _ in bursts.values())
    for name, value, budget, unit in rows:
        sys.stdout.write(f"{'ok  ' if value <= budget else 'MISS'} {name}: {value:.3f}{unit} (budget {budget}{unit})\n")
    for name in works:
        limit = medians["empty"][name] / medians["off"][name]
        sys.stdout.write(f"{name}, with an empty program on the tracepoint of all calls / off: {limit:.3f}\n")
    for what, (rate, _, share) in bursts.items():
        sys.stdout.write(
            f"{what}: {rate:,.0f} of {BURST_PER_S:,} events a second made; the sensor took {share:.2f} of a core\n"
        )
    sys.exit(missed)


if __name__ == "__main__":
    main()
