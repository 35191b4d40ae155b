"""Baselines on the node: they judge after the rules did, and what they learnt outlives a restart.

The loop that reads events only looks things up in memory. Once in a while it packs what is known, which takes
milliseconds, and a thread puts it on the disk: a crash costs the last minutes of learning.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from seawall.catalog import collect
from seawall.detection.baselines.habits import Habits
from seawall.detection.baselines.kept import MAX_BYTES, from_bytes, to_bytes
from seawall.detection.baselines.profiles import HabitSettings
from seawall.detection.declaration import Detection
from seawall.domain.alerts import Alert
from seawall.domain.errors import InputError
from seawall.domain.severity import Severity

log = logging.getLogger(__name__)

FILE = "baselines.swh"
"""In the state folder."""
EVERY_S = 300.0
TAUGHT_BY = frozenset({"read", "listen", "connect", "dns", "flow"})
"""Kinds of records, as the heartbeat names them, that the self-limits may switch off; process starts never are."""


def container_baselines() -> tuple[Detection, ...]:
    """Return the analytics over what workloads never did."""
    return tuple(rule for rule in collect("seawall.detection.rules.baseline.containers", Detection) if rule.enabled)


class Rules(Protocol):
    """What judges by rules: `seawall.detection.engine.Engine`."""

    @property
    def heard(self) -> int:
        """See `Engine.heard`."""

    def process(self, event: Any) -> Sequence[Alert]:
        """Return the alerts of one event."""


class Learning:
    """Rules, then baselines: what the sensor's loop asks for alerts. `tick` and `close` belong to the same loop."""

    def __init__(
        self,
        rules: Rules,
        settings: HabitSettings,
        folder: Path | None,
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`folder` is where it is kept, None = nowhere. A file that cannot be used is told and learnt anew."""
        self.habits = Habits(container_baselines(), settings)
        self._rules, self._settings, self._now_s = rules, settings, now_s
        self._file = None if folder is None else folder / FILE
        self._writing: threading.Thread | None = None
        self._saved = now_s()
        self.counts = (0, 0)
        """Workloads that are learnt, and that are still being learnt; a second old at most. For other threads."""
        if self._file is not None:
            self.habits.restore(_read(self._file, settings))

    @property
    def heard(self) -> int:
        """See `Engine.heard`: of an equal start within seconds baselines learn nothing more."""
        return self._rules.heard

    def process(self, event: Any) -> Sequence[Alert]:
        """Return the alerts of one event; the rules' do not depend on what was learnt."""
        found = self._rules.process(event)
        alerted = bool(found) and any(alert.severity >= Severity.MEDIUM for alert in found)
        more = self.habits.process(event, alerted=alerted)
        return [*found, *more] if more else found

    def tick(self, shed: Collection[str] = ()) -> None:
        """Asked once a second: keep what was learnt, if that is due; a thread does the writing.

        `shed` are the kinds of records that are switched off now: what is not seen is not learnt to be absent.
        """
        self.habits.paused = not TAUGHT_BY.isdisjoint(shed)
        self.counts = self.habits.counts()
        if self._file is None or not self.habits.changed or self._now_s() - self._saved < EVERY_S:
            return
        if self._writing is not None and self._writing.is_alive():
            return
        self._saved, self.habits.changed = self._now_s(), False
        data = to_bytes(self.habits.profiles(), self._settings)
        self._writing = threading.Thread(target=_write, args=(self._file, data), name="baselines", daemon=True)
        self._writing.start()

    def close(self) -> None:
        """Keep what was learnt, now."""
        if self._writing is not None:
            self._writing.join()
        if self._file is not None and self.habits.changed:
            _write(self._file, to_bytes(self.habits.profiles(), self._settings))

    def facts(self) -> dict[str, int]:
        """For the heartbeat."""
        learnt, learning = self.counts = self.habits.counts()
        return {"workloads_learnt": learnt, "workloads_learning": learning}


def _read(file: Path, settings: HabitSettings) -> list[Any]:
    try:
        with file.open("rb") as opened:
            return from_bytes(opened.read(MAX_BYTES + 1), settings)
    except FileNotFoundError:
        return []
    except (OSError, InputError) as error:
        log.warning("what was learnt of workloads is lost; they are learnt anew", extra={"error": str(error)})
        return []


def _write(file: Path, data: bytes) -> None:
    """Replace the file as a whole: its name never stands for a part."""
    beside = file.with_name(f"{file.name}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(descriptor)
        beside.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        log.warning("what was learnt of workloads could not be kept", extra={"error": str(error)})
