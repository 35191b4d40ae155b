"""The sensor's events: what they encode to, and the words that rules and windows use."""

from __future__ import annotations

import msgspec
import pytest
from seawall.domain.runtime_events import (
    EVENT_TYPES,
    AnyRuntimeEvent,
    ContainerContext,
    Process,
    ProcessExec,
)


def exec_of(container: ContainerContext | None, **fields: object) -> ProcessExec:
    return ProcessExec(ts_ns=1, process=Process(pid=7, exe="/bin/sh"), container=container, node="n1", **fields)


@pytest.mark.parametrize("kind", sorted(EVENT_TYPES))
def test_each_kind_comes_back_from_msgpack_and_json(kind: str) -> None:
    required = {"path": "/a", "target": "/b", "name": "n", "request": "poke", "operation": "setns", "family": "packet"}
    required |= {
        "call": "kexec_load",
        "program_type": "xdp",
        "policy": "p",
        "action": "kill",
        "reason": "drift",
        "source": "/dev/sda",
    }
    required |= {
        "mode": 0o4755,
        "signal": 9,
        "target_pid": 4,
        "lost": 3,
        "state": "ready",
        "modified_s": -1,
        "permitted": 1 << 40,
    }
    event_type = EVENT_TYPES[kind]
    names = {field.name for field in msgspec.structs.fields(event_type) if field.required}
    event = event_type(
        ts_ns=5, process=Process(pid=1), **{name: required[name] for name in names - {"ts_ns", "process"}}
    )
    for codec in (msgspec.msgpack, msgspec.json):
        assert codec.decode(codec.encode([event]), type=list[AnyRuntimeEvent]) == [event]


@pytest.mark.parametrize(
    ("container", "scope", "workload"),
    [
        pytest.param(None, "node:n1", "node:n1", id="node"),
        pytest.param(
            ContainerContext(id="c1", namespace="shop", pod="web-1", owner="Deployment/web"),
            "c1",
            "shop/Deployment/web",
            id="owned pod",
        ),
        pytest.param(ContainerContext(id="c1", namespace="shop", pod="one"), "c1", "shop/Pod/one", id="bare pod"),
        pytest.param(ContainerContext(id="c1", image="docker.io/web:1"), "c1", "docker.io/web:1", id="no Kubernetes"),
        pytest.param(ContainerContext(id="c1"), "c1", "c1", id="metadata missing"),
    ],
)
def test_scope_and_workload(container: ContainerContext | None, scope: str, workload: str) -> None:
    event = exec_of(container)
    assert (event.scope, event.workload) == (scope, workload)


def test_id_is_boot_and_sequence() -> None:
    assert exec_of(None, boot="b-1", seq=12).id == "b-1:12"


def test_capability_by_name() -> None:
    process = Process(pid=1, caps=1 << 21)
    assert process.has_capability("sys_admin")
    assert not process.has_capability("net_raw")
