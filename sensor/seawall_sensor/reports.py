"""What the sensor says of itself: that it lives, what it sees, what it lost."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from seawall.domain.runtime_events import NO_PROCESS, Heartbeat, Loss

from seawall_sensor.containers import ContainerIndex
from seawall_sensor.decode import Decoder
from seawall_sensor.host import Host
from seawall_sensor.limits import Limits
from seawall_sensor.loader import Programs
from seawall_sensor.output import Sink
from seawall_sensor.records import KINDS, Kind

EVENT_CLASSES: dict[Kind, str] = {
    Kind.EXEC: "exec", Kind.EXIT: "exec", Kind.FORK: "exec", Kind.OPEN: "file", Kind.READ: "file", Kind.RENAME: "file",
    Kind.UNLINK: "file", Kind.CHMOD: "file", Kind.LINK: "file", Kind.TIMES: "file",
    Kind.FILE_CAPS: "file", Kind.MOUNT: "kernel", Kind.IN_USE: "inventory",
    Kind.DNS: "dns", Kind.CONNECT: "network", Kind.ACCEPT: "network", Kind.LISTEN: "network", Kind.UDP_SEND: "network",
    Kind.FLOW: "network", Kind.SOCKET: "network",
}  # fmt: skip
"""Kind of record: class in a `Loss`; the others are of class kernel."""


@dataclass(slots=True)
class Status:
    """Figures for the heartbeat, `/metrics` and the final report."""

    state: str = "starting"
    started: float = field(default_factory=time.monotonic)
    events: int = 0
    alerts: int = 0
    lost: int = 0
    losses: dict[tuple[str, str], int] = field(default_factory=dict)
    """(stage, class): events lost since start."""
    lag_s: float = 0.0
    """Age of the oldest record that was read in the last second."""
    turned: float = field(default_factory=time.monotonic)
    """When the loop turned last."""
    shed: tuple[str, ...] = ()
    """Kinds of records that the self-limits switched off now."""


class Reports:
    """Hands heartbeats and losses to the sink. `status` is the sensor's; `facts` are further fields of the heartbeat."""

    def __init__(
        self,
        status: Status,
        sink: Sink,
        programs: Programs,
        decoder: Decoder,
        containers: ContainerIndex,
        limits: Limits,
        *,
        version: str,
        facts: Callable[[], dict[str, Any]],
    ) -> None:
        self._status, self._sink, self._programs, self._decoder = status, sink, programs, decoder
        self._containers, self._limits, self._version, self._facts = containers, limits, version, facts
        self._reported: dict[tuple[str, int], int] = {}
        self._reported_ns = time.time_ns()

    def losses(self, *, final: bool = False) -> None:
        """Say what was lost since the last time; at the end also that nothing was."""
        now = time.time_ns()
        for (stage, kind), total in self._programs.losses().items():
            new = total - self._reported.get((stage, kind), 0)
            if new > 0:
                self._reported[stage, kind] = total
                self._loss(new, EVENT_CLASSES.get(Kind(kind), "kernel") if 0 < kind < KINDS else "", stage)
        if self._decoder.malformed:
            self._loss(self._decoder.malformed, "", "decode")
            self._decoder.malformed = 0
        if final and not self._status.lost:
            self._loss(0, "", "")
        self._reported_ns = now

    def count(self, loss: Loss) -> None:
        """Take in a loss that another part of the sensor says."""
        status, key = self._status, (loss.stage, loss.event_class)
        if loss.lost:
            status.lost += loss.lost
            status.losses[key] = status.losses.get(key, 0) + loss.lost

    def heartbeat(self, state: str) -> None:
        """Say that the sensor lives and what it can see."""
        status, host, hooks = self._status, self._host, self._programs.hooks
        self._sink.event(
            Heartbeat(
                **self._own(),
                state=state,
                version=self._version,
                kernel=host.kernel,
                hooks=tuple(hooks.attached),
                missing=tuple(hooks.missing),
                uptime_s=round(time.monotonic() - status.started, 3),
                lag_s=status.lag_s,
                events=status.events,
                lost=status.lost,
                rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                cpu_share=round(self._limits.cpu_share, 4),
                shed=status.shed,
                cpus=host.cpus,
                containers=len(self._containers.running()),
                **self._facts(),
            )
        )
        self._sink.flush()

    def _loss(self, number: int, event_class: str, stage: str) -> None:
        loss = Loss(**self._own(), lost=number, event_class=event_class, stage=stage, since_ns=self._reported_ns)
        self.count(loss)
        self._sink.event(loss)

    @property
    def _host(self) -> Host:
        return self._decoder.enricher.host

    def _own(self) -> dict[str, Any]:
        enricher = self._decoder.enricher
        return {
            "ts_ns": time.time_ns(),
            "process": NO_PROCESS,
            "node": enricher.host.node,
            "cluster": enricher.cluster,
            "boot": enricher.host.boot,
            "seq": enricher.next_seq(),
        }
