"""Which record is decoded by what, and which need not be decoded at all."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable

from seawall_sensor import records
from seawall_sensor.containers import Container, ContainerIndex
from seawall_sensor.decode import cgroups, files, kernel, network, processes
from seawall_sensor.decode.enricher import Enricher, Found, Handler
from seawall_sensor.host import Host, boot_offset_ns
from seawall_sensor.processes import ProcessCache
from seawall_sensor.records import (
    CGROUP_AT,
    COMM_AT,
    HEAD,
    KIND_AT,
    LONG,
    NAMESPACE_AT,
    SHORT,
    TAIL_AT,
    WORD,
    Head,
    Kind,
)
from seawall_sensor.watched import HostFiles

log = logging.getLogger(__name__)

_HANDLERS: dict[int, Handler] = {
    **processes.HANDLERS, **files.HANDLERS, **network.HANDLERS, **kernel.HANDLERS, **cgroups.HANDLERS,
}  # fmt: skip
_HOST_FILTERED = sum(1 << kind for kind in (Kind.OPEN, Kind.RENAME, Kind.UNLINK, Kind.LINK, Kind.CHMOD))
_EXIT, _EXEC, _CGROUP, _CHMOD = int(Kind.EXIT), int(Kind.EXEC), int(Kind.CGROUP), int(Kind.CHMOD)
_TEXTS_AT, _MODE_AT = HEAD.size + records.FILE.size, HEAD.size + 16
_KIND_AND_NAMESPACE = struct.Struct("<HI").unpack_from
_QUIET, _QUIET_BYTES = 8192, 320
"""How many tails of records are remembered, up to which length: three megabytes at most."""
_MONITORS = (b"conmon", b"containerd-shim")


class Decoder:
    """Turns records into events. One per sensor; not thread-safe."""

    def __init__(
        self,
        host: Host,
        processes: ProcessCache,
        containers: ContainerIndex,
        *,
        cluster: str = "",
        policy_name: Callable[[int], str] = str,
        on_file_used: Callable[[Container, str, bool], None] = lambda _container, _path, _executed: None,
        on_cgroup_gone: Callable[[int], None] = lambda _cgroup: None,
        unwanted: frozenset[Kind] = frozenset(),
    ) -> None:
        self.enricher = Enricher(
            host,
            processes,
            containers,
            cluster=cluster,
            policy_name=policy_name,
            on_file_used=on_file_used,
            on_cgroup_gone=on_cgroup_gone,
        )
        self.records = self.malformed = self.filtered = 0
        self.quiet: set[bytes] = set()
        """Tails (`TAIL_AT`) of file records that mean nothing, for `RingBuffer.quiet`."""
        self._host, self._containers = host, containers
        self._exits_unseen = Kind.EXIT in unwanted
        self._host_files = HostFiles()

    def tick(self) -> None:
        """Measure the clocks again: steps of the wall clock show in the next events."""
        self.enricher.offset_ns = boot_offset_ns()

    def decode(self, data: bytes) -> Found:
        """Return the events of one record: usually one; none for those that only teach us something.

        What can not be read is counted as malformed, as is what reading it makes go wrong.
        """
        try:
            return self._decode(data)
        except (ValueError, KeyError, IndexError, struct.error) as error:
            if not self.malformed:
                log.warning("record not decoded", extra={"error": repr(error)[:200]})
            self.malformed += 1
            return []

    def _decode(self, data: bytes) -> Found:
        kind = SHORT(data, KIND_AT)[0]
        if _HOST_FILTERED >> kind & 1 and not self._worth(kind, data):
            self.filtered += 1
            return []
        self.records += 1
        if kind == _EXIT and self._exits_unseen:
            processes.exited_unseen(self.enricher, data)
            return []
        found: Found = []
        handler = _HANDLERS.get(kind)
        if handler is None:
            self.malformed += 1
        else:
            handler(self.enricher, Head._make(HEAD.unpack_from(data)), data, found)
        return found

    def sift(self, batch: list[bytes]) -> list[bytes]:
        """Return the records that have to be decoded: without file records of the node's own namespace that mean nothing.

        The next ones like those are not even taken out of the ring: a busy node writes 100,000s of files a second.
        """
        own, kept, quiet = self._host.mount_namespace, [], self.quiet
        for data in batch:
            if len(data) < HEAD.size:
                self.malformed += 1
                continue
            kind, namespace = _KIND_AND_NAMESPACE(data, KIND_AT)
            if namespace != own or not _HOST_FILTERED >> kind & 1 or self._means(kind, data):
                kept.append(data)
                continue
            self.filtered += 1
            if len(data) - TAIL_AT <= _QUIET_BYTES:
                if len(quiet) >= _QUIET:
                    quiet.clear()
                quiet.add(data[TAIL_AT:])
        return kept

    def foresee(self, batch: list[bytes]) -> None:
        """Learn of containers that a batch announces before its events are decoded: a container that lives for a moment
        is described by its runtime for a moment."""
        for data in batch:
            kind = data[KIND_AT]
            try:
                if kind == _CGROUP:
                    cgroups.made(self.enricher, data)
                elif kind == _EXEC and data.startswith(_MONITORS, COMM_AT):
                    self._containers.announced(processes.arguments_of(data))
            except (ValueError, struct.error):
                continue  # counted when it is decoded

    def _worth(self, kind: int, data: bytes) -> bool:
        """Whether a file record can mean something: all of containers', watched paths of the node's own processes."""
        namespace = WORD(data, NAMESPACE_AT)[0]
        if namespace != self._host.mount_namespace and not self._containers.is_host(
            LONG(data, CGROUP_AT)[0], namespace
        ):
            return True
        return self._means(kind, data)

    def _means(self, kind: int, data: bytes) -> bool:
        """Whether a change of a file by a process of the node itself is one that analytics look at."""
        if len(data) < _TEXTS_AT:
            return True  # too short for what it says it is: counted when it is decoded
        if kind == _CHMOD and WORD(data, _MODE_AT)[0] & 0o6000:
            return True
        return self._host_files.wants(data[_TEXTS_AT:])
