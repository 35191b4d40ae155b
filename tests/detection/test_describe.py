"""What alerts say of the events behind them."""

from __future__ import annotations

from seawall.detection.describe import describe
from seawall.domain.runtime_events import ContainerContext, ProcessExec

from tests.support.runtime import event


def test_a_sensor_s_event_names_its_container_as_the_sensor_prints_it() -> None:
    container = ContainerContext(
        id="c" * 64, name="api", image="registry.example/api:1", image_digest="sha256:" + "d" * 64
    )
    found = describe(event(ProcessExec, container=container)).context
    assert found["container"] == {"id": "c" * 64, "name": "api", "image": "registry.example/api:1"}
    assert found["image_digest"] == "sha256:" + "d" * 64


def test_the_node_s_own_processes_are_in_no_container() -> None:
    assert "container" not in describe(event(ProcessExec, container=None)).context
