"""What runs on the node and which of its packages are really used, as events.

The sensor's loop says which files were used (`used`); a thread finds their packages through the containers' roots, and
`results` hands out `ImageInUse` when a container uses more than was said, and a `NodeInventory` from time to time.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from seawall.domain.runtime_events import NO_PROCESS, ContainerInUse, ImageInUse, NodeInventory, RuntimeEvent

from seawall_sensor.containers import Container
from seawall_sensor.host import Host, read_text
from seawall_sensor.inside import Root
from seawall_sensor.ownership import Owners

log = logging.getLogger(__name__)

MAX_PENDING = 65_536
"""Used files that wait for the thread; more are forgotten and the container's list is not complete."""
MAX_INDEXED = 1_500_000
"""Files in all indexes together: 18 MB."""
MAX_PACKAGES, MAX_EXECUTED = 4096, 64
_PROGRAM_ENDS = (".jar", ".war", ".ear", ".dll")


@dataclass(slots=True)
class _Use:
    """What one container used."""

    container: Container
    packages: set[str] = field(default_factory=set)
    executed: set[str] = field(default_factory=set)
    news: bool = True
    said_at: float = 0.0


class Inventory:
    """`used` and `results` belong to the sensor's loop; one thread does the rest."""

    def __init__(
        self,
        host: Host,
        *,
        own_root: tuple[int, int] | None = None,
        round_s: float = 5.0,
        change_s: float = 60.0,
        snapshot_s: float = 600.0,
    ) -> None:
        """Changes of one container are told every `change_s` at most. `own_root` is never looked into."""
        self._host, self._own_root = host, own_root
        self._round_s, self._change_s, self._snapshot_s = round_s, change_s, snapshot_s
        self._pending: deque[tuple[Container, str, bool]] = deque(maxlen=MAX_PENDING)
        self._uses: dict[str, _Use] = {}
        self._owners: OrderedDict[str, Owners] = OrderedDict()
        self._results: deque[RuntimeEvent] = deque()
        self._snapshot_at = 0.0
        self._containers: Callable[[], Iterable[Container]] = tuple
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="inventory", daemon=True)

    def start(self, containers: Callable[[], Iterable[Container]]) -> None:
        """Begin; `containers` returns those that run now."""
        self._containers = containers
        self._thread.start()

    def used(self, container: Container, path: str, executed: bool) -> None:
        """Take in that a file of the container's image was executed or opened."""
        self._pending.append((container, path, executed))

    def results(self) -> list[RuntimeEvent]:
        """Return what became known since the last call."""
        return [self._results.popleft() for _ in range(len(self._results))]

    def close(self) -> None:
        """Stop the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def _work(self) -> None:
        while not self._stopping.wait(self._round_s):
            try:
                self._round()
            except Exception as error:  # noqa: BLE001 - one odd container must not end the inventory
                log.warning("inventory round failed", extra={"error": f"{type(error).__name__}: {error}"[:300]})

    def _round(self) -> None:
        running = {container.context.id: container for container in self._containers() if not container.sandbox}
        for identity in [each for each in self._uses if each not in running]:
            del self._uses[identity]
        for identity, container in running.items():
            if identity not in self._uses:
                self._uses[identity] = _Use(container)
                self._look_at_running(container)
        self._resolve(running)
        now = time.monotonic()
        if not self._snapshot_at or now - self._snapshot_at >= self._snapshot_s:
            self._snapshot_at = now
            self._results.append(
                NodeInventory(
                    ts_ns=time.time_ns(), process=NO_PROCESS, containers=tuple(map(_said, self._uses.values()))
                )
            )
            for use in self._uses.values():
                use.news, use.said_at = False, now
            return
        for use in self._uses.values():
            if use.news and now - use.said_at >= self._change_s:
                use.news, use.said_at = False, now
                said = _said(use)
                self._results.append(
                    ImageInUse(
                        ts_ns=time.time_ns(),
                        process=NO_PROCESS,
                        container=use.container.context,
                        complete=use.container.complete,
                        full=True,
                        packages=said.packages,
                        executed=said.executed,
                    )
                )

    def _look_at_running(self, container: Container) -> None:
        """Programs and libraries that were mapped before the sensor was there."""
        for pid in self._pids(container)[:32]:
            seen = set()
            for line in read_text(f"{self._host.proc}/{pid}/maps").splitlines():
                fields = line.split(None, 5)
                # Device 0 is anonymous memory; files have an inode and an absolute path.
                if len(fields) == 6 and fields[4] != "0" and fields[5].startswith("/"):
                    seen.add(fields[5])
            for path in seen:
                if not path.endswith(" (deleted)") and not path.startswith(("/memfd:", "/dev/", "/SYSV")):
                    self._pending.append((container, path, False))

    def _pids(self, container: Container) -> list[int]:
        found = []
        if container.path:
            folder = f"{self._host.cgroup_root}{container.path}"
            found = [int(word) for word in read_text(f"{folder}/cgroup.procs").split() if word.isdecimal()]
        return found or ([container.first_pid] if container.first_pid else [])

    def _resolve(self, running: dict[str, Container]) -> None:
        by_container: dict[str, list[tuple[str, bool]]] = {}
        for _ in range(len(self._pending)):
            container, path, executed = self._pending.popleft()
            if container.context.id in running:
                by_container.setdefault(container.context.id, []).append((path, executed))
        for identity, files in by_container.items():
            use = self._uses[identity]
            found = self._root_of(use.container)
            if found is None:
                continue
            pid, root = found
            with root:
                owners = self._owners_of(self._image_key(use.container, pid), root)
                for path, executed in files:
                    self._note(use, path, executed, owners.of(path, root))

    @staticmethod
    def _note(use: _Use, path: str, executed: bool, names: list[str]) -> None:
        alone = not names and (executed or path.endswith(_PROGRAM_ENDS)) and path not in use.executed
        if alone and len(use.executed) < MAX_EXECUTED:
            use.executed.add(path)
            use.news = True
        for name in names:
            if name not in use.packages and len(use.packages) < MAX_PACKAGES:
                use.packages.add(name)
                use.news = True

    def _root_of(self, container: Container) -> tuple[int, Root] | None:
        for pid in self._pids(container)[:8]:
            try:
                root = Root.of(pid, self._host.proc)
            except OSError:
                continue
            if self._own_root is None or root.identity() != self._own_root:
                return pid, root
            with root:
                pass
        return None

    def _image_key(self, container: Container, pid: int) -> str:
        """What containers of one image have in common: its digest, else the lower layers of their root."""
        if container.context.image_digest:
            return container.context.image_digest
        for line in read_text(f"{self._host.proc}/{pid}/mountinfo").splitlines():
            if " / / " in line and "lowerdir=" in line:
                return line.partition("lowerdir=")[2].partition(",")[0]
        return container.context.id

    def _owners_of(self, key: str, root: Root) -> Owners:
        found = self._owners.get(key)
        if found is None:
            found = self._owners[key] = Owners(root)
            while len(self._owners) > 1 and sum(map(len, self._owners.values())) > MAX_INDEXED:
                self._owners.popitem(last=False)
        self._owners.move_to_end(key)
        return found


def root_identity(path: str) -> tuple[int, int] | None:
    """Device and inode of a folder that is the node's own root."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _said(use: _Use) -> ContainerInUse:
    return ContainerInUse(use.container.context, tuple(sorted(use.packages)), tuple(sorted(use.executed)))
