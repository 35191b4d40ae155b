"""Events whose container is not known yet: held for a moment, then let go, marked incomplete.

A runtime writes a container's state, and a kubelet tells the API server of it, while its first process already runs. The
rings are read on meanwhile; events of one container keep their order.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import msgspec
from seawall.domain.runtime_events import ContainerStart, RuntimeEvent

from seawall_sensor.containers import Container, ContainerIndex

WAIT_S = 1.0
ASK_S = 0.02
LIMIT = 20_000
"""Events that may be held together; with more the oldest container's are let go."""


@dataclass(slots=True)
class _Held:
    since: float
    asked: float
    events: deque[tuple[RuntimeEvent, bool]] = field(default_factory=deque)


class Late:
    """Not thread-safe: belongs to the sensor's loop."""

    def __init__(self, containers: ContainerIndex, *, wait_s: float = WAIT_S) -> None:
        self._containers, self._wait_s = containers, wait_s
        self._held: dict[str, _Held] = {}
        self._given_up: set[str] = set()
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def hold(self, event: RuntimeEvent, mark: bool) -> bool:
        """Take an event if it has to wait: its container is not known, or others of it wait. `mark` stays with it."""
        if event.container is None or (event.complete and not self._held):
            return False
        identity = event.container.id
        held = self._held.get(identity)
        if held is None:
            if event.complete or identity in self._given_up:
                return False
            now = time.monotonic()
            held = self._held[identity] = _Held(now, now)
        held.events.append((event, mark))
        self._number += 1
        return True

    def due(self, *, final: bool = False) -> list[tuple[RuntimeEvent, bool]]:
        """Return the events that wait no longer, with the container as it is known now."""
        if not self._held:
            return []
        now, found = time.monotonic(), []
        for identity, held in list(self._held.items()):
            container = self._containers.by_id.get(identity)
            if container is not None and not container.complete and now - held.asked >= ASK_S:
                held.asked = now
                self._containers.complete(container)
            known = container is not None and container.complete
            if known or final or now - held.since >= self._wait_s or self._number > LIMIT:
                del self._held[identity]
                self._number -= len(held.events)
                if not known:
                    if len(self._given_up) > 4096:
                        self._given_up.clear()
                    self._given_up.add(identity)
                found += [(_with(event, container), mark) for event, mark in held.events]
        return found


def _with(event: RuntimeEvent, container: Container | None) -> RuntimeEvent:
    if container is None:
        return event
    if isinstance(event, ContainerStart) and not event.mounts:
        event = msgspec.structs.replace(event, mounts=container.mounted())
    return msgspec.structs.replace(event, container=container.context, complete=container.complete)
