"""Policies put into the kernel for the containers that they select, and what only user space can decide.

The kernel acts on drift, names of programs and peers. Paths, digests, scripts, and programs that started before the
container was known are decided here, on the exec's record: the process is killed shortly after it began.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import signal
import struct
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from seawall.domain.runtime_events import Enforced, ProcessExec, ScriptRun

from seawall_sensor.containers import Container, container_id
from seawall_sensor.host import Host, read_text
from seawall_sensor.libbpf import BpfError, Map
from seawall_sensor.policy import Network, Policy, PolicyFile
from seawall_sensor.records import LISTED_KEY, NETWORK_KEY, POLICY, PORT_RANGE, PORT_RANGES

ACTIONS = {"audit": 1, "kill": 2, "block": 3}

NODE_PROGRAMS = frozenset({"kubelet", "containerd", "dockerd", "crio", "k3s", "k0s", "rke2"})
"""Programs that run the node. Where nodes are containers themselves, the privileged container with one is let alone."""

_MAX_HASHED_BYTES = 256 << 20


class Enforcer:
    """Keeps the kernel's policy maps in step with the containers. `close` is not needed: the maps go with the programs."""

    def __init__(self, file: PolicyFile, host: Host) -> None:
        self._file, self._host = file, host
        self._maps: Mapping[str, Map] = {}
        self._numbers = {policy.name: number for number, policy in enumerate(file.policies, 1)}
        self._by_cgroup: dict[int, Policy] = {}
        self._spared: OrderedDict[str, None] = OrderedDict()
        self._digests: OrderedDict[tuple[int, int, int, int], str] = OrderedDict()
        self._own, self._own_cgroup = _own_container(), host.own_cgroup()

    def start(self, maps: Mapping[str, Map]) -> None:
        """Write what the policies say; they hold for nobody yet."""
        self._maps = maps
        for policy in self._file.policies:
            number = self._numbers[policy.name]
            if policy.programs is not None:
                for name in policy.programs.names:
                    maps["listed_names"][LISTED_KEY.pack(number, name.encode()[:27])] = struct.pack("<I", 1)
            if policy.outbound is not None:
                for network, ranges in policy.outbound.rules().items():
                    value = b"".join(PORT_RANGE.pack(first, last, deny, 1, 0) for first, last, deny in ranges)
                    maps["blocked_networks"][_network_key(number, network)] = value.ljust(
                        PORT_RANGE.size * PORT_RANGES, b"\0"
                    )

    def container(self, container: Container) -> None:
        """Put a container under its policy, or out of it: called when it is found and when more of it becomes known."""
        if not self._maps:
            return
        identity = container.context.id
        policy = None
        if self._own_cgroup in container.cgroups:
            self._own = identity
        if identity != self._own and identity not in self._spared and not container.gone:
            policy = self._file.find(container.context)
        for cgroup in container.cgroups:
            if self._by_cgroup.get(cgroup) is policy:
                continue
            key = struct.pack("<Q", cgroup)
            if policy is None:
                self._maps["policies"].discard(key)
                self._by_cgroup.pop(cgroup, None)
                continue
            try:
                self._maps["policies"][key] = self._value(policy)
            except BpfError:
                continue  # the map is full; user space still acts on what it sees
            finally:
                self._by_cgroup[cgroup] = policy

    def forget(self, cgroup: int) -> None:
        """A cgroup is gone; its number can come again."""
        if self._by_cgroup.pop(cgroup, None) is not None:
            self._maps["policies"].discard(struct.pack("<Q", cgroup))

    def policy_name(self, cgroup: int) -> str:
        """Return the name of the policy that holds in a cgroup; empty = none does any more."""
        policy = self._by_cgroup.get(cgroup)
        return policy.name if policy is not None else ""

    def executed(self, event: ProcessExec | ScriptRun, container: Container | None, *, done: bool) -> Enforced | None:
        """Do what the kernel could not. `done`: it acted on this exec already."""
        if container is None or event.container is None:
            return None
        if event.process.name in NODE_PROGRAMS and event.container.privileged and event.process.origin == "image":
            self._spare(container)
            return None
        policy = self._file.find(event.container) if container.context.id not in self._spared else None
        if policy is None or done or container.context.id == self._own or event.process.pid == os.getpid():
            return None
        found = self._script_verdict(policy, event) if isinstance(event, ScriptRun) else self._verdict(policy, event)
        if found is None:
            return None
        action, reason, path, digest = found
        if action != "audit":
            action = "kill"
            if not _kill(event.process.pid, event.process.start_ns):
                return None  # it ended by itself
        common: dict[str, Any] = {
            name: getattr(event, name) for name in ("ts_ns", "process", "container", "node", "cluster", "boot", "seq")
        }
        return Enforced(**common, policy=policy.name, action=action, reason=reason, path=path, sha256=digest)

    def _verdict(self, policy: Policy, event: ProcessExec) -> tuple[str, str, str, str] | None:
        """Return (action, reason, path, sha256)."""
        process = event.process
        if policy.drift is not None and process.drift:
            return policy.drift.action, "drift", process.exe, ""
        listed = policy.programs
        if listed is None:
            return None
        for path in (process.exe, event.script):
            if path and (path in listed.paths or path.rpartition("/")[2] in listed.names):
                return listed.action, "listed", path, ""
        if listed.sha256 and (digest := self._digest(event)) in listed.sha256:
            return listed.action, "listed", process.exe, digest
        return None

    @staticmethod
    def _script_verdict(policy: Policy, event: ScriptRun) -> tuple[str, str, str, str] | None:
        if policy.drift is None or not policy.drift.scripts:
            return None
        return policy.drift.action, "drift", event.path, ""

    def _digest(self, event: ProcessExec) -> str:
        process = event.process
        key = (process.exe_device, process.exe_inode, process.exe_size_bytes, process.exe_ctime_ns)
        known = self._digests.get(key)
        if known is not None or process.exe_size_bytes > _MAX_HASHED_BYTES:
            return known or ""
        try:
            with open(f"{self._host.proc}/{process.pid}/exe", "rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != process.exe_inode:
                    return ""  # it runs something else by now
                known = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return ""
        self._digests[key] = known
        if len(self._digests) > 8192:
            self._digests.popitem(last=False)
        return known

    def _spare(self, container: Container) -> None:
        self._spared[container.context.id] = None
        if len(self._spared) > 1024:
            self._spared.popitem(last=False)
        self.container(container)

    def _value(self, policy: Policy) -> bytes:
        return POLICY.pack(
            self._numbers[policy.name],
            ACTIONS[policy.drift.action] if policy.drift is not None else 0,
            ACTIONS[policy.programs.action] if policy.programs is not None else 0,
            ACTIONS[policy.outbound.action] if policy.outbound is not None else 0,
            0,
        )


def _network_key(number: int, network: Network) -> bytes:
    family = 2 if isinstance(network, ipaddress.IPv4Network) else 10
    return NETWORK_KEY.pack(48 + network.prefixlen, number, family, network.network_address.packed, 0)


def _own_container() -> str:
    return next(filter(None, map(container_id, read_text("/proc/self/cgroup").splitlines())), "")


def _kill(pid: int, start_ns: int) -> bool:
    """Kill that very process, not another one that got its number. False: it is gone."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        stat = read_text(f"/proc/{pid}/stat")
        ticks = stat[stat.rfind(")") + 2 :].split()
        started = int(ticks[19]) * 10**9 // os.sysconf("SC_CLK_TCK") if len(ticks) > 19 else 0
        if abs(started - start_ns) > 20_000_000:
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
