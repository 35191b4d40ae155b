"""Whether something new is worth an alert, or was told a moment ago."""

from __future__ import annotations

from collections import OrderedDict

from seawall.detection.baselines.runtime_features import Feature
from seawall.domain.runtime_events import RuntimeEvent

SILENCE_NS = 86_400_000_000_000
"""The same thing in the same container is told again after this."""
MAX_RAISED = 32
"""Alerts of one workload within one part of the learning time; a scan is one matter."""
MAX_TOLD, MAX_WORKLOADS = 4_096, 512


class Telling:
    """What was told of late. Forgets what was told longest ago; a restart forgets all."""

    def __init__(self, slot_ns: int) -> None:
        self._slot_ns = slot_ns
        self._told: OrderedDict[tuple[str, Feature], int] = OrderedDict()
        self._raised: dict[str, tuple[int, int]] = {}

    def is_news(self, event: RuntimeEvent, workload: str, feature: Feature) -> bool:
        """Return whether to tell it; then it counts as told."""
        key, slot = (event.container_id, feature), event.ts_ns // self._slot_ns
        at, number = self._raised.get(workload, (slot, 0))
        number = number if at == slot else 0
        told = self._told.get(key)
        if number >= MAX_RAISED or (told is not None and 0 <= event.ts_ns - told < SILENCE_NS):
            return False
        self._told[key] = event.ts_ns
        self._told.move_to_end(key)
        if len(self._told) > MAX_TOLD:
            self._told.popitem(last=False)
        if len(self._raised) >= MAX_WORKLOADS:
            self._raised.clear()
        self._raised[workload] = (slot, number + 1)
        return True
