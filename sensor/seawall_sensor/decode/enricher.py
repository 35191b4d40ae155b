"""What a record does not say itself: the process behind its pid, its container, the fields that every event carries."""

from __future__ import annotations

import ipaddress
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from seawall.domain.runtime_events import RuntimeEvent

from seawall_sensor import records
from seawall_sensor.containers import Container, ContainerIndex
from seawall_sensor.host import Host, boot_offset_ns
from seawall_sensor.processes import Entry, ProcessCache
from seawall_sensor.records import Head

Found = list[RuntimeEvent]

_RUNTIMES = ("runc", "crun", "youki", "conmon", "containerd-shim", "podman", "runsc", "memfd:runc", "exe")
_PATHS = 8192

ACTIONS = {1: "audit", 2: "kill", 3: "block"}
"""`ACTION_*` of records.h, in the words of `Enforced.action`."""


class Enricher:
    """One per sensor; not thread-safe. `names` are the host names that DNS answers gave, by (container id, address)."""

    def __init__(
        self,
        host: Host,
        processes: ProcessCache,
        containers: ContainerIndex,
        *,
        cluster: str,
        policy_name: Callable[[int], str],
        on_file_used: Callable[[Container, str, bool], None],
        on_cgroup_gone: Callable[[int], None],
    ) -> None:
        self.host, self.processes, self.containers, self.cluster = host, processes, containers, cluster
        self.policy_name, self.on_file_used, self.on_cgroup_gone = policy_name, on_file_used, on_cgroup_gone
        # A restarted sensor never repeats a number of its boot: events come slower than one a microsecond.
        self.seq = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
        self.offset_ns = boot_offset_ns()
        self.names: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._paths: dict[bytes, str] = {}

    def next_seq(self) -> int:
        """Return the number of a further event."""
        self.seq += 1
        return self.seq

    def actor(self, head: Head) -> tuple[Entry, Container | None]:
        """Return the acting process and its container, None on the node itself."""
        entry = self.processes.find(head)
        entry.cgroup, entry.mnt_ns = head.cgroup, head.mnt_ns or entry.mnt_ns
        return entry, self.container(head, entry)

    def container(self, head: Head, entry: Entry) -> Container | None:
        """Return the container of a record's process, None on the node itself."""
        container = self.containers.find(head.cgroup, entry)
        if container is not None and not container.complete and not container.asked:
            # The runtime may be writing its state just now: the sensor holds the event and asks again (late.py).
            container.asked = 1
            self.containers.complete(container)
        # The runtime's own process, in the container's cgroup already: it was executed from the node's file system.
        if container is not None and entry.origin == "host" and _is_runtime(entry):
            return None
        # And where runtimes have a mount namespace of their own (snaps, nodes that are containers), with what they start there.
        above = self.processes.peek(head.ppid)
        if (
            container is not None
            and above is not None
            and (_is_runtime(entry) or _is_runtime(above))
            and self.containers.runtime_above(container, above, head.cgroup, entry.mnt_ns)
        ):
            return self.containers.find(above.cgroup, above)
        return container

    def base(self, head: Head, entry: Entry, container: Container | None) -> dict[str, Any]:
        """Return the fields of `RuntimeEvent`, under a new number."""
        self.seq += 1
        return {
            "ts_ns": head.ts_ns + self.offset_ns,
            "process": self.processes.process(entry, head),
            "container": container.context if container is not None else None,
            "node": self.host.node,
            "cluster": self.cluster,
            "boot": self.host.boot,
            "seq": self.seq,
            "complete": container is None or container.complete,
            "count": head.folded,
            "cpu": head.cpu,
            "result": -head.result if head.result < 0 else 0,
        }

    def path(self, raw: bytes) -> str:
        """Return the path of a record's components; those of late are remembered."""
        found = self._paths.get(raw)
        if found is None:
            if len(self._paths) > _PATHS:
                self._paths.clear()
            found = self._paths[raw] = records.path(raw) if raw else ""
        return found

    def target(self, pid: int, entry: Entry) -> tuple[int, str]:
        """Return the process that `entry` means by `pid`, a number in its own pid namespace, and its container's id."""
        target: Entry | None = None
        if entry.mnt_ns == self.host.mount_namespace or entry.ns_pid == entry.pid:
            target = self.processes.peek(pid)
        else:
            for each in self.processes.running():
                if each.cgroup == entry.cgroup and each.ns_pid == pid:
                    target = each
                    break
        if target is None:
            return (pid, "") if entry.ns_pid == entry.pid else (0, "")
        return target.pid, self.container_id_of(target)

    def container_id_of(self, entry: Entry) -> str:
        """Return the id of the container that a process was last seen in; empty on the node itself."""
        container = self.containers.find(entry.cgroup, entry) if entry.cgroup else None
        return container.context.id if container is not None else ""


def _is_runtime(entry: Entry) -> bool:
    return entry.exe.rpartition("/")[2].startswith(_RUNTIMES)


def joined(base: str, path: str) -> str:
    """Return the absolute, normalised form of a path that a process gave; links in it are not followed.

    `base` is where it begins: the folder of a relative path, the chosen root of an absolute one.
    """
    if not path:
        return ""
    found = os.path.normpath(f"{base}/{path}")
    return found[1:] if found.startswith("//") else found


def address(raw: bytes, family: int) -> str:
    """Return an address as text; empty when it is neither IPv4 nor IPv6."""
    if family == 2:
        return f"{raw[0]}.{raw[1]}.{raw[2]}.{raw[3]}"
    if family == 10:
        found = ipaddress.IPv6Address(raw)
        return str(found.ipv4_mapped or found)
    return ""


Handler = Callable[[Enricher, Head, bytes, Found], None]
"""Decodes one record, whose head was read, and appends its events."""
