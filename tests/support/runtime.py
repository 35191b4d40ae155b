"""Runtime events, made short: `ran("curl -s http://x", above=("php-fpm",))`."""

from __future__ import annotations

import itertools
import shlex
from typing import Any

from seawall.domain.runtime_events import Ancestor, ContainerContext, Process, ProcessExec, RuntimeEvent

POD = ContainerContext(
    id="c" * 64, name="web", image="registry.example/shop/web:1", pod="web-1", namespace="shop", owner="Deployment/web"
)
T0_NS = 1_795_000_000_000_000_000
_numbers = itertools.count(1)

_SHELLS = {"sh", "bash", "dash", "ash"}


def ancestor(command: str, pid: int = 1) -> Ancestor:
    args = tuple(shlex.split(command))
    exe = args[0] if args[0].startswith("/") else f"/usr/bin/{args[0]}"
    return Ancestor(pid=pid, exe=exe, args=args, start_ns=pid)


def process(command: str | tuple[str, ...] = "app", *, above: tuple[str, ...] = (), **fields: Any) -> Process:
    args = tuple(shlex.split(command)) if isinstance(command, str) else command
    exe = args[0] if args[0].startswith("/") else f"/usr/bin/{args[0]}"
    chain = tuple(ancestor(item, 50 - index) for index, item in enumerate(above))
    values: dict[str, Any] = {"pid": 100, "ppid": 50, "exe": exe, "args": args, "cwd": "/", "ancestors": chain}
    return Process(**(values | fields))


def event(kind: type[RuntimeEvent], by: Process | str = "app", **fields: Any) -> Any:
    number = next(_numbers)
    who = process(by) if isinstance(by, str) else by
    values: dict[str, Any] = {"ts_ns": T0_NS + number * 1_000_000, "seq": number, "boot": "boot", "node": "node-1"}
    return kind(**(values | {"process": who, "container": POD, "cluster": "prod"} | fields))


_EXEC_FIELDS = {
    "previous_exe",
    "script",
    "script_drift",
    "stdio",
    "peer",
    "gained",
    "environment",
    "container",
    "ts_ns",
}


def ran(command: str | tuple[str, ...], *, above: tuple[str, ...] = (), **fields: Any) -> ProcessExec:
    own = {name: fields.pop(name) for name in list(fields) if name in _EXEC_FIELDS}
    return event(ProcessExec, process(command, above=above, **fields), **own)


def shell(text: str, *, above: tuple[str, ...] = (), **fields: Any) -> ProcessExec:
    return ran(("/bin/sh", "-c", text), above=above, **fields)
