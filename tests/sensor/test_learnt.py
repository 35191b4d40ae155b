"""What was learnt outlives the sensor, in a file that is whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from seawall.detection.baselines.profiles import SLOTS, HabitSettings
from seawall.detection.engine import Engine
from seawall_sensor import learning as learning_module
from seawall_sensor.learning import EVERY_S, FILE, Learning

from tests.detection.baselines.week import at
from tests.detection.runtime_events import RULES, ran


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def learnt(folder: Path | None, now_s: Any = lambda: 0.0) -> Learning:
    learning = Learning(Engine(RULES.values()), HabitSettings(), folder, now_s=now_s)
    for hour in range(SLOTS):
        assert not learning.process(at(hour, ran("app")))
    return learning


def analytics(learning: Learning, line: str, hour: float = 30) -> list[str]:
    return [alert.analytic for alert in learning.process(at(hour, ran(line)))]


def test_rules_say_what_they_say_whatever_was_learnt():
    new = Learning(Engine(RULES.values()), HabitSettings(), None)
    line = "nmap -p 443 10.0.0.0/8"
    by_rules = analytics(new, line)
    assert by_rules
    assert analytics(learnt(None), line) == [*by_rules, "BL-0101"]


def test_what_was_learnt_is_there_again(tmp_path):
    learnt(tmp_path).close()
    again = Learning(Engine(RULES.values()), HabitSettings(), tmp_path)
    assert again.facts() == {"workloads_learnt": 1, "workloads_learning": 0}
    assert analytics(again, "find / -name x") == ["BL-0101"]
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_it_is_kept_now_and_then_by_a_thread(tmp_path):
    clock = Clock()
    learning = learnt(tmp_path, clock)
    learning.tick()
    assert not (tmp_path / FILE).exists()
    clock.now_s = EVERY_S
    learning.tick()
    learning.close()
    assert [each.name for each in tmp_path.iterdir()] == [FILE]
    (tmp_path / FILE).unlink()
    clock.now_s *= 2
    learning.tick()
    learning.close()
    assert not (tmp_path / FILE).exists()  # nothing new


@pytest.mark.parametrize("content", [b"", b"SWH1", b"\0" * 5000, b"SWH0" + b"x" * 40])
def test_a_file_that_can_not_be_used_is_told_and_learnt_anew(tmp_path, caplog, content):
    (tmp_path / FILE).write_bytes(content)
    learning = learnt(tmp_path)
    assert "learnt anew" in caplog.text
    learning.close()
    assert Learning(Engine(()), HabitSettings(), tmp_path).facts()["workloads_learnt"] == 1


def test_a_folder_that_can_not_be_written_costs_nothing_but_the_file(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    learning = learnt(tmp_path / "file" / "folder")
    learning.close()
    assert "could not be kept" in caplog.text
    assert analytics(learning, "find / -name x") == ["BL-0101"]


def test_a_write_that_is_cut_off_leaves_the_file_before(tmp_path, monkeypatch):
    learnt(tmp_path).close()
    before = (tmp_path / FILE).read_bytes()
    monkeypatch.setattr(learning_module.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "no space")))
    learning = learnt(tmp_path)
    learning.process(at(99, ran("app")))
    learning.close()
    assert (tmp_path / FILE).read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


def test_time_in_which_kinds_of_events_are_switched_off_teaches_nothing():
    learning = Learning(Engine(RULES.values()), HabitSettings(), None)
    learning.tick(["connect", "accept"])
    for hour in range(SLOTS):
        learning.process(at(hour, ran("app")))
    assert learning.facts() == {"workloads_learnt": 0, "workloads_learning": 1}
    learning.tick(["in_use"])
    for hour in range(SLOTS, 2 * SLOTS):
        learning.process(at(hour, ran("app")))
    assert learning.facts() == {"workloads_learnt": 1, "workloads_learning": 0}
