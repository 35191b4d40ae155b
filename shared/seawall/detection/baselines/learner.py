"""Learns what is usual and judges what is not: one sketch per scope (cluster, account, registry) and shard.

- A scope learns for `learning_days` from the first day it was seen; what would have alerted meanwhile is counted.
- An event trains only when no analytic alerted on it, neither a baseline nor a rule (of medium or above). What alerted
  is kept apart; after `confirm_days` different days with the same alert it is counted only, until somebody accepts it
  (`accept`, which trains it) or resets the scope. So an attack cannot make itself usual by repetition.
- Days are event days, so late and repeated events change nothing more than they should; an event over `MAX_LATE_DAYS`
  older than the newest one seen, or from the future, is neither judged nor learnt, and counted.

The state itself merges in any order (see `sketch`). Which events train depends on what was known when they came, so a
different order of arrival can move a score at the edge of the learning period; nothing else depends on order.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from seawall.detection.baselines.features import (
    FLEET,
    FLEET_FAMILIES,
    Feature,
    features_of,
    has_details,
    learnable,
    scope_of,
)
from seawall.detection.baselines.scoring import RARE_DAYS, View
from seawall.detection.baselines.sketch import Sketch, day_of, feature_key
from seawall.detection.declaration import Detection
from seawall.detection.describe import describe
from seawall.detection.growing import make_alert
from seawall.domain.alerts import Alert, Match
from seawall.domain.audit_events import AuditEvent, CloudActivity

log = logging.getLogger(__name__)

SHARDS = 32
META = -1
"""The shard that knows the scope's epoch and first day."""
MAX_LATE_DAYS = 31
MAX_NEW_PER_DAY = 512
"""New features that one subject may bring in a day; more is counted and not learnt, so hostile names cost little."""
MAX_SHAPES = 200_000

Load = Callable[[str, int], Sketch | None]
"""Returns what the store has of (scope, shard)."""


@dataclass(frozen=True, slots=True)
class Learning:
    """How the baselines learn."""

    learning_days: int = 14
    mature_days: int = 5
    """An identity or workload is judged by its own habits once it was active on this many days."""
    confirm_days: int = 3


@dataclass(slots=True)
class LearningStats:
    """What was not raised, by (scope, analytic) or reason."""

    muted: Counter[tuple[str, str]] = field(default_factory=Counter)
    """In the learning period."""
    unconfirmed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Alerted on `confirm_days` days and accepted by nobody."""
    refused: Counter[str] = field(default_factory=Counter)
    """Events that were not learnt: `time` out of reach, `alerted`, `flood` of new features."""
    errors: Counter[str] = field(default_factory=Counter)


class Learner:
    """The baselines of many scopes. Not thread-safe: one per worker; what it learnt leaves by `changes`."""

    def __init__(self, rules: Iterable[Detection], load: Load | None = None, learning: Learning | None = None) -> None:
        self.rules = tuple(rule for rule in rules if rule.enabled and rule.features)
        self.settings = learning or Learning()
        self.stats = LearningStats()
        self._load = load or (lambda _scope, _shard: None)
        self._sketches: dict[tuple[str, int], Sketch] = {}
        self._changes: dict[tuple[str, int], Sketch] = {}
        self._shapes: set[int] = set()
        self._new: Counter[int] = Counter()
        self._newest: dict[str, int] = {}
        self._by_type: dict[type[Any], tuple[Detection, ...]] = {}

    def process(self, event: Any, *, alerted: bool = False, today: int | None = None) -> Sequence[Alert]:
        """Judge one event, then learn from it; return its alerts, not folded.

        `alerted`: another analytic of medium severity or above alerted on this event, so it must not train. `today` is
        the present day (`day_of`): an event from after tomorrow is refused.
        """
        shape = _shape(event)
        if shape is not None and not alerted and shape in self._shapes:
            return ()
        features = features_of(event)
        if not features:
            return ()
        scope, ts = scope_of(event), event.time
        if ts is None:
            self.stats.refused["time"] += 1
            return ()
        day = day_of(ts)
        newest = max(day, self._newest.get(scope, 0))
        if newest - day > MAX_LATE_DAYS or (today is not None and day > today + 1):
            self.stats.refused["time"] += 1
            return ()
        self._newest[scope] = newest
        view = View(self._days, self._each_day, scope, day, self.settings.mature_days)
        found = list(self._judge(event, view))
        kept, must_wait = self._raised(event, scope, day, found)
        if alerted or must_wait:
            self.stats.refused["alerted"] += 1
            return kept
        for feature in features:
            self._observe(scope, feature, day)
        if shape is not None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            self._shapes.add(shape)
        return kept

    def is_learning(self, scope: str, day: int) -> bool:
        """True while the scope has not been learnt from for `learning_days`."""
        start = self._sketch(scope, META).start
        return not start or day < start + self.settings.learning_days

    def accept(self, alert: Alert) -> bool:
        """Learn what a baseline alert was about as usual; False when it is not of a baseline."""
        scope, features = alert.context.get("scope"), alert.context.get("learns")
        if not isinstance(scope, str) or not isinstance(features, list):
            return False
        for item in features:
            for back in range(RARE_DAYS + 1):
                self._observe(scope, Feature(*map(str, item)), day_of(alert.last_seen) - back)
        self._shapes.clear()
        return True

    def reset(self, scope: str) -> None:
        """Forget everything about the scope and learn again from the next event on."""
        epoch = self._sketch(scope, META).epoch + 1
        for shard in (META, *range(SHARDS)):
            self._sketches[scope, shard] = Sketch(epoch)
            self._changes[scope, shard] = Sketch(epoch)
        self._shapes.clear()
        self._newest.pop(scope, None)

    def changes(self) -> Iterator[tuple[str, int, Sketch]]:
        """Yield (scope, shard, what was learnt since the last call); merging one twice is harmless."""
        changes, self._changes = self._changes, {}
        for (scope, shard), sketch in changes.items():
            yield scope, shard, sketch

    def features(self, scope: str) -> int:
        """How many features of the scope are in memory."""
        return sum(len(sketch) for (name, _), sketch in self._sketches.items() if name == scope)

    def _judge(self, event: Any, view: View) -> Iterator[tuple[Detection, Match]]:
        for rule in self._rules_for(event):
            try:
                match = rule.check(event, view)
            except Exception as error:  # noqa: BLE001 - one odd record must not cost its batch; it is counted
                self.stats.errors[rule.id] += 1
                log.warning("baseline failed on an event", extra={"analytic": rule.id, "error": repr(error)[:200]})
                continue
            if match is not None:
                yield rule, match

    def _rules_for(self, event: Any) -> tuple[Detection, ...]:
        kind = type(event)
        rules = self._by_type.get(kind)
        if rules is None:
            rules = self._by_type[kind] = tuple(rule for rule in self.rules if issubclass(kind, rule.on))
        if kind is not AuditEvent:
            operation = event.operation if kind is CloudActivity else event.action
            return tuple(rule for rule in rules if not rule.operations or operation in rule.operations)
        verb, resource = event.verb, event.resource
        return tuple(
            rule
            for rule in rules
            if (not rule.verbs or verb in rule.verbs) and (not rule.resources or resource in rule.resources)
        )

    def _raised(
        self, event: Any, scope: str, day: int, found: Sequence[tuple[Detection, Match]]
    ) -> tuple[list[Alert], bool]:
        """The alerts to raise, and whether the event must not train."""
        if not found:
            return [], False
        if self.is_learning(scope, day):
            self.stats.muted.update((scope, rule.id) for rule, _ in found)
            return [], False
        alerts = []
        features = [list(feature) for feature in features_of(event)]
        for rule, match in found:
            alert = make_alert(rule, describe(event), match)
            marker = Feature("alerted", rule.id, match.key or describe(event).key)
            shard, mark = _place(marker)
            before = self._sketch(scope, shard).days_before(mark, day)
            self._observe(scope, marker, day)
            if before >= self.settings.confirm_days:
                self.stats.unconfirmed[scope, rule.id] += 1
                continue
            alert.context.update(scope=scope, learns=features)
            alerts.append(alert)
        return alerts, True

    def _observe(self, scope: str, feature: Feature, day: int) -> None:
        shard, key = _place(feature)
        scope = FLEET if feature.family in FLEET_FAMILIES else scope
        sketch = self._sketch(scope, shard)
        if key not in sketch.table:
            counted = hash((scope, feature.subject, day))
            if self._new[counted] >= MAX_NEW_PER_DAY:
                self.stats.refused["flood"] += 1
                return
            if len(self._new) >= MAX_SHAPES:
                self._new.clear()
            self._new[counted] += 1
        if sketch.observe(key, day):
            self._change(scope, shard, sketch.epoch).observe(key, day)
        meta = self._sketch(scope, META)
        if not meta.start or day < meta.start:
            meta.start = day
            self._change(scope, META, meta.epoch).start = day

    def _days(self, scope: str, feature: Feature, day: int) -> int:
        shard, key = _place(feature)
        return self._sketch(FLEET if feature.family in FLEET_FAMILIES else scope, shard).days(key, day)

    def _each_day(self, scope: str, feature: Feature) -> tuple[int, ...]:
        shard, key = _place(feature)
        return self._sketch(scope, shard).each_day(key)

    def _sketch(self, scope: str, shard: int) -> Sketch:
        sketch = self._sketches.get((scope, shard))
        if sketch is None:
            stored = self._load(scope, shard)
            sketch = Sketch() if stored is None else stored
            if shard != META and sketch.epoch < (epoch := self._sketch(scope, META).epoch):
                sketch = Sketch(epoch)
            self._sketches[scope, shard] = sketch
        return sketch

    def _change(self, scope: str, shard: int, epoch: int) -> Sketch:
        return self._changes.setdefault((scope, shard), Sketch(epoch))


# One event asks for each of its features a few times; a larger cache would outweigh what is learnt.
@lru_cache(maxsize=4_096)
def _place(feature: Feature) -> tuple[int, int]:
    """(shard, key): all features of one subject lie in one shard, so that one identity needs one shard."""
    digest = hashlib.blake2b(feature.subject.encode("utf-8", "surrogatepass"), digest_size=2).digest()
    return digest[0] % SHARDS, feature_key(feature.family, feature.subject, feature.value)


def _shape(event: Any) -> int | None:
    """Hash of what the features of an ordinary call depend on; None when they depend on more. Cheap: nothing is parsed.

    Texts hash by SipHash with a key of this process: nobody outside can make two calls collide.
    """
    if type(event) is not AuditEvent or has_details(event) or not learnable(event):
        return None
    ref = event.object_ref
    stamp = event.received or event.timestamp or event.stage_time or ""
    return hash(
        (
            event.cluster, event.actor, event.verb, ref and (ref.resource, ref.subresource, ref.namespace),
            event.source_ip, event.user_agent, stamp[:13],
        )
    )  # fmt: skip
