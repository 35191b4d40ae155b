"""Which repeats of an alert become a line, and that a line stays whole."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
import time
from datetime import UTC, datetime

from seawall.domain.alerts import Alert
from seawall.domain.runtime_events import ProcessExec
from seawall.domain.severity import Severity
from seawall_sensor.output import JsonLines, Repeats

from tests.detection.runtime_events import ran


def _alert(message: str, *, identity: str = "a", severity: Severity = Severity.MEDIUM) -> Alert:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Alert(identity, "RT-0308", "scan", message, severity, (), at, at, "runtime")


def test_a_scan_is_few_lines_and_its_count_is_told():
    repeats = Repeats(now=lambda: 0.0)
    told = [repeats.count(_alert(f"x (pid 7) probes 10.0.0.9:{port}"), "c") for port in range(600)]
    assert [count for count in told if count] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


def test_something_new_is_told():
    repeats = Repeats(now=lambda: 0.0)
    assert all(repeats.count(_alert(text), "c") for text in ("a reads x", "a reads y", "a reads z", "b reads x"))
    assert all(repeats.count(_alert(f"/tmp/a{number} (pid {number}) ran"), "c") for number in range(5)), "other files"
    assert repeats.count(_alert("a reads x"), "c") == 0
    assert repeats.count(_alert("a reads x"), "another") == 1
    assert repeats.count(_alert("a reads x", identity="b"), "c") == 1


def test_what_counts_only_as_a_number_is_few_lines():
    repeats = Repeats({"RT-0308"}, now=lambda: 0.0)
    told = [repeats.count(_alert(f"probes 10.0.0.{n}"), "c") for n in range(100)]
    assert [count for count in told if count] == [1, 2, 4, 8, 16, 32, 64]


def test_the_less_grave_the_fewer_texts():
    repeats = Repeats(now=lambda: 0.0)
    told = [repeats.count(_alert(f"/tmp/{chr(97 + n)} changed", severity=Severity.LOW), "c") for n in range(20)]
    assert [count for count in told if count] == [1, 2, 3, 4, 8, 16]


def test_names_without_end_are_not_all_new():
    repeats = Repeats(now=lambda: 0.0)
    names = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}q.evil.example" for n in range(300)]
    assert sum(bool(repeats.count(_alert(name), "c")) for name in names) < 30


def test_what_is_graver_or_comes_after_silence_is_told():
    now = [0.0]
    repeats = Repeats(now=lambda: now[0])
    for _ in range(5):
        repeats.count(_alert("x"), "c")
    assert repeats.count(_alert("x", severity=Severity.HIGH), "c") == 6
    assert repeats.count(_alert("x"), "c") == 0
    now[0] = 700.0
    repeats.count(_alert("x"), "c")
    now[0] = 1400.0
    assert repeats.count(_alert("x"), "c") == 9


def test_no_line_is_torn_by_signals_small_pipes_and_readers_that_made_the_pipe_not_wait():
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    text = bytearray()

    def read() -> None:
        while chunk := os.read(reading, 3000):
            text.extend(chunk)
            time.sleep(0.0005)

    reader = threading.Thread(target=read)
    reader.start()
    heard = []
    before = signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        sink = JsonLines(writing)
        for number in range(200):
            sink.event(ran(f"app {number} {'x' * (number * 37 % 9000)}"))
        sink.flush()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        os.close(writing)
        reader.join()
        os.close(reading)
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["process"]["args"][1] for line in lines] == [str(number) for number in range(200)]
    assert len(heard) > 10


def test_a_write_that_fails_midway_begins_nothing_anew(monkeypatch):
    taken = bytearray()
    room = [100, -1, 10_000]

    def write(_fd: int, data: bytes) -> int:
        size = room.pop(0)
        if size < 0:
            raise OSError("no space for now")
        taken.extend(data[:size])
        return min(size, len(data))

    monkeypatch.setattr("seawall_sensor.output.os.write", write)
    sink = JsonLines(1)
    event: ProcessExec = ran(f"app {'y' * 300}")
    sink.event(event)
    try:
        sink.flush()
    except OSError:
        sink.flush()
    assert json.loads(taken)["process"]["args"] == list(event.process.args)
