"""Commands that BusyBox's shell runs within itself are judged like program starts."""

from __future__ import annotations

import pytest
from seawall.detection.applets import applets_of
from seawall.detection.engine import Engine

from tests.detection.runtime_events import RULES, ran


def commands(text: str, exe: str = "/bin/busybox") -> list[tuple[str, ...]]:
    event = ran("sh", exe=exe, args=("sh", "-c", text))
    return [applet.process.args for applet in applets_of(event)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("id; uname -a", [("id",), ("uname", "-a")]),
        ("X=1 find / -name '*.pem' 2>/dev/null | head", [("find", "/", "-name", "*.pem"), ("head",)]),
        ("if true; then touch a; fi", [("true",), ("touch", "a")]),
        ("echo a > /tmp/x && rm -f /tmp/x", [("echo", "a"), ("rm", "-f", "/tmp/x")]),
        ("echo 'no end", []),
    ],
)
def test_commands(text, found):
    assert commands(text) == found


def test_only_shells_of_multi_call_files():
    assert commands("id", exe="/bin/dash") == []
    assert applets_of(ran("find / -name x", exe="/bin/busybox")) == ()


def test_ids_differ():
    applets = applets_of(ran("sh", exe="/bin/busybox", args=("sh", "-c", "id; id")))
    assert len({applet.id for applet in applets}) == 2


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("RT-0604", "find / -name .git-credentials"),
        ("RT-0205", "modprobe msr allow_writes=on"),
        ("RT-0513", "id; whoami; uname -a; hostname; ps"),
        ("RT-0812", "chattr -i /etc/passwd"),
    ],
)
def test_judged_like_program_starts(rule, text):
    engine = Engine([RULES[rule]])
    assert engine.run([ran("sh", exe="/bin/busybox", args=("sh", "-c", text))])
    assert list(engine.process(ran("sh", exe="/bin/busybox", args=("sh", "-c", text))))
    assert not engine.run([ran("sh", exe="/bin/busybox", args=("sh", "-c", "ls; date; sleep 1"))])


def test_equal_starts_are_judged_once_and_windows_still_count():
    engine = Engine([RULES["RT-0104"], RULES["RT-0513"]])
    quiet = [ran("id", at=number / 1000) for number in range(3)]
    assert [list(engine.process(each)) for each in quiet] == [[], [], []]
    assert len(engine.process(ran("/tmp/x"))) == 1
    assert len(engine.process(ran("/tmp/x"))) == 1, "what said something says it again"
    others = [engine.process(ran(command)) for command in ("whoami", "uname -a", "hostname", "ps", "id")]
    assert any(others), "a quiet start counts for windows"
