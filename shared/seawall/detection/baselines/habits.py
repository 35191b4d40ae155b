"""Learns what each workload of a node does, and judges what it never did.

The audit baselines (`learner`) count days over many workers in sketches of hashes. A node is one process, learns in hours,
and has to say what would have been usual: it keeps the values themselves, of its own containers only.

- A family of a workload is judged once the workload was active in the whole learning time and the later half of it brought
  nothing new. Replicas share a profile. Hours without activity teach nothing.
- A new version, and the first start-up that is watched, are learnt without alerts: roll-outs are quiet.
- What alerts is not learnt, nor is what a rule of medium severity or above alerts on; on the fourth day it is usual.
- Times are the events' own. Memory is bounded: values a family, workloads, values in all; what was quiet longest goes first,
  and what is still being learnt before what is known.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from seawall.detection.baselines.features import network_of
from seawall.detection.baselines.habit import Habit
from seawall.detection.baselines.profiles import HabitSettings, Profile
from seawall.detection.baselines.runtime_features import NETWORK, Feature, runtime_features, version_of, workload_of
from seawall.detection.baselines.telling import Telling
from seawall.detection.declaration import Detection
from seawall.detection.describe import describe
from seawall.detection.growing import make_alert
from seawall.domain.alerts import Alert, Match
from seawall.domain.runtime_events import (
    Connect,
    ContainerContext,
    ContainerStart,
    ContainerStop,
    DnsQuery,
    Flow,
    Listen,
    NodeInventory,
    ProcessExec,
    RuntimeEvent,
    SensitiveRead,
)

log = logging.getLogger(__name__)

MAX_WORKLOADS = 512
MAX_FEATURES = 50_000
MAX_SEEN = 16_384
"""Events that said nothing new in the present part, remembered by their hash."""
MAX_CONTAINERS = 4_096
DAY_NS, HOUR_NS = 86_400_000_000_000, 3_600_000_000_000
EGRESS_BITS, EGRESS_TIMES = 24, 3
"""An hour's bytes are judged from 16 MiB (2 ** 24) on, and unusual from three powers of two above the busiest hour."""


@dataclass(slots=True)
class HabitStats:
    """What was not raised, and what is held."""

    unconfirmed: Counter[str] = field(default_factory=Counter)
    """By analytic: alerted on `confirm_days` days and taken as usual."""
    repeated: Counter[str] = field(default_factory=Counter)
    """By analytic: told within the last day, or too many at once."""
    evicted: int = 0
    """Workloads that had to make room."""
    errors: Counter[str] = field(default_factory=Counter)


_DISTINCT: dict[type[Any], Callable[[Any], Any]] = {
    ProcessExec: lambda e: (
        e.process.exe,
        e.process.args[:3],
        e.script,
        e.process.tty,
        e.process.drift,
        e.process.entered,
    ),
    SensitiveRead: lambda e: (e.process.exe, e.process.args[:2], e.path),
    Listen: lambda e: (e.address, e.port, e.protocol),
    Connect: lambda e: (e.process.exe, e.process.args[:2], e.address, e.port, e.host),
    DnsQuery: lambda e: e.name,
}
"""What an event's features depend on, cheap to take: what said nothing a moment ago is not looked at again."""


class Habits:
    """The workloads of one node. Not thread-safe: it belongs to the loop that judges events."""

    def __init__(self, rules: Iterable[Detection], settings: HabitSettings | None = None) -> None:
        self.rules = tuple(rule for rule in rules if rule.enabled and rule.features)
        self.settings = settings or HabitSettings()
        self.stats = HabitStats()
        self.changed = False
        """Something was learnt since this was set to False."""
        self.paused = False
        """Kinds of events are switched off: time that passes now teaches nothing."""
        self._slot_ns = self.settings.slot_ns
        self._profiles: OrderedDict[str, Profile] = OrderedDict()
        self._features = 0
        self._names: dict[str, tuple[ContainerContext, str, str]] = {}
        self._started: OrderedDict[str, int] = OrderedDict()
        self._seen: dict[int, int] = {}
        self._telling = Telling(self._slot_ns)
        self._by_family: dict[tuple[type[Any], str], tuple[Detection, ...]] = {}

    def process(self, event: RuntimeEvent, *, alerted: bool = False) -> Sequence[Alert]:
        """Judge one event, then learn from it; return its alerts, not folded.

        `alerted`: a rule of medium severity or above alerted on this event, so it must not train.
        """
        container = event.container
        kind = type(event)
        if container is None:
            if kind is NodeInventory:
                self._watched(event)
            return ()
        distinct = _DISTINCT.get(kind)
        if distinct is None:
            return self._other(event, container)
        if not event.complete:
            return ()
        slot = event.ts_ns // self._slot_ns
        key = hash((kind, container.id, distinct(event)))
        if self._seen.get(key) == slot:
            return ()
        features = runtime_features(event)
        if not features:
            return ()
        profile = self._profile(container, event, network=features[0].family in NETWORK)
        self._first_start(event, profile)
        found: list[Alert] = []
        waits = False
        for feature in features:
            if not profile.knows(feature):
                alerts, learn = self._unknown(event, profile, feature, alerted)
                found += alerts
                waits |= not learn
        if not waits:
            if len(self._seen) >= MAX_SEEN:
                self._seen.clear()
            self._seen[key] = slot
        return found

    def profile(self, workload: str) -> Profile | None:
        """What is known of a workload, by the name that `workload_of` gives."""
        return self._profiles.get(workload)

    def counts(self) -> tuple[int, int]:
        """Return how many workloads are learnt, and how many are still being learnt."""
        learnt = sum(profile.is_learnt() for profile in self._profiles.values())
        return learnt, len(self._profiles) - learnt

    def features(self) -> int:
        """How many values are held."""
        return self._features

    def profiles(self) -> list[Profile]:
        """All workloads, the one that was quiet longest first, without what is forgotten by now."""
        for profile in self._profiles.values():
            self._features -= profile.forget()
        return list(self._profiles.values())

    def restore(self, profiles: Iterable[Profile]) -> None:
        """Go on with what `profiles` returned, in the same order."""
        for profile in profiles:
            self._profiles[profile.name] = profile
            self._features += profile.size()
        self._make_room()

    def _other(self, event: RuntimeEvent, container: ContainerContext) -> Sequence[Alert]:
        if type(event) is Flow:
            return self._flow(event, container)
        if type(event) is ContainerStart:
            self._started[container.id] = event.ts_ns
            if len(self._started) > MAX_CONTAINERS:
                self._started.popitem(last=False)
        elif type(event) is ContainerStop:
            self._started.pop(container.id, None)
            self._names.pop(container.id, None)
        return ()

    def _watched(self, event: RuntimeEvent) -> None:
        """Containers that run and do nothing do what they always do; their network stays unlearnt."""
        assert type(event) is NodeInventory
        for each in event.containers:
            if each.container.image:
                self._profile(each.container, event, network=False)

    def _flow(self, event: Flow, container: ContainerContext) -> Sequence[Alert]:
        network = network_of(event.address)
        if event.inbound or not event.complete or not network or network == "private":
            return ()
        profile = self._profile(container, event, network=True)
        hour = event.ts_ns // HOUR_NS
        if hour > profile.hour or hour < profile.hour - 1:
            usual = Feature("egress", str(profile.sent_bytes.bit_length()))
            if profile.hour >= 0 and not profile.sent_alerted and not profile.knows(usual):
                self._learn(profile, usual)
            profile.hour, profile.sent_bytes, profile.sent_alerted = hour, 0, False
        profile.sent_bytes += event.sent_bytes
        bits = profile.sent_bytes.bit_length()
        if bits <= EGRESS_BITS or not profile.settled("egress"):
            return ()
        busiest = max(map(int, profile.usual("egress")), default=0)
        feature = Feature("egress", str(bits))
        if bits < busiest + EGRESS_TIMES or profile.knows(feature):
            return ()
        alerts, learnt = self._unknown(event, profile, feature, alerted=False)
        profile.sent_alerted = not learnt
        return alerts

    def _profile(self, container: ContainerContext, event: RuntimeEvent, *, network: bool) -> Profile:
        """The workload of a container, which is active now."""
        known = self._names.get(container.id)
        if known is None or known[0] is not container:
            if len(self._names) >= MAX_CONTAINERS:
                self._names.clear()
            known = self._names[container.id] = (container, workload_of(container), version_of(container))
        name = known[1]
        profile = self._profiles.get(name)
        if profile is None:
            profile = self._profiles[name] = Profile(name, first_ns=event.ts_ns)
            self._make_room()
        else:
            self._profiles.move_to_end(name)
        slots = profile.slots
        if not self.paused:
            profile.mark(event.ts_ns // self._slot_ns, event.ts_ns // DAY_NS, network=network)
        profile.note_version(known[2])
        self.changed |= profile.slots != slots
        return profile

    def _unknown(
        self, event: RuntimeEvent, profile: Profile, feature: Feature, alerted: bool
    ) -> tuple[Sequence[Alert], bool]:
        """Judge or learn what the workload never did; return the alerts, and whether it is learnt now."""
        starting = self._first_start(event, profile)
        if starting or profile.is_changing() or not profile.settled(feature.family):
            if not alerted:
                self._learn(profile, feature)
            return (), not alerted
        found = self._judge(event, profile, feature)
        if not found:
            if not alerted:
                self._learn(profile, feature)
            return (), not alerted
        self.changed = True
        if profile.alert_days(feature) >= self.settings.confirm_days:
            self.stats.unconfirmed.update(rule.id for rule, _ in found)
            self._learn(profile, feature)
            return (), True
        if not self._telling.is_news(event, profile.name, feature):
            self.stats.repeated.update(rule.id for rule, _ in found)
            return (), False
        what = describe(event)
        return [make_alert(rule, what, match) for rule, match in found], False

    def _first_start(self, event: RuntimeEvent, profile: Profile) -> bool:
        """Whether the container starts up, and no start of its workload was watched before this one or its fellows'."""
        started = self._started.get(event.container_id)
        if started is None or not 0 <= event.ts_ns - started < self.settings.start_ns:
            return False
        if not profile.start_ns:
            profile.start_ns = started
        return started - profile.start_ns < self.settings.start_ns

    def _judge(self, event: RuntimeEvent, profile: Profile, feature: Feature) -> list[tuple[Detection, Match]]:
        habit = Habit.of(profile, feature, self.settings)
        found = []
        for rule in self._rules_for(type(event), feature.family):
            try:
                match = rule.check(event, habit)
            except Exception as error:  # noqa: BLE001 - one odd record must not end the sensor; it is counted
                self.stats.errors[rule.id] += 1
                log.warning("baseline failed on an event", extra={"analytic": rule.id, "error": repr(error)[:200]})
                continue
            if match is not None:
                found.append((rule, match))
        return found

    def _rules_for(self, kind: type[Any], family: str) -> tuple[Detection, ...]:
        rules = self._by_family.get((kind, family))
        if rules is None:
            rules = self._by_family[kind, family] = tuple(
                rule for rule in self.rules if issubclass(kind, rule.on) and family in rule.features
            )
        return rules

    def _learn(self, profile: Profile, feature: Feature) -> None:
        self._features += profile.learn(feature)
        self.changed = True
        if self._features > MAX_FEATURES:
            self._make_room()

    def _make_room(self) -> None:
        while len(self._profiles) > MAX_WORKLOADS or self._features > MAX_FEATURES:
            newest = next(reversed(self._profiles))
            name = next(
                (name for name, profile in self._profiles.items() if not profile.is_learnt() and name != newest),
                next(iter(self._profiles)),
            )
            if name == newest:
                return
            self._features -= self._profiles.pop(name).size()
            self._seen.clear()
            self.stats.evicted += 1
