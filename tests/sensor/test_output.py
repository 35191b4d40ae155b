"""Which repeats of an alert become a line."""

from __future__ import annotations

from datetime import UTC, datetime

from seawall.domain.alerts import Alert
from seawall.domain.severity import Severity
from seawall_sensor.output import Repeats


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
