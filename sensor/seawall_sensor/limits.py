"""What the sensor may use, and what it gives up first to stay within it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import time

from seawall_sensor.host import read_text
from seawall_sensor.records import Kind

SHEDDING: tuple[frozenset[Kind], ...] = (
    frozenset({Kind.IN_USE}),
    frozenset({Kind.FLOW, Kind.ACCEPT, Kind.EXIT}),
    frozenset({Kind.UNLINK, Kind.RENAME, Kind.CHMOD, Kind.LINK, Kind.TIMES}),
    frozenset({Kind.UDP_SEND, Kind.CONNECT, Kind.LISTEN}),
    frozenset({Kind.OPEN, Kind.READ, Kind.DNS}),
)
"""Least important first. Execs, and what reaches into the kernel or other processes, are never given up."""

_PAGE_BYTES = 4096


class Limits:
    """Watches the own CPU share and memory; `adjust` once a second says which kinds are off now."""

    def __init__(self, cpu_share: float = 0.5, memory_bytes: int = 200 << 20) -> None:
        self.allowed_cpu, self.allowed_bytes = cpu_share, memory_bytes
        self.cpu_share = 0.0
        self.level = 0
        self._cpu, self._wall, self._calm = time.process_time(), time.monotonic(), 0

    def adjust(self, ring_fill: float) -> frozenset[Kind]:
        """Return the kinds to switch off. `ring_fill` is 0 to 1: how full the buffers are."""
        cpu, wall = time.process_time(), time.monotonic()
        if wall > self._wall:
            share = (cpu - self._cpu) / (wall - self._wall)
            self.cpu_share = 0.7 * self.cpu_share + 0.3 * share
        self._cpu, self._wall = cpu, wall
        large = self.resident_bytes() > self.allowed_bytes
        if large:
            _give_back()
            large = self.resident_bytes() > self.allowed_bytes
        if self.cpu_share > self.allowed_cpu or ring_fill > 0.6 or large:
            self.level, self._calm = min(self.level + 1, len(SHEDDING)), 0
        elif self.cpu_share < 0.7 * self.allowed_cpu and ring_fill < 0.2:
            self._calm += 1
            if self._calm >= 5 and self.level:
                self.level, self._calm = self.level - 1, 0
        return frozenset().union(*SHEDDING[: self.level])

    @staticmethod
    def resident_bytes() -> int:
        """Return the own memory, without pages that are shared with the kernel or with files."""
        fields = read_text("/proc/self/statm").split()
        # Pages of the rings are shared with the kernel and counted twice, because they are mapped twice.
        return (int(fields[1]) - int(fields[2])) * _PAGE_BYTES if len(fields) > 2 else 0


def give_way() -> None:
    """Let this thread, and those that it starts, never take the processor from a program that runs: the rings have room for
    the moment. Its share of a busy processor stays what it was (SCHED_BATCH, sched(7)); no privilege is needed."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _give_back() -> None:
    """Return memory that is free inside the process to the node: a file that was checked leaves tens of MB behind."""
    gc.collect()
    with contextlib.suppress(AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
