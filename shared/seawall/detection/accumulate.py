"""Alerts while they grow: what `fold` does to many single matches, done as they come.

A busy analytic matches the same thing over and over. An accumulator keeps what the folded alert will hold and takes a
repeat for little more than a set look-up; `alert()` gives exactly what folding the single alerts would give.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from seawall.detection.folding import SKETCH_SIZE, fold
from seawall.domain.alerts import Alert, Evidence

_FOLD_AT = 24
_EPOCH = datetime.fromtimestamp(0, UTC)

Place = tuple[datetime, str, str, int]
"""Where evidence stands in its alert's order: time, event id, file, index."""


def place_of(evidence: Evidence) -> Place:
    """Return the place of a piece of evidence."""
    return (evidence.ts or _EPOCH, evidence.event_id, evidence.file, evidence.index)


class Accumulator:
    """One alert that grows. `first` is any of its single alerts."""

    __slots__ = ("_evidence_full", "_folded", "_last", "_latest_kept", "_max_evidence", "_pending", "_seen", "_top")

    def __init__(self, first: Alert, max_evidence: int) -> None:
        self._pending: list[Alert] = [first]
        self._folded: Alert | None = None
        self._max_evidence = max_evidence
        self._seen: set[int] = set(first.members)
        self._top = max(first.members, default=0)
        self._last = first.last_seen
        self._evidence_full = max_evidence <= 1
        self._latest_kept: Place | None = None

    def add(self, alert: Alert) -> None:
        """Take a single alert."""
        self._pending.append(alert)
        self._seen.update(alert.members)
        if len(self._pending) >= _FOLD_AT:
            self._settle()

    def take_repeat(self, member: int, time: datetime, place: Place) -> bool:
        """Take a repeat that only counts; False when it must come as an alert, because its evidence would be kept."""
        # What would be kept as evidence, or stands at the last kept place (another stage of it), comes as an alert.
        if not self._evidence_full or self._latest_kept is None or place <= self._latest_kept:
            return False
        if time > self._last:
            self._last = time
        if len(self._seen) < SKETCH_SIZE or member < self._top:
            self._seen.add(member)
            if len(self._seen) > 2 * SKETCH_SIZE:
                self._seen = set(sorted(self._seen)[:SKETCH_SIZE])
                self._top = max(self._seen)
            elif len(self._seen) <= SKETCH_SIZE:
                self._top = max(self._top, member)
        return True

    def alert(self) -> Alert:
        """Return the alert so far."""
        self._settle()
        assert self._folded is not None
        return self._folded

    def _settle(self) -> None:
        base = [self._folded] if self._folded is not None else []
        joined = fold([*base, *self._pending], max_evidence=self._max_evidence)[0]
        members = tuple(sorted(self._seen | set(joined.members))[:SKETCH_SIZE])
        if members != joined.members or self._last > joined.last_seen:
            late = replace(joined, members=members, last_seen=max(self._last, joined.last_seen), count=0)
            joined = fold([late, joined], max_evidence=self._max_evidence)[0]
        self._folded = joined
        self._pending.clear()
        self._seen = set(joined.members)
        self._top = max(self._seen, default=0)
        self._last = joined.last_seen
        self._evidence_full = len(joined.evidence) >= self._max_evidence
        self._latest_kept = place_of(joined.evidence[-1]) if joined.evidence else None
