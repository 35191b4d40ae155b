"""One JSON object a line: `{"kind": "event" | "alert" | "loss" | "heartbeat", ...}`."""

from __future__ import annotations

import os
import re
import select
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Any, Protocol

import msgspec
from seawall.domain.alerts import Alert
from seawall.domain.runtime_events import (
    ContainerStart,
    ContainerStop,
    Enforced,
    FileVerdict,
    Heartbeat,
    ImageInUse,
    Loss,
    NodeInventory,
    Process,
    RuntimeEvent,
)
from seawall.domain.severity import Severity

_MAX_BUFFER = 1 << 16
_MAX_TOLD, _SILENCE_S = 4096, 600.0
_MAX_TEXTS, _MAX_LOW_TEXTS = 16, 4
_PIDS_AND_PORTS = re.compile(r"(?<=pid )\d+|(?<=:)\d+\b")

STATE_EVENTS = (ContainerStart, ContainerStop, ImageInUse, NodeInventory, FileVerdict, Enforced, Loss, Heartbeat)
"""What a receiver always gets: the node's state. Of the rest it gets what raised an alert, unless it wants all."""


class Sink(Protocol):
    """Where results go."""

    def event(self, event: RuntimeEvent) -> None:
        """Take one event (losses and heartbeats among them)."""

    def alert(self, alert: Alert, event: RuntimeEvent) -> None:
        """Take one alert and the event that raised it."""

    def flush(self) -> None:
        """Hand over what was taken so far."""


class Both:
    """Gives everything to several sinks."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    def event(self, event: RuntimeEvent) -> None:
        """See `Sink`."""
        for sink in self._sinks:
            sink.event(event)

    def alert(self, alert: Alert, event: RuntimeEvent) -> None:
        """See `Sink`."""
        for sink in self._sinks:
            sink.alert(alert, event)

    def flush(self) -> None:
        """See `Sink`."""
        for sink in self._sinks:
            sink.flush()


class Alerting:
    """Passes alerts, the events that raised them and the node's state on to another sink, and leaves the rest out."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._last: RuntimeEvent | None = None

    def event(self, event: RuntimeEvent) -> None:
        """See `Sink`."""
        if isinstance(event, STATE_EVENTS):
            self._sink.event(event)

    def alert(self, alert: Alert, event: RuntimeEvent) -> None:
        """See `Sink`."""
        if event is not self._last and not isinstance(event, STATE_EVENTS):
            self._last = event
            self._sink.event(event)
        self._sink.alert(alert, event)

    def flush(self) -> None:
        """See `Sink`."""
        self._sink.flush()


class _Told:
    """What was told of one alert."""

    __slots__ = ("at", "count", "severity", "texts")

    def __init__(self) -> None:
        self.count, self.severity, self.at = 0, -1, 0.0
        self.texts: set[str] = set()


class Repeats:
    """Which repeats of an alert in one container are worth a line: a scan of 600 ports is one matter, not 600.

    Told are those that say something new (16 texts, 4 of low severity, pids and ports aside), that are graver, that come after
    ten minutes of silence, and of the others the second, the fourth, the eighth. What is one matter only as a number (a burst, a
    scan, a tunnel: the analytics `counted`) says nothing new with each text.
    """

    def __init__(self, counted: Collection[str] = (), now: Callable[[], float] = time.monotonic) -> None:
        self._counted, self._now = frozenset(counted), now
        self._told: OrderedDict[tuple[str, str], _Told] = OrderedDict()

    def count(self, alert: Alert, container: str) -> int:
        """Return how often the alert came from the container until now; 0 when this time need not be told."""
        # Containers of one workload, or of one image outside Kubernetes, share the alert's id.
        key = (alert.id, container)
        told = self._told.pop(key, None) or _Told()
        self._told[key] = told
        if len(self._told) > _MAX_TOLD:
            self._told.popitem(last=False)
        doublings = told.count.bit_length()
        told.count += alert.count
        text, now = _PIDS_AND_PORTS.sub("", alert.message[:200]), self._now()
        most = 1 if alert.analytic in self._counted else _MAX_TEXTS if alert.severity > Severity.LOW else _MAX_LOW_TEXTS
        new = text not in told.texts and len(told.texts) < most
        doubled = told.count.bit_length() > doublings
        tell = new or doubled or alert.severity > told.severity or now - told.at > _SILENCE_S
        if new:
            told.texts.add(text)
        if tell:
            told.severity, told.at = max(told.severity, alert.severity), now
        return told.count if tell else 0


class JsonLines:
    """Writes results to a descriptor. `only` keeps some kinds of lines; losses and heartbeats always pass with "alert"
    too, unless they are left out by `only` in full: `--only alert` prints alerts, the ready heartbeat and losses.

    A line is never torn: one thread writes, nothing else is between here and the descriptor, and what the descriptor took is
    forgotten at once, so that a write that fails midway goes on where it stopped and begins nothing anew.
    """

    def __init__(self, descriptor: int, only: Collection[str] = (), counted: Collection[str] = ()) -> None:
        self._fd, self._only = descriptor, frozenset(only) | ({"heartbeat", "loss"} if only else frozenset())
        self._encoder = msgspec.json.Encoder()
        self._lines = bytearray()
        self._repeats = Repeats(counted)

    def event(self, event: RuntimeEvent) -> None:
        """Write an event, a loss or a heartbeat."""
        kind = "heartbeat" if type(event) is Heartbeat else "loss" if type(event) is Loss else "event"
        if not self._only or kind in self._only:
            # The event's own tag stays beside the kind of line.
            self._write(b'{"kind":"' + kind.encode() + b'",' + self._encoder.encode(event)[1:])
        if kind != "event":
            self.flush()

    def alert(self, alert: Alert, event: RuntimeEvent) -> None:
        """Write an alert with its container and process tree."""
        if self._only and "alert" not in self._only:
            return
        count = self._repeats.count(alert, event.container_id)
        if count:
            self._write(self._encoder.encode(alert_line(alert, event) | {"count": count}))

    def _write(self, line: bytes) -> None:
        self._lines += line
        self._lines += b"\n"
        if len(self._lines) > _MAX_BUFFER:
            self.flush()

    def flush(self) -> None:
        """Hand the lines over; wait where the reader is slow, also when it made the pipe one that does not wait."""
        while self._lines:
            try:
                taken = os.write(self._fd, self._lines)
            except BlockingIOError:
                select.select((), (self._fd,), ())
                continue
            del self._lines[:taken]


def alert_line(alert: Alert, event: RuntimeEvent) -> dict[str, Any]:
    """Return an alert as its line says it."""
    container = event.container
    return {
        "kind": "alert",
        "id": alert.id,
        "analytic": alert.analytic,
        "title": alert.title,
        "message": alert.message,
        "severity": alert.severity.label,
        "attack": alert.attack,
        "first_seen": alert.first_seen,
        "last_seen": alert.last_seen,
        "count": alert.count,
        "version": alert.analytic_version,
        "confidence": alert.confidence,
        "reasons": alert.reasons,
        "container": None
        if container is None
        else {
            "id": container.id,
            "name": container.name,
            "image": container.image,
            "image_digest": container.image_digest,
            "owner": container.owner,
            "pod": container.pod,
            "namespace": container.namespace,
        },
        "process": _process(event.process),
        "evidence": [
            {"event_id": each.event_id, "ts": each.ts, "summary": each.summary, "event": event}
            for each in alert.evidence
        ],
        "entities": [{"kind": each.kind, "id": each.id, "scope": each.scope} for each in alert.entities],
        "features": alert.features,
        "response": alert.response,
        "node": event.node,
        "cluster": event.cluster,
    }


def _process(process: Process) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "exe": process.exe,
        "args": process.args,
        "uid": process.uid,
        "euid": process.euid,
        "cwd": process.cwd,
        "tty": process.tty,
        "start_ns": process.start_ns,
        "origin": process.origin,
        "ancestors": [
            {"pid": each.pid, "exe": each.exe, "args": each.args, "uid": each.uid} for each in process.ancestors
        ],
    }
