"""The running sensor: rings read in order of time, records decoded, analytics run, results handed to a sink."""

from __future__ import annotations

import logging
import select
import struct
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from seawall.detection.folding import fold
from seawall.domain.runtime_events import Enforced, Loss, ProcessExec, RuntimeEvent, ScriptRun

from seawall_sensor import sensitive
from seawall_sensor.containers import Container, ContainerIndex
from seawall_sensor.decode import Decoder
from seawall_sensor.host import Host
from seawall_sensor.late import ASK_S, Late
from seawall_sensor.limits import Limits
from seawall_sensor.listening import listeners
from seawall_sensor.loader import Options, Programs
from seawall_sensor.output import Sink
from seawall_sensor.processes import Entry, ProcessCache
from seawall_sensor.records import KIND_AT, TAIL_AT, Kind
from seawall_sensor.reports import Reports, Status
from seawall_sensor.ring import RingBuffer
from seawall_sensor.starts import QuietStarts

if TYPE_CHECKING:
    from seawall_sensor.enforcement import Enforcer

log = logging.getLogger(__name__)

HOST_QUIET = frozenset({Kind.IN_USE, Kind.ACCEPT, Kind.FLOW, Kind.TIMES})
"""Kinds that the node's own processes do not send."""

HEARTBEAT_S = 60.0
_POLL_S = 0.05
_MAX_ASKED = 600
"""Seconds that an unknown container is asked for after its first events went out without its name."""
_BACKLOG = 256 << 10
"""Bytes in a ring that are worth another turn at once."""
_STAMP = struct.Struct("<Q").unpack_from
_SETTLE_NS = 2_000_000
"""How long a record may take from its time stamp until it can be read."""
_BY_TIME = itemgetter(0)
_EXEC = int(Kind.EXEC)


class Judge(Protocol):
    """What runs the analytics: `seawall.detection.engine.Engine`."""

    @property
    def heard(self) -> int:
        """See `Engine.heard`."""

    def process(self, event: Any) -> Any:
        """Return the alerts of one event."""


class Sensor:
    """Owns the programs from `start` to `close`; `run` works until `stop` is called."""

    def __init__(
        self,
        host: Host,
        options: Options,
        sink: Sink,
        judge: Judge | None,
        *,
        cluster: str = "",
        version: str = "",
        root: str = "/",
        limits: Limits | None = None,
        enforcer: Enforcer | None = None,
        on_exec: Callable[[ProcessExec | ScriptRun], None] = lambda _event: None,
        later: Callable[[], Sequence[RuntimeEvent]] = tuple,
        facts: Callable[[], dict[str, Any]] = dict,
        on_second: Callable[[], None] = lambda: None,
        unwanted: frozenset[Kind] = frozenset(),
        repeats: bool = True,
        on_file_used: Callable[[Container, str, bool], None] = lambda _container, _path, _executed: None,
    ) -> None:
        """`repeats`: whether process starts make events that are equal to one before that said nothing. `later` is asked with
        every batch for events that threads of the sensor made; `facts` are fields of the heartbeat that others know;
        `on_second` is called once a second."""
        self.host, self.options, self.sink, self.judge = host, options, sink, judge
        self.status = Status()
        self.programs = Programs(host, options)
        self.processes = ProcessCache()
        self.enforcer = enforcer
        self.containers = ContainerIndex(
            host, self.processes, root=root, on_host_cgroup=self._quieten, on_container=self._container_known
        )
        self.decoder = Decoder(
            host,
            self.processes,
            self.containers,
            cluster=cluster,
            policy_name=enforcer.policy_name if enforcer is not None else str,
            on_file_used=on_file_used,
            on_cgroup_gone=enforcer.forget if enforcer is not None else lambda _cgroup: None,
            unwanted=unwanted,
        )
        self.limits = limits or Limits()
        self.version, self._on_exec, self._later = version, on_exec, later
        self._reports = Reports(
            self.status, sink, self.programs, self.decoder, self.containers, self.limits, version=version, facts=facts
        )
        self._on_second = on_second
        self._quiet_starts = None if repeats else QuietStarts(self.processes)
        self._stopping = False
        self._late = Late(self.containers)
        self._shed: frozenset[Kind] = frozenset()
        self._rings: tuple[RingBuffer, ...] = ()
        self._held: list[tuple[int, bytes]] = []
        self._lag_ns = 0
        self._host_mask = sum(1 << kind for kind in Kind if kind not in HOST_QUIET)

    def start(self) -> None:
        """Load and attach; then say `ready`.

        Raises:
            ConfigError: this kernel or these privileges are not enough.
        """
        self.programs.start()
        names, folders = self.programs.maps["sensitive_names"], self.programs.maps["sensitive_folders"]
        for name, flags in sensitive.NAMES.items():
            names[sensitive.key(name)] = struct.pack("<I", flags)
        for name, flags in sensitive.FOLDERS.items():
            folders[sensitive.key(name)] = struct.pack("<I", flags)
        interpreters = self.programs.maps["interpreters"]
        for name in sensitive.INTERPRETERS:
            interpreters[sensitive.key(name)] = struct.pack("<I", 1)
        self.programs.control()
        self._rings = (
            self.programs.ring("process_ring"),
            self.programs.ring("event_ring", quiet=self.decoder.quiet, tail_at=TAIL_AT),
        )
        if self.enforcer is not None:
            self.enforcer.start(self.programs.maps)
        self.containers.scan()
        self.containers.adopt_all()
        self.processes.rebuild()
        self._take_running()
        self.status.state = "degraded" if self.programs.hooks.blind_kinds() else "ready"
        self._reports.heartbeat("ready")

    def _take_running(self) -> None:
        """Join containers to the processes that run already, so they count as started before us."""
        contained: dict[int, Entry] = {}
        for entry in sorted(self.processes.running(), key=lambda entry: entry.start_ns):
            cgroup = self.containers.cgroup_of(entry.pid)
            if cgroup:
                entry.cgroup = cgroup
                container = self.containers.find(cgroup, entry)
                if container is not None:
                    container.announced = True
                    container.first_pid = container.first_pid or entry.pid
                    contained[entry.pid] = entry
        for pid in listeners(contained):
            contained[pid].now_listens()

    def run(self) -> None:
        """Read until `stop`; then read what still waits and report the losses."""
        # Edges, not levels: the kernel wakes us when a ring fills or something is urgent. To be woken by whatever lies in a
        # ring would mean many small batches, which cost several times as much as a few large ones.
        poll = select.epoll()
        for ring in self._rings:
            poll.register(ring.fd, select.EPOLLIN | select.EPOLLET)
        beat = second = time.monotonic()
        urgent = False
        while not self._stopping:
            if all(ring.waiting() < _BACKLOG for ring in self._rings):
                self.sink.flush()
                # What we were woken for is too young to be handled at once.
                urgent = bool(poll.poll(_SETTLE_NS / 1e9 if urgent else ASK_S if self._late else _POLL_S))
            self._read_once()
            now = time.monotonic()
            if now - second >= 1.0:
                second = now
                self._every_second()
            if now - beat >= HEARTBEAT_S:
                beat = now
                self._reports.heartbeat("degraded" if self._shed else self.status.state)
        poll.close()

    def stop(self, *_: object) -> None:
        """Ask `run` to end; safe in a signal handler."""
        self._stopping = True

    def close(self) -> None:
        """Read what waits and report the losses; `detach` comes after."""
        if self._rings:
            self._stopping = True
            for _ in range(64):
                if not self._read_once() and not self._held:
                    break
            for event, enforced in self._late.due(final=True):
                self._pass(event, enforced)
            self._reports.losses(final=True)
            self.status.state = "stopping"
            self._reports.heartbeat("stopping")
            for ring in self._rings:
                ring.close()
        self.sink.flush()

    def detach(self) -> None:
        """Take the programs out of the kernel: it waits about a tenth of a second for each function it lets go."""
        self.programs.close()

    def _read_once(self) -> int:
        """Read one batch of each ring, handle it in order of time; return how many records it had."""
        # Nothing younger than this is handled yet: the other ring may still bring something older. A ring that was not
        # read to its end brings it for certain.
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        horizon = now - (0 if self._stopping else _SETTLE_NS)
        batches = [ring.read() for ring in self._rings]
        read, rows, decoder = 0, self._held, self.decoder
        for ring, batch in zip(self._rings, batches, strict=True):
            if batch.last_ns:
                read += len(batch.records) + batch.quiet
                self._lag_ns = max(self._lag_ns, now - batch.first_ns)
                if ring.waiting():
                    horizon = min(horizon, batch.last_ns)
            kept = decoder.sift(batch.records)
            decoder.foresee(kept)
            decoder.filtered += batch.quiet
            decoder.malformed += batch.corrupt
            rows += [(_STAMP(data)[0], data) for data in kept]
        rows.sort(key=_BY_TIME)
        end = len(rows) if not rows or rows[-1][0] <= horizon else bisect_right(rows, horizon, key=_BY_TIME)
        for _, data in rows[:end]:
            self._handle(data)
        self._held = rows[end:]
        for event, enforced in self._late.due():
            self._pass(event, enforced)
        for event in self._later():
            if type(event) is Loss:
                self._reports.count(event)
            own = {"node": self.host.node, "cluster": decoder.enricher.cluster, "boot": self.host.boot}
            self._emit(msgspec.structs.replace(event, seq=decoder.enricher.next_seq(), **own))
        return read

    def _handle(self, data: bytes) -> None:
        quiet = self._quiet_starts if data[KIND_AT] == _EXEC else None
        if quiet is not None and quiet.again(data):
            self.status.events += 1
            return
        found = self.decoder.decode(data)
        before, waits = self._heard(), False
        enforced = len(found) > 1 and any(type(event) is Enforced for event in found)
        for event in found:
            if isinstance(event, ProcessExec | ScriptRun):
                self._on_exec(event)
            if self._late.hold(event, enforced):
                waits = True
            else:
                self._pass(event, enforced)
        if quiet is not None and len(found) == 1 and not waits and self._heard() == before:
            (event,) = found
            if type(event) is ProcessExec and (self.enforcer is None or event.container is None):
                quiet.learn(data, event)

    def _heard(self) -> int:
        return self.judge.heard + self.status.alerts if self.judge is not None else 0

    def _pass(self, event: RuntimeEvent, enforced: bool) -> None:
        self._emit(event)
        if isinstance(event, ProcessExec | ScriptRun) and self.enforcer is not None and event.container is not None:
            self._enforce(event, done=enforced)

    def _enforce(self, event: ProcessExec | ScriptRun, *, done: bool) -> None:
        assert self.enforcer is not None
        assert event.container is not None
        acted = self.enforcer.executed(event, self.containers.by_id.get(event.container.id), done=done)
        if acted is not None:
            self._emit(msgspec.structs.replace(acted, seq=self.decoder.enricher.next_seq()))

    def _container_known(self, container: Container) -> None:
        if self.enforcer is not None:
            self.enforcer.container(container)

    def _emit(self, event: RuntimeEvent) -> None:
        self.status.events += 1
        self.sink.event(event)
        if self.judge is not None:
            alerts = self.judge.process(event)
            # What reaches a threshold is one alert of all that was counted.
            for alert in fold(alerts) if len(alerts) > 1 else alerts:
                self.status.alerts += 1
                self.sink.alert(alert, event)

    def _every_second(self) -> None:
        self.decoder.tick()
        self.status.turned = time.monotonic()
        self.status.lag_s, self._lag_ns = round(self._lag_ns / 1e9, 3), 0
        shed = self.limits.adjust(max(ring.waiting() / ring.size_bytes for ring in self._rings))
        if shed != self._shed:
            self._shed = shed
            self.status.shed = tuple(sorted(kind.name.lower() for kind in shed))
            self.programs.control(shed=shed)
            self._reports.heartbeat("degraded" if shed else self.status.state)
        self._reports.losses()
        self._on_second()
        for container in self.containers.running():
            if not container.complete and container.asked < _MAX_ASKED:
                container.asked += 1
                self.containers.complete(container)

    def _quieten(self, cgroup: int) -> None:
        found = self.programs.maps.get("cgroup_kinds")
        if found is not None:
            found[struct.pack("<Q", cgroup)] = struct.pack("<Q", self._host_mask)
