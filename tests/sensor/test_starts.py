"""Starts that are equal to one that said nothing are taken in without an event; any difference that matters makes one."""

from __future__ import annotations

from typing import Any

import pytest
from seawall.catalog import collect
from seawall.detection.declaration import Detection
from seawall.detection.engine import Engine
from seawall.domain.runtime_events import ContainerContext, ProcessExec, RuntimeEvent
from seawall_sensor import records
from seawall_sensor.containers import Container
from seawall_sensor.host import Host
from seawall_sensor.loader import Options
from seawall_sensor.records import HEAD, Kind
from seawall_sensor.sensor import Sensor
from seawall_sensor.starts import SPAN_NS

HOST = Host.here("node")
SHELL, NOW = 100, 7 * SPAN_NS


class Collected:
    def __init__(self) -> None:
        self.events: list[RuntimeEvent] = []
        self.alerts: list[str] = []

    def event(self, event: RuntimeEvent) -> None:
        self.events.append(event)

    def alert(self, alert: Any, event: RuntimeEvent) -> None:
        self.alerts.append(alert.analytic)

    def flush(self) -> None:
        pass


def start(
    pid: int,
    *command: str,
    ts_ns: int = NOW,
    path: str = "/bin/true",
    env: bytes = b"",
    uid: int = 0,
    ns_pid: int = 0,
    cpu: int = 0,
    ppid: int = SHELL,
    start_ns: int = 0,
) -> bytes:
    raw = b"".join(part.encode() + b"\0" for part in reversed(path.strip("/").split("/")))
    args = b"".join(each.encode() + b"\0" for each in command or ("true",))
    comm = path.rpartition("/")[2].encode()[:15]
    head = HEAD.pack(
        ts_ns, start_ns or pid, 77, 0, pid, pid, ppid, uid, uid, uid, 1, 1, comm, 0, cpu, Kind.EXEC, HOST.mount_namespace, 0
    )  # fmt: skip
    body = records.EXEC.pack(
        9, 100, 1, 1, 0, 0, 1, 0o100755, 1, -1, ns_pid, uid, 6, 0, b"\0\0\0", 1, len(raw), 0, 0, len(args), len(env), b"", 0, 0,
        b"", 0,
    )  # fmt: skip
    above = records.ANCESTOR.pack(SHELL, SHELL, 0, b"sh") + bytes(7 * records.ANCESTOR.size)
    return head + body + above + raw + args + env


@pytest.fixture
def sensor():
    sink = Collected()
    rules = [rule for rule in collect("seawall.detection.rules.runtime", Detection) if rule.enabled]
    made = Sensor(HOST, Options(), sink, Engine(rules), repeats=False)
    made._handle(start(SHELL, "sh", path="/bin/sh", ppid=0))
    sink.events.clear()
    return made


def told(sensor: Sensor, *found: bytes) -> list[tuple[str, ...]]:
    sensor.sink.events.clear()
    for data in found:
        sensor._handle(data)
    return [event.process.args for event in sensor.sink.events if isinstance(event, ProcessExec)]


def test_an_equal_start_makes_no_event_but_is_known(sensor):
    assert len(told(sensor, start(201), start(202, cpu=1, ns_pid=5), start(203, ts_ns=NOW + 10**9))) == 1
    assert sensor.status.events == 4
    for pid in (202, 203):
        entry = sensor.processes.peek(pid)
        assert (entry.exe, entry.args, entry.start_ns, entry.ppid) == ("/bin/true", ("true",), pid, SHELL)
        assert [above.exe for above in sensor.processes.ancestors(entry)][:1] == ["/bin/sh"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"command": ("true", "-x")}, id="arguments"),
        pytest.param({"path": "/sbin/true"}, id="path"),
        pytest.param({"uid": 1000}, id="user"),
        pytest.param({"env": b"LD_PRELOAD=/tmp/x.so\0"}, id="environment"),
        pytest.param({"ppid": 101}, id="parent"),
        pytest.param({"ts_ns": NOW + SPAN_NS}, id="later"),
    ],
)
def test_what_differs_is_told(sensor, other):
    command = other.pop("command", ())
    assert len(told(sensor, start(201), start(202, *command, **other))) == 2


def test_an_ancestor_that_is_another_now_is_seen(sensor):
    """The shell runs another program with its own name: what it starts is not what it started before."""
    found = told(sensor, start(201), start(SHELL, "sh", path="/var/tmp/sh", ppid=0), start(202))
    assert found == [("true",), ("sh",), ("true",)]


def test_an_ancestor_that_listens_now_is_seen(sensor):
    told(sensor, start(201))
    sensor.processes.peek(SHELL).now_listens()
    assert len(told(sensor, start(202))) == 1


def test_a_process_that_ran_something_else_before_is_seen(sensor):
    """`env true`: the same record but for what the process ran until then."""
    assert len(told(sensor, start(201), start(202, "env", path="/bin/env"), start(202))) == 3


def test_what_raised_an_alert_raises_it_again(sensor):
    attack = ("xmrig", "-o", "stratum+tcp://pool.example:3333", "--donate-level", "1")
    assert len(told(sensor, *(start(pid, *attack, path="/usr/bin/xmrig") for pid in (201, 202, 203)))) == 3
    assert len(sensor.sink.alerts) >= 3


def test_what_a_window_keeps_is_kept_again(sensor):
    """A download matters to what runs after it, so it is never taken for a repeat."""
    fetch = ("curl", "-o", "/srv/tool", "https://files.example/tool")
    assert len(told(sensor, start(201, *fetch, path="/usr/bin/curl"), start(202, *fetch, path="/usr/bin/curl"))) == 2


def test_with_an_enforcer_containers_are_told_each_time(sensor, monkeypatch):
    class Enforcer:
        acted = 0

        def executed(self, _event: ProcessExec, _container: Container | None, *, done: bool) -> None:
            assert not done
            self.acted += 1

    enforcer = Enforcer()
    sensor.enforcer = enforcer
    container = Container(ContainerContext("c" * 64), complete=True)
    container.announced = True
    monkeypatch.setattr(sensor.containers, "find", lambda _cgroup, _entry: container)
    told(sensor, start(201), start(202))
    assert enforcer.acted == 2


def test_everything_is_told_when_somebody_wants_it():
    made = Sensor(HOST, Options(), Collected(), None)
    assert len(told(made, start(201), start(202))) == 2
