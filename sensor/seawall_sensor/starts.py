"""Process starts that are equal, in all but pid and time, to one a moment ago that said nothing.

Shell loops, health checks and build tools start one program in one way again and again. Such a start is taken into the
process cache, for its children and whatever it does, and nothing else is made of it.
"""

from __future__ import annotations

from seawall.domain.runtime_events import ProcessExec

from seawall_sensor.processes import Entry, ProcessCache
from seawall_sensor.records import CGROUP_AT, CPU_AT, KIND_AT, LONG, NS_PID_AT, PID_AT, PPID_AT, START_AT, WORD

SPAN_NS = 5_000_000_000
"""How long an answer holds: until the clock passes a multiple of this."""
_REMEMBERED = 4096
_UNCHANGED = frozenset({"image", "host"})
"""Origins of programs that the scanner leaves out."""


class QuietStarts:
    """What said nothing, by a hash of the record. Not thread-safe: belongs to the sensor's loop."""

    def __init__(self, processes: ProcessCache) -> None:
        self._processes = processes
        self._known: dict[int, tuple[Entry, str]] = {}
        self._until_ns = 0

    def again(self, data: bytes) -> bool:
        """Take an exec record in and return True if it is equal to a quiet one, and those above it are who they were."""
        if LONG(data)[0] >= self._until_ns:
            self._known.clear()
            self._until_ns = (LONG(data)[0] // SPAN_NS + 1) * SPAN_NS
            return False
        known = self._known.get(_sameness(data))
        if known is None:
            return False
        first, previous = known
        pid, start_ns = WORD(data, PID_AT)[0], LONG(data, START_AT)[0]
        if not self._processes.stand_above(first):
            return False
        return self._processes.started_again(first, pid, start_ns, WORD(data, NS_PID_AT)[0], previous)

    def learn(self, data: bytes, event: ProcessExec) -> None:
        """An exec record gave this event and no other, and it said nothing."""
        process = event.process
        entry = self._processes.peek(process.pid)
        if process.drift or process.origin not in _UNCHANGED or not event.complete or entry is None or not entry.above:
            return
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[_sameness(data)] = (entry, event.previous_exe)


def _sameness(data: bytes) -> int:
    """Hash of an exec record without times, pid, thread, processor and the pid in the container's own namespace."""
    return hash((data[CGROUP_AT:PID_AT], data[PPID_AT:CPU_AT], data[KIND_AT:NS_PID_AT], data[NS_PID_AT + 4 :]))
