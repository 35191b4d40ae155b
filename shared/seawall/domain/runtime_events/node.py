"""What the sensor itself says of its node: containers, verdicts, losses, that it lives."""

from __future__ import annotations

import msgspec

from seawall.domain.runtime_events.base import ContainerContext, RuntimeEvent


class ContainerStart(RuntimeEvent, frozen=True, tag="container_start"):
    """A container began: `process` is its first process, `container` the new container."""

    mounts: tuple[tuple[str, str, bool], ...] = ()
    """(source on the node, path in the container, read-only) of mounts from the node, where the runtime says them."""


class ContainerStop(RuntimeEvent, frozen=True, tag="container_stop"):
    """The last process of a container ended."""

    exit_code: int = -1
    """-1 = not known."""


class Enforced(RuntimeEvent, frozen=True, tag="enforced"):
    """A policy of the sensor acted (or, in audit mode, would have)."""

    policy: str
    action: str
    """audit, kill or block."""
    reason: str
    """drift, listed, malware or network."""
    path: str = ""
    """The executable that was stopped."""
    address: str = ""
    port: int = 0
    sha256: str = ""


class FileVerdict(RuntimeEvent, frozen=True, tag="file_verdict"):
    """An executable was checked by hash and signature and is on a list. `process` ran it. Source: the sensor's scanner."""

    path: str
    sha256: str = ""
    size_bytes: int = 0
    signatures: tuple[str, ...] = ()
    """Names of the signatures that matched; `hash:<list>` for a listed hash."""
    severity: str = "high"
    """Highest of the signatures: low, medium, high or critical."""
    on_disk: bool = False
    """Found lying on a disk (node or snapshot scan), not executed."""
    skipped: str = ""
    """Why the file was not checked whole (too large, timed out), empty = it was."""


class ImageInUse(RuntimeEvent, frozen=True, tag="image_in_use"):
    """Files of an image that were really executed or opened: what findings' priority asks."""

    full: bool = False
    """True: a snapshot that replaces what was said before; False: additions since."""
    executed: tuple[str, ...] = ()
    """Programs of the image that belong to no package, at most 64."""
    opened: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    """Packages whose files are among them, as `<purl type>/<name>` without a version: `deb/libssl3`, `npm/@scope/name`."""


class ContainerInUse(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One container of a `NodeInventory`."""

    container: ContainerContext
    packages: tuple[str, ...] = ()
    """As `ImageInUse.packages`."""
    executed: tuple[str, ...] = ()
    """Programs of the image that belong to no package, at most 64."""


class NodeInventory(RuntimeEvent, frozen=True, tag="node_inventory"):
    """Every container that runs on the node now; what is not in it does not run. At start, then every 10 minutes."""

    containers: tuple[ContainerInUse, ...] = ()


class Loss(RuntimeEvent, frozen=True, tag="loss"):
    """Events that were not delivered, counted where they were lost. Never silent: zero losses send no `Loss`."""

    lost: int
    """Since the last `Loss` of the same class, stage and processor."""
    event_class: str = ""
    """exec, file, network, dns, kernel, ... as the sensor sheds them; empty = all classes."""
    stage: str = ""
    """ring (no room in the kernel's buffer), shed (self-limit), map (a kernel table was full), spool (disk bound by size
    or age), gap (batches missing at the receiver)."""
    since_ns: int = 0
    """Start of the interval, ns since 1970 UTC."""
    reason: str = ""
    """Of stage spool: size, age, disk, damaged, killed, buffer, encoding or refused."""


class Heartbeat(RuntimeEvent, frozen=True, tag="heartbeat"):
    """The sensor says that it lives and what it can see. At start (state ready), then every 60 s, and at the end."""

    state: str
    """starting, ready, degraded or stopping."""
    version: str = ""
    """Of the sensor."""
    kernel: str = ""
    """uname release."""
    hooks: tuple[str, ...] = ()
    """Attached programs."""
    missing: tuple[str, ...] = ()
    """Hooks that rules want and this kernel does not have."""
    blind: tuple[str, ...] = ()
    """Ids of analytics that can not work here."""
    uptime_s: float = 0.0
    lag_s: float = 0.0
    """Age of the oldest event that was not read yet."""
    events: int = 0
    """Read since start."""
    lost: int = 0
    """Lost since start, all classes and stages."""
    spooled_bytes: int = 0
    rss_bytes: int = 0
    cpu_share: float = 0.0
    """Of one core, since the last heartbeat."""
    rules: str = ""
    """Content id of the analytics and lists in use."""
    shed: tuple[str, ...] = ()
    """Kinds of records that are switched off now by self-limits: `in_use`, `flow`, `open`, ..."""
    certificate_expires_ns: int = 0
    """End of the delivery certificate, ns since 1970 UTC; 0 = none in use."""
    cpus: int = 0
    """Processors of the node that are online: its vCores."""
    containers: int = 0
    """Containers that run on the node."""
    delivered: int = 0
    """Records that the receiver confirmed since start."""
    dropped: int = 0
    """Records that delivery lost since start; the losses of stage spool say why."""
    spool_error: str = ""
    """Why the disk takes no batches now, which are held in memory then; empty = it does."""
    workloads_learnt: int = 0
    """Workloads that baselines judge on this node."""
    workloads_learning: int = 0
    """Those that they do not know for long enough."""
