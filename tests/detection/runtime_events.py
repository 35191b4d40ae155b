"""Builds sensor events tersely, for tables of cases."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from seawall.app.detect import load_rules
from seawall.detection.declaration import Detection
from seawall.detection.engine import Engine
from seawall.domain.runtime_events import (
    CAPABILITIES,
    Ancestor,
    Connect,
    ContainerContext,
    DnsAnswer,
    DnsQuery,
    FileOpen,
    FileRename,
    Process,
    ProcessExec,
    RuntimeEvent,
    SensitiveRead,
)

_serial = count(1)
NOW_NS = 1_793_600_000_000_000_000
POD = ContainerContext(
    id="c" * 64, name="web", image="registry.example/shop/web:1.2", pod="web-1", namespace="shop",
    owner="Deployment/web", runtime="containerd", started_ns=NOW_NS - 3600_000_000_000, pod_ip="10.244.1.7",
)  # fmt: skip
PLATFORM = ContainerContext(
    id="d" * 64, name="agent", image="registry.example/agent:1", pod="a", namespace="kube-system"
)
BUILD = ContainerContext(id="e" * 64, name="b", image="moby/buildkit:v0.17", pod="b", namespace="ci")
PRIVILEGED = ContainerContext(
    id="f" * 64, name="p", image="registry.example/p:1", pod="p", namespace="shop", privileged=True
)
HOST = None

Case = RuntimeEvent | Sequence[RuntimeEvent]
Cases = dict[str, tuple[Sequence[Case], Sequence[Case]]]
"""Analytic: (cases that raise it, near misses that do not)."""

_PLACES = {"python": "/usr/bin/", "java": "/opt/jdk/bin/", "node": "/usr/local/bin/"}


def caps(*names: str) -> int:
    """Return a capability mask."""
    return sum(1 << CAPABILITIES.index(name) for name in names)


def process(command: str = "app", *, exe: str = "", by: Sequence[str] = (), **more: Any) -> Process:
    """Return a process: `command` as a shell would split it, `by` the command lines above it, nearest first; one that
    begins with `listening:` listens on a port."""
    args = tuple(shlex.split(command))
    return Process(
        **(
            {
                "pid": 4000, "ppid": 3999, "start_ns": 5, "exe": exe or _path(args[0]), "args": args, "cwd": "/",
                "session": 77, "origin": "image",
                "ancestors": tuple(_ancestor(line, 3999 - n) for n, line in enumerate(by)),
            }
            | more
        )
    )  # fmt: skip


def _path(name: str) -> str:
    return name if name.startswith(("/", "memfd:")) else _PLACES.get(name, "/usr/bin/") + name.removeprefix("./")


def _ancestor(line: str, pid: int) -> Ancestor:
    args = tuple(shlex.split(line.removeprefix("listening:")))
    return Ancestor(pid=pid, exe=_path(args[0]), args=args, start_ns=pid, listens=line.startswith("listening:"))


_PROCESS = set(Process.__struct_fields__) | {"by"}


def _split(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return {k: v for k, v in values.items() if k in _PROCESS}, {k: v for k, v in values.items() if k not in _PROCESS}


def event(kind: type[RuntimeEvent], command: str = "app", *, at: float = 0.0, where: Any = POD, **more: Any) -> Any:
    """Return an event of `kind` by `command`; `at` in seconds, `where` the container."""
    own, rest = _split(more)
    number = next(_serial)
    values = {
        "ts_ns": NOW_NS + int(at * 1e9) + number,
        "container": where,
        "node": "n1",
        "cluster": "prod",
        "boot": "b1",
    }
    return kind(**(values | {"seq": number, "process": process(command, **own)} | rest))


def ran(command: str, **more: Any) -> ProcessExec:
    """A program was started."""
    return event(ProcessExec, command, **more)


def read(path: str, command: str = "cat f", **more: Any) -> SensitiveRead:
    """A sensitive file was read."""
    return event(SensitiveRead, command, path=path, **more)


def wrote(path: str, command: str = "sh x.sh", **more: Any) -> FileOpen:
    """A file was created."""
    return event(FileOpen, command, **({"path": path, "writes": True, "creates": True} | more))


def moved(target: str, command: str = "mv a b", **more: Any) -> FileRename:
    """A file was renamed into place."""
    return event(FileRename, command, path="/tmp/x", target=target, **more)


def dialled(address: str, port: int = 443, command: str = "app", **more: Any) -> Connect:
    """A connection was made."""
    return event(Connect, command, address=address, port=port, **more)


def asked(name: str, command: str = "app", **more: Any) -> DnsQuery:
    """A name was asked for."""
    return event(DnsQuery, command, name=name, **more)


def answered(name: str, *answers: tuple[str, str], command: str = "app", **more: Any) -> DnsAnswer:
    """A DNS answer came."""
    return event(DnsAnswer, command, name=name, answers=answers, **more)


RULES: dict[str, Detection] = {rule.id: rule for rule in load_rules() if rule.id.startswith("RT-")}


def raised(rule: str, case: Case) -> bool:
    """Whether the analytic alerts on the event or events, asked through the engine as in production."""
    engine = Engine([RULES[rule]])
    found = engine.run([case] if isinstance(case, RuntimeEvent) else case)
    assert not engine.stats.errors, engine.stats.errors
    return bool(found)


def rows(cases: Cases) -> list[Any]:
    """Return one parameter set per case, near misses included."""
    table = []
    for rule, (fires, misses) in cases.items():
        for expected, group in ((True, fires), (False, misses)):
            for number, case in enumerate(group, 1):
                table.append(
                    pytest.param(rule, case, expected, id=f"{rule}-{'fires' if expected else 'near-miss'}-{number}")
                )
    return table
