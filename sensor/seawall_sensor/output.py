"""One JSON object a line: `{"kind": "event" | "alert" | "loss" | "heartbeat", ...}`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, BinaryIO

import msgspec
from seawall.domain.alerts import Alert
from seawall.domain.runtime_events import Heartbeat, Loss, Process, RuntimeEvent

_MAX_BUFFER = 1 << 16


class JsonLines:
    """Writes results to a binary stream. `only` keeps some kinds of lines; losses and heartbeats always pass with "alert"
    too, unless they are left out by `only` in full: `--only alert` prints alerts, the ready heartbeat and losses."""

    def __init__(self, stream: BinaryIO, only: Collection[str] = ()) -> None:
        self._stream, self._only = stream, frozenset(only) | ({"heartbeat", "loss"} if only else frozenset())
        self._encoder = msgspec.json.Encoder()
        self._lines = bytearray()

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
        if not self._only or "alert" in self._only:
            self._write(self._encoder.encode(alert_line(alert, event)))

    def _write(self, line: bytes) -> None:
        self._lines += line
        self._lines += b"\n"
        if len(self._lines) > _MAX_BUFFER:
            self.flush()

    def flush(self) -> None:
        """Hand the lines over."""
        if self._lines:
            self._stream.write(self._lines)
            self._stream.flush()
            self._lines.clear()


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
        "confidence": alert.confidence,
        "reasons": alert.reasons,
        "container": None
        if container is None
        else {
            "id": container.id,
            "name": container.name,
            "image": container.image,
            "pod": container.pod,
            "namespace": container.namespace,
        },
        "process": _process(event.process),
        "evidence": [
            {"event_id": each.event_id, "ts": each.ts, "summary": each.summary, "event": event}
            for each in alert.evidence
        ],
        "response": alert.response,
    }


def _process(process: Process) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "exe": process.exe,
        "args": process.args,
        "uid": process.uid,
        "cwd": process.cwd,
        "ancestors": [{"pid": each.pid, "exe": each.exe, "args": each.args} for each in process.ancestors],
    }
