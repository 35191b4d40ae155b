"""Events of the recent past per key, by event time, so that order of arrival does not matter.

Memory is bounded by the number of observations kept, not by wall-clock time: late events of any age still meet their
neighbours until the bound is reached; then the keys that were quiet longest go first.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")

MAX_PER_KEY = 1024
MAX_EARLIER = 64
"""Earlier events that a predicate is given at most."""
MAX_OBSERVATIONS = 50_000


class Observation(Generic[T]):
    """One event as a window keeps it. Ordered by time, then id."""

    __slots__ = ("emitted", "id", "item", "ts", "value")

    def __init__(self, ts: float, id: str, value: Any, item: T) -> None:  # noqa: A002
        self.ts = ts
        self.id = id
        self.value = value
        self.item: T | None = item
        self.emitted = False

    def __lt__(self, other: Observation[T]) -> bool:
        return (self.ts, self.id) < (other.ts, other.id)


class Windows(Generic[T]):
    """Observations by (rule, key)."""

    def __init__(self, *, max_per_key: int = MAX_PER_KEY, max_observations: int = MAX_OBSERVATIONS) -> None:
        self._keys: OrderedDict[tuple[str, str], _Key[T]] = OrderedDict()
        self._max_per_key = max_per_key
        self._max = max_observations
        self.size = 0

    def reached(
        self,
        rule: str,
        key: str,
        observation: Observation[T],
        *,
        span_s: float,
        threshold: int,
    ) -> Iterator[T]:
        """Add an observation; yield what now lies in some span with `threshold` different values, each item once."""
        entry = self._entry(rule, key)
        before = len(entry.items)
        if observation.id in entry.ids:
            return
        # Of equal times the order says nothing: records without one would otherwise be swept again and again.
        if not entry.items or entry.items[-1].ts <= observation.ts:
            entry.append(observation, span_s)
            if len(entry.counts) >= threshold:
                yield from _emit_newest(entry.items, entry.start)
        else:
            entry.insert(observation, span_s)
            yield from _sweep(entry.items, observation.ts, span_s, threshold)
        entry.trim(self._max_per_key)
        self._account(len(entry.items) - before)

    def earlier(
        self, rule: str, key: str, observation: Observation[T], *, span_s: float, alone: bool = False
    ) -> Iterator[tuple[T, list[T]]]:
        """Add an observation; yield it and every later one that it can still matter to, each with its earlier items.

        `alone`: it matters to no later one.
        """
        entry = self._entry(rule, key)
        before = len(entry.items)
        if observation.id in entry.ids:
            return
        insort(entry.items, observation)
        entry.ids.add(observation.id)
        at = bisect_left(entry.items, observation)
        for index in range(at, at + 1 if alone else len(entry.items)):
            current = entry.items[index]
            if current.ts - observation.ts > span_s:
                break
            low = bisect_left(entry.items, current.ts - span_s, key=lambda item: item.ts)
            if current.item is not None:
                yield current.item, [item.item for item in entry.items[low:index] if item.item is not None]
        entry.trim(min(self._max_per_key, MAX_EARLIER))
        self._account(len(entry.items) - before)

    def _entry(self, rule: str, key: str) -> _Key[T]:
        entry = self._keys.get((rule, key))
        if entry is None:
            entry = self._keys[rule, key] = _Key()
        else:
            self._keys.move_to_end((rule, key))
        return entry

    def _account(self, added: int) -> None:
        self.size += added
        while self.size > self._max and len(self._keys) > 1:
            _, gone = self._keys.popitem(last=False)
            self.size -= len(gone.items)


class _Key(Generic[T]):
    __slots__ = ("counts", "ids", "items", "start")

    def __init__(self) -> None:
        self.items: list[Observation[T]] = []
        self.ids: set[str] = set()
        self.start = 0
        self.counts: dict[Any, int] = {}

    def append(self, observation: Observation[T], span_s: float) -> None:
        self.items.append(observation)
        self.ids.add(observation.id)
        self.counts[observation.value] = self.counts.get(observation.value, 0) + 1
        while observation.ts - self.items[self.start].ts > span_s:
            self._forget(self.items[self.start].value)
            self.start += 1

    def insert(self, observation: Observation[T], span_s: float) -> None:
        """Add one that is older than the newest. It counts when it lies in the newest span; else it lies before it."""
        insort(self.items, observation)
        self.ids.add(observation.id)
        if self.items[-1].ts - observation.ts > span_s:
            self.start += 1
        else:
            self.counts[observation.value] = self.counts.get(observation.value, 0) + 1

    def trim(self, most: int) -> None:
        if len(self.items) <= most:
            return
        gone = len(self.items) - most * 3 // 4
        for observation in self.items[:gone]:
            self.ids.discard(observation.id)
        del self.items[:gone]
        kept = max(self.start - gone, 0)
        self.counts = {}
        self.start = kept
        for observation in self.items[kept:]:
            self.counts[observation.value] = self.counts.get(observation.value, 0) + 1

    def _forget(self, value: Any) -> None:
        left = self.counts[value] - 1
        if left:
            self.counts[value] = left
        else:
            del self.counts[value]


def _emit_newest(items: list[Observation[T]], start: int) -> Iterator[T]:
    """The newest span, known to qualify: what lies before something emitted went out with it (its span began earlier)."""
    for index in range(len(items) - 1, start - 1, -1):
        if items[index].emitted:
            return
        yield from _emit(items[index])


def _emit(observation: Observation[T]) -> Iterator[T]:
    if not observation.emitted:
        observation.emitted = True
        if observation.item is not None:
            item, observation.item = observation.item, None
            yield item


def _sweep(items: list[Observation[T]], ts: float, span_s: float, threshold: int) -> Iterator[T]:
    """Every span that touches `ts`, by two pointers."""
    first = bisect_left(items, ts - span_s, key=lambda item: item.ts)
    last = bisect_right(items, ts + span_s, lo=first, key=lambda item: item.ts)
    if last - first < threshold or len({item.value for item in items[first:last]}) < threshold:
        return
    counts: dict[Any, int] = {}
    low = first
    for high in range(first, last):
        current = items[high]
        counts[current.value] = counts.get(current.value, 0) + 1
        while current.ts - items[low].ts > span_s:
            left = counts[items[low].value] - 1
            if left:
                counts[items[low].value] = left
            else:
                del counts[items[low].value]
            low += 1
        if len(counts) >= threshold:
            for index in range(low, high + 1):
                yield from _emit(items[index])
