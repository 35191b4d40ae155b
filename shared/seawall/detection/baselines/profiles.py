"""What is known of one workload: what it does, for how long that was watched, and what of it is usual by now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from seawall.detection.baselines.runtime_features import NETWORK, Feature

SLOTS = 24
"""The learning time is divided into so many parts; activity in as many different ones is what it takes."""
CHANGE_SLOTS = 4
"""A new version, and what its roll-out brings, is learnt while less than this many active parts have passed."""
ABSENCE_SLOTS = 7 * SLOTS
"""A workload that did nothing on the network for so many active parts has the habit of doing nothing there."""
START_S = 300.0
"""How long a container starts up."""
MAX_VALUES = 128
"""Values a family; a workload that brings more while it is learnt has no habits there."""
MEMORY_DAYS = 35
"""Active days after which a value that did not come again is forgotten: a monthly job is remembered."""
MAX_VERSIONS, MAX_ALERTED = 16, 64


@dataclass(frozen=True, slots=True)
class HabitSettings:
    """How workloads are learnt: everything that `--learn-hours` decides follows from `hours`."""

    hours: float = 24.0
    confirm_days: int = 3
    """What alerted on so many days and was left is usual from then on."""
    slot_ns: int = field(init=False, default=0)
    """One part of the learning time."""
    start_ns: int = field(init=False, default=0)
    """Start-up: five minutes, less where little is learnt."""

    def __post_init__(self) -> None:
        slot_ns = max(int(self.hours * 3600e9 / SLOTS), 1_000_000)
        object.__setattr__(self, "slot_ns", slot_ns)
        object.__setattr__(self, "start_ns", min(int(START_S * 1e9), 2 * slot_ns))


class Family(msgspec.Struct, array_like=True):
    """The values of one family."""

    values: dict[str, int] = {}
    """The workload's active day on which each was seen last."""
    newest: int = 0
    """Active parts until the last new value of the learning time."""
    wide: bool = False
    """Too many different values to be a habit."""


class Profile(msgspec.Struct, array_like=True):
    """One workload. Counts are of parts of the learning time (`HabitSettings.slot_ns`) in which it was active."""

    name: str
    first_ns: int = 0
    """First event, ns since 1970 UTC."""
    slots: int = 0
    last_slot: int = -1
    network_slots: int = 0
    """Those with work on the network."""
    last_network_slot: int = -1
    days: int = 0
    """Different days with activity."""
    last_day: int = -1
    start_ns: int = 0
    """First container whose start was watched; 0 = none yet."""
    changed: int = -CHANGE_SLOTS
    """`slots` at the last new version."""
    versions: dict[str, int] = {}
    """Image and pod template (`version_of`) with the active day of their first sight."""
    families: dict[str, Family] = {}
    alerted: dict[str, tuple[int, int]] = {}
    """`family value`: on how many days it alerted, and the last of them."""
    hour: int = -1
    sent_bytes: int = 0
    """To public addresses within `hour` (hours since 1970)."""
    sent_alerted: bool = False
    """That was unusual."""

    def is_learnt(self) -> bool:
        """True when it was watched for the learning time."""
        return self.slots >= SLOTS

    def mark(self, slot: int, day: int, *, network: bool) -> None:
        """Note activity in a part of the learning time. Late events and clocks that jump count at most once too often."""
        if slot > self.last_slot or slot < self.last_slot - 1:
            self.slots, self.last_slot = self.slots + 1, slot
        if network and not self.network_slots and self.slots >= ABSENCE_SLOTS:
            self.network_slots = SLOTS
        if network and (slot > self.last_network_slot or slot < self.last_network_slot - 1):
            self.network_slots, self.last_network_slot = self.network_slots + 1, slot
        if day > self.last_day or day < self.last_day - 1:
            self.days, self.last_day = self.days + 1, day

    def note_version(self, version: str) -> None:
        """Note which version runs: another one than before makes the workload learn for a while."""
        if not version or version in self.versions:
            return
        if self.versions:
            self.changed = self.slots
        if len(self.versions) >= MAX_VERSIONS:
            del self.versions[next(iter(self.versions))]
        self.versions[version] = self.days

    def is_changing(self) -> bool:
        """True in the time after a new version."""
        return self.slots - self.changed < CHANGE_SLOTS

    def settled(self, name: str) -> bool:
        """Whether what is new in the family is unusual: it was watched for the learning time, and nothing new came in the
        later half of it. Only work on the network teaches what is usual there."""
        family = self.families.get(name)
        newest = 0
        if family is not None:
            if family.wide:
                return False
            newest = family.newest
        slots = self.network_slots if name in NETWORK else self.slots
        return slots >= SLOTS and slots >= 2 * newest

    def knows(self, feature: Feature) -> bool:
        """Whether the value was seen; it counts as seen today then."""
        family = self.families.get(feature.family)
        if family is None or feature.value not in family.values:
            return family is not None and family.wide
        family.values[feature.value] = self.days
        return True

    def learn(self, feature: Feature) -> int:
        """Take a value as usual; return by how many the values grew."""
        settled = self.settled(feature.family)
        family = self.families.get(feature.family)
        if family is None:
            family = self.families[feature.family] = Family()
        if family.wide or feature.value in family.values:
            return 0
        before = len(family.values)
        if before >= MAX_VALUES:
            if not settled:
                family.wide = True
                family.values.clear()
                return -before
            del family.values[min(family.values, key=family.values.__getitem__)]
        family.values[feature.value] = self.days
        if not settled:
            family.newest = self.network_slots if feature.family in NETWORK else self.slots
        return len(family.values) - before

    def alert_days(self, feature: Feature) -> int:
        """Count today as a day on which the value alerted; return on how many days before today it did."""
        key = f"{feature.family} {feature.value}"
        days, last = self.alerted.pop(key, (0, -1))
        if len(self.alerted) >= MAX_ALERTED:
            del self.alerted[next(iter(self.alerted))]
        self.alerted[key] = (days + (last != self.days), self.days)
        return days - (last == self.days)

    def usual(self, name: str) -> list[str]:
        """The values of a family, the latest seen first."""
        family = self.families.get(name)
        return [] if family is None else sorted(family.values, key=lambda value: (-family.values[value], value))

    def forget(self) -> int:
        """Drop what did not come again for `MEMORY_DAYS` active days; return how many values went."""
        gone = 0
        for family in self.families.values():
            old = [value for value, day in family.values.items() if self.days - day > MEMORY_DAYS]
            for value in old:
                del family.values[value]
            gone += len(old)
        return gone

    def size(self) -> int:
        """How many values it holds."""
        return sum(len(family.values) for family in self.families.values())

    def rescaled(self, ratio: float) -> None:
        """Count in parts of another length: `ratio` is the old length over the new one."""
        self.slots, self.network_slots = int(self.slots * ratio), int(self.network_slots * ratio)
        self.changed, self.last_slot, self.last_network_slot = self.slots - CHANGE_SLOTS, -1, -1
        for family in self.families.values():
            family.newest = int(family.newest * ratio)


def learnt_words(profile: Profile, settings: HabitSettings) -> str:
    """Return for how long a workload was learnt: `31 h of activity since 2026-11-01`."""
    seconds = profile.slots * settings.slot_ns / 1e9
    amount, unit = (
        (seconds / 3600, "h") if seconds >= 3600 else (seconds / 60, "min") if seconds >= 60 else (seconds, "s")
    )
    since = datetime.fromtimestamp(profile.first_ns / 1e9, UTC)
    return f"{amount:.0f} {unit} of activity since {since:%Y-%m-%d %H:%M} UTC"
