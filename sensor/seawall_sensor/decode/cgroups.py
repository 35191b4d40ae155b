"""Cgroups that come and go, and containers with them."""

from __future__ import annotations

from seawall.domain.runtime_events import NO_PROCESS, ContainerStop

from seawall_sensor import records
from seawall_sensor.decode.enricher import Enricher, Found, Handler
from seawall_sensor.records import HEAD, Head, Kernel, Kind


def made(enricher: Enricher, data: bytes) -> None:
    """Take in a new cgroup ahead of its batch: its container does something at once."""
    record = Kernel._make(records.KERNEL.unpack_from(data, HEAD.size))
    if record.operation != 1 or (record.size_bytes != enricher.host.hierarchy and enricher.host.hierarchy):
        return
    at = HEAD.size + records.KERNEL.size
    enricher.containers.learn(record.value, records.text(data[at : at + record.text_bytes]))
    enricher.containers.adopt(record.value)


def changed(enricher: Enricher, head: Head, data: bytes, found: Found) -> None:
    """A cgroup removed: with its last one a container has ended."""
    record = Kernel._make(records.KERNEL.unpack_from(data, HEAD.size))
    if record.operation == 1 or (record.size_bytes != enricher.host.hierarchy and enricher.host.hierarchy):
        return  # new ones were taken in ahead of their batch
    enricher.on_cgroup_gone(record.value)
    container = enricher.containers.forget(record.value)
    if container is None or not container.announced:
        return
    found.append(
        ContainerStop(
            ts_ns=head.ts_ns + enricher.offset_ns,
            process=NO_PROCESS,
            container=container.context,
            node=enricher.host.node,
            cluster=enricher.cluster,
            boot=enricher.host.boot,
            seq=enricher.next_seq(),
            exit_code=container.exit_code,
        )
    )


HANDLERS: dict[int, Handler] = {Kind.CGROUP: changed}
