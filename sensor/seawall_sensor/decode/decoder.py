"""Which record is decoded by what, and which need not be decoded at all."""

from __future__ import annotations

import struct
from collections.abc import Callable

from seawall_sensor import records
from seawall_sensor.containers import Container, ContainerIndex
from seawall_sensor.decode import cgroups, files, kernel, network, processes
from seawall_sensor.decode.enricher import Enricher, Found, Handler
from seawall_sensor.host import Host, boot_offset_ns
from seawall_sensor.processes import ProcessCache, arguments
from seawall_sensor.records import (
    CGROUP_AT,
    COMM_AT,
    EXEC_BYTES,
    HEAD,
    KIND_AT,
    LONG,
    NAMESPACE_AT,
    SHORT,
    WORD,
    Exec,
    Head,
    Kind,
)
from seawall_sensor.watched import HostFiles

_HANDLERS: dict[int, Handler] = {
    **processes.HANDLERS, **files.HANDLERS, **network.HANDLERS, **kernel.HANDLERS, **cgroups.HANDLERS,
}  # fmt: skip
_HOST_FILTERED = frozenset({Kind.OPEN, Kind.RENAME, Kind.UNLINK, Kind.LINK, Kind.CHMOD})
_HOST_FILTERED_MASK = sum(1 << kind for kind in _HOST_FILTERED)
_CHMOD = int(Kind.CHMOD)
_FILE_TEXTS = struct.Struct("<5H")
_FILE_TEXTS_AT, _FILE_BYTES, _FILE_MODE_AT = 120, HEAD.size + records.FILE.size, HEAD.size + 16
_LOOK = struct.Struct("<I12xH2xI").unpack_from
"""Namespace, kind and size, from the place of the namespace on."""
_SPECIAL_AT, _SPECIAL = _FILE_MODE_AT + 1, 0o6000 >> 8
"""The byte of a file record's mode that holds setuid and setgid, and their bits in it."""


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
        self._host, self._containers = host, containers
        self._exits_unseen = Kind.EXIT in unwanted
        self._host_files = HostFiles()

    def tick(self) -> None:
        """Measure the clocks again: steps of the wall clock show in the next events."""
        self.enricher.offset_ns = boot_offset_ns()

    def decode(self, data: bytes, offset: int) -> Found:
        """Return the events of one record: usually one; none for those that only teach us something."""
        kind = SHORT(data, offset + KIND_AT)[0]
        if kind in _HOST_FILTERED and not self._worth(kind, data, offset):
            self.filtered += 1
            return []
        self.records += 1
        if kind == Kind.EXIT and self._exits_unseen:
            processes.exited_unseen(self.enricher, data, offset)
            return []
        found: Found = []
        handler = _HANDLERS.get(kind)
        if handler is None:
            self.malformed += 1
        else:
            handler(self.enricher, Head._make(HEAD.unpack_from(data, offset)), data, offset, found)
        return found

    def sift(self, data: bytes, offsets: list[int]) -> list[int]:
        """Return the records that have to be decoded: without file records of the node's own namespace that mean nothing.

        One loop over a batch, before anything is made of a record: a busy node writes 100,000s of files a second.
        """
        own, mask, kept = self._host.mount_namespace, _HOST_FILTERED_MASK, []
        look, known, wants = _LOOK, self._host_files.known.get, self._host_files.wants
        for offset in offsets:
            namespace, kind, size = look(data, offset + NAMESPACE_AT)
            if namespace == own and mask >> kind & 1:
                texts = data[offset + _FILE_BYTES : offset + size]
                wanted = known(texts)
                if wanted is None:
                    wanted = wants(texts)
                if not wanted and not (kind == _CHMOD and data[offset + _SPECIAL_AT] & _SPECIAL):
                    continue
            kept.append(offset)
        self.filtered += len(offsets) - len(kept)
        return kept

    def foresee(self, data: bytes, offsets: list[int]) -> None:
        """Learn of containers that a batch announces before its events are decoded: a container that lives for a moment
        is described by its runtime for a moment."""
        for offset in offsets:
            kind = SHORT(data, offset + KIND_AT)[0]
            if kind == Kind.CGROUP:
                cgroups.made(self.enricher, data, offset)
            elif kind == Kind.EXEC and data.startswith((b"conmon", b"containerd-shim"), offset + COMM_AT):
                record = Exec._make(records.EXEC.unpack_from(data, offset + HEAD.size))
                at = offset + EXEC_BYTES + record.path_bytes + record.cwd_bytes + record.asked_bytes
                self._containers.announced(arguments(data[at : at + record.args_bytes]))

    def _worth(self, kind: int, data: bytes, offset: int) -> bool:
        """Whether a file record can mean something: all of containers', watched paths of the node's own processes."""
        cgroup, namespace = LONG(data, offset + CGROUP_AT)[0], WORD(data, offset + NAMESPACE_AT)[0]
        if namespace != self._host.mount_namespace and not self._containers.is_host(cgroup, namespace):
            return True
        sizes = _FILE_TEXTS.unpack_from(data, offset + _FILE_TEXTS_AT)
        at = offset + _FILE_BYTES
        if kind == Kind.CHMOD and WORD(data, offset + _FILE_MODE_AT)[0] & 0o6000:
            return True
        return self._host_files.wants(data[at : at + sum(sizes)])
