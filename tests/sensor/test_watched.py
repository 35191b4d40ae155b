"""The filter for the node's own file changes never hides what an analytic fires on."""

from __future__ import annotations

import importlib

import msgspec
import pytest
from seawall.domain.runtime_events import FileChmod, FileEvent, FileLink, FileRename, RuntimeEvent
from seawall_sensor.watched import HostFiles

from tests.detection.rules.runtime import test_every_analytic as every
from tests.detection.runtime_events import raised

HOST_FILES = HostFiles()


def _fired() -> list[tuple[str, FileEvent]]:
    """The file events that still raise something when the node itself, not a container, does them."""
    found = []
    for part in every.PARTS:
        cases = importlib.import_module(f"tests.detection.rules.runtime.{part}").CASES
        for rule, (fires, _) in cases.items():
            for case in fires:
                events = [case] if isinstance(case, RuntimeEvent) else list(case)
                on_node = [msgspec.structs.replace(each, container=None) for each in events]
                if all(isinstance(each, FileEvent) for each in events) and raised(rule, on_node):
                    found += [(rule, each) for each in on_node]
    return found


def _raw(event: FileEvent) -> bytes:
    second = event.target if isinstance(event, FileRename | FileLink) else ""
    return b"\0".join(reversed(event.path.encode().split(b"/"))) + b"\0" + second.encode() + b"\0"


def test_there_are_cases_on_the_node():
    assert len(_fired()) > 10


@pytest.mark.parametrize(("rule", "event"), _fired())
def test_what_fires_passes(rule, event):
    assert HOST_FILES.wants(_raw(event)) or (isinstance(event, FileChmod) and event.mode & 0o6000)


@pytest.mark.parametrize(
    "path",
    [
        "/var/lib/postgresql/15/main/base/5/1259",
        "/home/dev/project/.git/index",
        "/root/.cache/pip/http/a/b",
        "/tmp/x.o",
    ],
)
def test_ordinary_work_is_left_out(path):
    assert not HOST_FILES.wants(b"\0".join(reversed(path.encode().split(b"/"))))
