"""Events of a container that nobody has named yet."""

from __future__ import annotations

import time

import msgspec
import pytest
from seawall.domain.runtime_events import ContainerContext
from seawall_sensor.containers import Container
from seawall_sensor.late import Late

from tests.detection.runtime_events import ran


class Index:
    """Stands for the index of containers: `complete` makes one known when the test says so."""

    def __init__(self) -> None:
        self.by_id = {"c1": Container(ContainerContext("c1"))}
        self.known = False

    def complete(self, container: Container) -> None:
        if self.known:
            container.context = msgspec.structs.replace(container.context, name="web", pod="web-1")
            container.complete = True


@pytest.fixture
def index():
    return Index()


def event(number, *, complete=False, identity="c1"):
    return msgspec.structs.replace(ran("x"), container=ContainerContext(identity), complete=complete, seq=number)


def test_it_goes_out_named_and_in_order(index):
    late = Late(index, wait_s=5)
    assert late.hold(event(1), False)
    assert late.hold(event(2), True)
    assert late.hold(event(3, complete=True), False)  # keeps its place
    assert not late.hold(event(4, complete=True, identity="c2"), False)
    assert late.due() == []
    index.known = True
    time.sleep(0.03)
    found = late.due()
    assert [(each.seq, each.container.pod, each.complete, mark) for each, mark in found] == [
        (1, "web-1", True, False),
        (2, "web-1", True, True),
        (3, "web-1", True, False),
    ]
    assert not len(late)
    assert not late.hold(event(5, complete=True), False)


def test_after_a_while_it_goes_out_incomplete_and_nothing_waits_again(index):
    late = Late(index, wait_s=0.01)
    late.hold(event(1), False)
    time.sleep(0.02)
    ((found, _),) = late.due()
    assert not found.complete
    assert not late.hold(event(2), False)


def test_a_flood_is_let_go(index, monkeypatch):
    monkeypatch.setattr("seawall_sensor.late.LIMIT", 10)
    late = Late(index, wait_s=60)
    for number in range(12):
        late.hold(event(number), False)
    assert len(late.due()) == 12


def test_the_end_waits_for_nothing(index):
    late = Late(index, wait_s=60)
    late.hold(event(1), False)
    assert len(late.due(final=True)) == 1
