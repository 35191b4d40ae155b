"""Delivery: results go into the spool, and from there to the receiver, exactly once after its de-duplication.

A sink for `seawall_sensor.sensor.Sensor`, made by `seawall_sensor.receiving.Receiving.open`. After `sensor.close()` its own
`close` waits a few seconds for the receiver; what is left stays in the spool.

`event`, `alert` and `send` only append to a list. One thread makes batches and puts them on disk, another delivers them,
so a slow disk or receiver never holds up the reading of the kernel's rings. For standard output beside it give two sinks.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import zstandard
from seawall.domain.alerts import Alert
from seawall.domain.errors import SeawallError
from seawall.domain.runtime_events import NO_PROCESS, AnyRuntimeEvent, Loss, RuntimeEvent

from seawall_sensor.spool import Spool, Stored
from seawall_sensor.transports import Failed, Refused, Transport

if TYPE_CHECKING:
    from seawall_sensor.enrol import Credentials

log = logging.getLogger(__name__)

MAX_BATCH_BYTES = 800 * 1024
"""Compressed payload of one batch: with header and signature it stays under Event Hubs' 1 MB."""


@dataclass(slots=True)
class Figures:
    """Counters since start, for the heartbeat and `/metrics`."""

    taken: int = 0
    delivered: int = 0
    """Records that the receiver confirmed."""
    batches: int = 0
    failures: int = 0
    """Attempts that failed and were or will be repeated."""
    refused: int = 0
    """Records of batches that the receiver will never take."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Records lost here, by reason: size, age (bounds of the spool), disk (it took nothing and memory was full), damaged,
    killed (an earlier process had taken them), buffer, encoding, refused."""
    last_error: str = ""
    """Empty when the last attempt was good."""
    delivered_at: float = 0.0
    """`time.monotonic` of the last confirmed batch; 0 = none yet."""
    certificate_expires_ns: int = 0
    """ns since 1970 UTC; 0 = not enrolled yet."""


class _Payload(msgspec.Struct):
    events: list[AnyRuntimeEvent] = []
    alerts: list[Alert] = []


class Delivery:
    """Takes results, spools them, delivers them. Close it to stop its threads."""

    def __init__(
        self,
        spool: Spool,
        credentials: Callable[[], Credentials],
        transport: Transport,
        *,
        analytics: str = "",
        flush_s: float = 1.0,
        max_records: int = 2_000,
        max_buffered: int = 50_000,
        backoff_s: float = 1.0,
        max_backoff_s: float = 60.0,
    ) -> None:
        """`analytics`: content id of the analytics that run here, empty = the receiver detects. Back-off doubles from
        `backoff_s` to `max_backoff_s`, and waits a random part of it (full jitter)."""
        self.figures = Figures()
        self.spool = spool
        self._credentials, self._transport, self._analytics = credentials, transport, analytics
        self._flush_s, self._max_records, self._max_buffered = flush_s, max_records, max_buffered
        self._backoff_s, self._max_backoff_s = backoff_s, max_backoff_s
        self._events: list[RuntimeEvent] = []
        self._alerts: list[Alert] = []
        self._overflow = self._said_again = 0
        self._lost: Counter[str] = Counter()
        self._disk_said, self._say_lost_at = "", 0.0
        self._lock = threading.Lock()
        self._disk = threading.Lock()
        self._full = threading.Event()
        self._ready = threading.Event()
        self._closing = threading.Event()
        self._deadline = 0.0
        self._packer = zstandard.ZstdCompressor(level=3)
        if spool.lost_at_start:
            self._note_loss("killed", spool.lost_at_start)
        self._writer = threading.Thread(target=self._write_loop, name="spool", daemon=True)
        self._sender = threading.Thread(target=self._send_loop, name="deliver", daemon=True)
        self._writer.start()
        self._sender.start()

    def event(self, event: RuntimeEvent) -> None:
        """Take one event."""
        self._take((event,), ())

    def alert(self, alert: Alert, event: RuntimeEvent) -> None:  # noqa: ARG002 - the sink's signature
        """Take one alert; its event was taken by itself."""
        self._take((), (alert,))

    def send(self, events: Sequence[RuntimeEvent], alerts: Sequence[Alert] = ()) -> None:
        """Take several."""
        self._take(events, alerts)

    def flush(self) -> None:
        """Nothing: the writer's thread flushes every `flush_s`, so that idle times cost no fsync."""

    def _take(self, events: Sequence[RuntimeEvent], alerts: Sequence[Alert]) -> None:
        number = len(events) + len(alerts)
        with self._lock:
            if len(self._events) + len(self._alerts) + number > self._max_buffered:
                self._overflow += number
                return
            self._events.extend(events)
            self._alerts.extend(alerts)
            self.figures.taken += number
            self.spool.taken(number)
            full = len(self._events) + len(self._alerts) >= self._max_records
        if full:
            self._full.set()

    def close(self, timeout_s: float = 5.0) -> None:
        """Spool what was taken, give the receiver `timeout_s` for the rest, and stop."""
        self._deadline = time.monotonic() + timeout_s
        self._closing.set()
        self._full.set()
        self._writer.join()
        self._ready.set()
        self._sender.join(timeout_s + 35.0)
        self._transport.close()
        with self._disk:
            self.spool.close()

    def _write_loop(self) -> None:
        while True:
            closing = self._closing.is_set()
            if not closing:
                self._full.wait(self._flush_s)
            self._full.clear()
            while self._written():
                self._ready.set()
            self._ready.set()
            if closing:
                return

    def _written(self) -> bool:
        """Write one batch; one that can not be encoded is counted, and the next goes on. False: there was none, but for what
        the batches before it lost. What that report itself costs waits for the next turn: a full disk is no busy loop."""
        placed = self.spool.placed
        with self._lock:
            waiting = min(len(self._events) + len(self._alerts), self._max_records)
        try:
            return self._write_batch()
        except Exception as error:  # noqa: BLE001 - the thread must live
            log.warning("batch not spooled", extra={"error": f"{type(error).__name__}: {error}"[:300]})
            lost = max(0, waiting - (self.spool.placed - placed))
            with self._disk:
                self.spool.give_up(lost)
            with self._lock:
                self._note_loss("encoding", lost)
            return True

    def _write_batch(self) -> bool:
        with self._lock:
            events, self._events = self._events[: self._max_records], self._events[self._max_records :]
            room = self._max_records - len(events)
            alerts, self._alerts = self._alerts[:room], self._alerts[room:]
            overflow, self._overflow = self._overflow, 0
        found = bool(events or alerts)
        with self._disk:
            dropped, again = self.spool.take_dropped()
        if overflow:
            dropped["buffer"] = overflow
        if again and not dropped:
            dropped[""] = 0
        with self._lock:
            for reason, number in dropped.items():
                self._said_again += again
                events.append(self._loss(reason, number, again))
                self.spool.taken(1)
                again = 0
        self._say_disk(dropped)
        for event in events:
            if isinstance(event, Loss) and event.lost:
                self._lost[f"{event.stage}/{event.event_class}"] += event.lost
        if self._said_again:
            with self._lock:
                self._lost["spool/"] -= self._said_again
                self._said_again = 0
        if events or alerts:
            self._spool(events, alerts)
        return found

    def _spool(self, events: list[RuntimeEvent], alerts: list[Alert]) -> None:
        payload = msgspec.msgpack.encode(_Payload(events, alerts))  # type: ignore[arg-type]
        packed = self._packer.compress(payload)
        if len(packed) > MAX_BATCH_BYTES and len(events) + len(alerts) > 1:
            if len(events) > 1:
                half = len(events) // 2
                parts = [(events[:half], alerts), (events[half:], [])]
            elif len(alerts) > 1:
                half = len(alerts) // 2
                parts = [(events, alerts[:half]), ([], alerts[half:])]
            else:
                parts = [(events, []), ([], alerts)]
            for some_events, some_alerts in parts:
                self._spool(some_events, some_alerts)
            return
        with self._disk:
            reports = [event.lost for event in events if isinstance(event, Loss) and event.stage == "spool"]
            self.spool.store(
                packed,
                records=len(events) + len(alerts),
                payload_bytes=len(payload),
                lost=dict(self._lost),
                loss_reports=len(reports),
                reported=sum(reports),
            )

    def _note_loss(self, reason: str, number: int, again: int = 0) -> None:
        self._said_again += again
        self._events.append(self._loss(reason, number, again))
        self.spool.taken(1)

    def _loss(self, reason: str, number: int, again: int) -> Loss:
        """A report of `number` new losses and of `again` that a report said which did not arrive itself."""
        if number:
            self.figures.dropped[reason] += number
        return Loss(
            ts_ns=(now := time.time_ns()), process=NO_PROCESS, boot=self.spool.boot, lost=number + again,
            stage="spool", reason=reason, since_ns=now,
        )  # fmt: skip

    def _send_loop(self) -> None:
        attempt = 0
        while True:
            with self._disk:
                self.spool.trim()
                found = self.spool.first()
            if found is None:
                if self._closing.is_set() and not self._writer.is_alive():
                    return
                self._ready.wait(self._flush_s)
                self._ready.clear()
                continue
            if self._closing.is_set() and time.monotonic() >= self._deadline:
                return
            entry, header, packed = found
            wait_s = self._attempt(header, packed)
            if wait_s is None:
                attempt = 0
                with self._disk:
                    self.spool.remove(entry)
                continue
            with self._disk:
                self.spool.put_back(entry)
            self.figures.failures += 1
            if self._closing.is_set() and time.monotonic() >= self._deadline:
                return
            if wait_s < 0:
                wait_s = random.uniform(0, min(self._max_backoff_s, self._backoff_s * 2 ** min(attempt, 16)))  # noqa: S311
            attempt += 1
            if self._closing.wait(wait_s) and time.monotonic() < self._deadline:
                time.sleep(min(wait_s, 0.1, max(0.0, self._deadline - time.monotonic())))

    def _attempt(self, header: Stored, packed: bytes) -> float | None:
        """Deliver one batch; None = done with it, else seconds to wait (-1 = by back-off)."""
        from seawall.formats.sensor_batch import encode_batch

        try:
            credentials = self._credentials()
            self.figures.certificate_expires_ns = credentials.expires_ns
            payload = msgspec.msgpack.decode(_unpacked(packed, header.payload_bytes), type=_Payload)
            body = encode_batch(
                payload.events,
                payload.alerts,
                signer=credentials,
                identity=credentials.identity,
                boot=header.boot,
                stream=header.stream,
                batch=header.batch,
                created_ns=header.created_ns,
                lost=header.lost,
                analytics=self._analytics,
            )
            self._transport.send(body, credentials.identity.sensor)
        except Refused as error:
            self.figures.refused += header.records
            self.figures.last_error = str(error)
            log.warning("batch refused", extra={"batch": header.batch, "records": header.records, "reason": str(error)})
            with self._lock:
                self._note_loss("refused", header.records - header.loss_reports, header.reported)
            return None
        except (msgspec.DecodeError, zstandard.ZstdError) as error:
            self.figures.last_error = str(error)
            with self._lock:
                self._note_loss("damaged", header.records - header.loss_reports, header.reported)
            return None
        except Exception as error:  # noqa: BLE001 - whatever a client library raises: the batch stays, the thread lives
            known = isinstance(error, Failed | SeawallError)
            self._say(str(error) if known else f"{type(error).__name__}: {error}"[:300])
            after_s = getattr(error, "retry_after_s", None)
            return -1.0 if after_s is None else float(after_s)
        if self.figures.last_error:
            log.warning("delivery works again", extra={"batches": len(self.spool)})
            self.figures.last_error = ""
        self.figures.delivered += header.records
        self.figures.batches += 1
        self.figures.delivered_at = time.monotonic()
        return None

    def _say_disk(self, dropped: dict[str, int]) -> None:
        """Log when the disk stops or starts to take batches, and what was lost at most once a minute."""
        wrong = self.spool.wrong
        if wrong != self._disk_said:
            self._disk_said = wrong
            if wrong:
                log.warning("the spool's disk takes nothing, batches are held in memory: %s", wrong)
            else:
                log.warning("the spool's disk takes batches again")
        if any(dropped.values()) and time.monotonic() >= self._say_lost_at:
            self._say_lost_at = time.monotonic() + 60.0
            told = ", ".join(f"{reason} {number}" for reason, number in self.figures.dropped.items() if number)
            log.warning("records lost since the start: %s", told)

    def _say(self, reason: str) -> None:
        """Log a failure once, not with every attempt, in one line."""
        reason = " ".join(reason.split())
        if reason != self.figures.last_error:
            log.warning("not delivered, kept in the spool: %s", reason)
        self.figures.last_error = reason


def _unpacked(packed: bytes, size_bytes: int) -> bytes:
    return zstandard.ZstdDecompressor().decompress(packed, max_output_size=size_bytes)
