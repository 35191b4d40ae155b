"""What the sensor sees on a node, one class per kind of event.

Every event is an immutable `msgspec.Struct` (under 1 µs to make) that encodes to a map tagged by `event`. Defaults
are left out when it is encoded, so a reader of an older version skips nothing it needs. Texts that come from the kernel
are UTF-8 with undecodable bytes replaced by U+FFFD (never surrogates). Paths are absolute in the mount namespace of the
process unless a field says otherwise. Numbers without a unit in their name are the kernel's own (uid, pid, errno, flags).

Field names never change meaning; new fields are added at the end with a default.
"""

from __future__ import annotations

from typing import Any

import msgspec

from seawall.domain.runtime_events.base import (
    CAPABILITIES,
    NO_PROCESS,
    Ancestor,
    ContainerContext,
    Process,
    RuntimeEvent,
)
from seawall.domain.runtime_events.files import (
    FileCapabilities,
    FileChmod,
    FileEvent,
    FileLink,
    FileOpen,
    FileRename,
    FileTimes,
    FileUnlink,
    Mount,
    SensitiveRead,
)
from seawall.domain.runtime_events.kernel import (
    BpfLoad,
    CredentialChange,
    IoUring,
    KernelCall,
    ModuleLoad,
    NamespaceChange,
    ProcessVmWrite,
    Ptrace,
    Signal,
)
from seawall.domain.runtime_events.network import (
    Accept,
    Connect,
    DnsAnswer,
    DnsMessage,
    DnsQuery,
    Flow,
    Listen,
    PeerEvent,
    RawSocket,
    UdpSend,
)
from seawall.domain.runtime_events.node import (
    ContainerInUse,
    ContainerStart,
    ContainerStop,
    Enforced,
    FileVerdict,
    Heartbeat,
    ImageInUse,
    Loss,
    NodeInventory,
)
from seawall.domain.runtime_events.processes import ProcessExec, ProcessExit, ProcessFork, ScriptRun

__all__ = [
    "CAPABILITIES",
    "EVENT_TYPES",
    "NO_PROCESS",
    "Accept",
    "Ancestor",
    "AnyRuntimeEvent",
    "BpfLoad",
    "Connect",
    "ContainerContext",
    "ContainerInUse",
    "ContainerStart",
    "ContainerStop",
    "CredentialChange",
    "DnsAnswer",
    "DnsMessage",
    "DnsQuery",
    "Enforced",
    "FileCapabilities",
    "FileChmod",
    "FileEvent",
    "FileLink",
    "FileOpen",
    "FileRename",
    "FileTimes",
    "FileUnlink",
    "FileVerdict",
    "Flow",
    "Heartbeat",
    "ImageInUse",
    "IoUring",
    "KernelCall",
    "Listen",
    "Loss",
    "ModuleLoad",
    "Mount",
    "NamespaceChange",
    "NodeInventory",
    "PeerEvent",
    "Process",
    "ProcessExec",
    "ProcessExit",
    "ProcessFork",
    "ProcessVmWrite",
    "Ptrace",
    "RawSocket",
    "RuntimeEvent",
    "ScriptRun",
    "SensitiveRead",
    "Signal",
    "UdpSend",
]

AnyRuntimeEvent = (
    ProcessExec | ScriptRun | ProcessExit | ProcessFork | FileOpen | FileRename | FileUnlink | FileChmod | FileLink | Mount
    | SensitiveRead | Connect | Accept | Listen | UdpSend | Flow | DnsQuery | DnsAnswer | RawSocket | Ptrace
    | NamespaceChange | CredentialChange | ModuleLoad | BpfLoad | IoUring | KernelCall | Signal | ProcessVmWrite | ContainerStart
    | ContainerStop | Enforced | FileVerdict | ImageInUse | NodeInventory | Loss
    | Heartbeat | FileTimes | FileCapabilities
)  # fmt: skip
"""Every kind of event, as one type: what a batch holds."""

EVENT_TYPES: dict[str, type[Any]] = {
    str(msgspec.inspect.type_info(kind).tag): kind  # type: ignore[attr-defined]
    for kind in AnyRuntimeEvent.__args__
}
"""Event class by the `event` tag of its encoding."""
