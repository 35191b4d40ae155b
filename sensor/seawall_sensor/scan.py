"""Content checks of executables: SHA-256 against lists, and YARA rules (`yara-x`, loaded when the first file is scanned).

`BackgroundScanner.take` fits the sensor's `on_exec`: it opens the program, or the script that an interpreter runs, at once,
while the process or at least its container is there, and reads it in a thread; verdicts on listed or matching files come out
of `results`. Each file (device, inode, size, times) is read once. Only files that are not from the image, or of unknown
origin, are read.
"""

from __future__ import annotations

import hashlib
import logging
import os
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO

from seawall.detection.indicators import Indicators, indicators
from seawall.domain.errors import MissingExtra
from seawall.domain.runtime_events import NO_PROCESS, FileVerdict, Loss, ProcessExec, RuntimeEvent, ScriptRun

from seawall_sensor.inside import Root, standard_input
from seawall_sensor.processes import MONITORS

log = logging.getLogger(__name__)

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_REMEMBERED = 20_000
TIMEOUT_S = 5
MAX_WAITING = 64
"""Files that may be open and wait to be read."""
_LEVELS = ("low", "medium", "high", "critical")

RULES = r"""
rule Seawall_Test_Marker {
  meta: severity = "high"
  strings:
    $eicar = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    $own = "SEAWALL-MALWARE-TEST-FILE-9f2c7e11"
  condition: ($eicar at 0) or $own
}
rule Miner_Program {
  meta: severity = "high"
  strings:
    $stratum = "stratum+tcp://"
    $a = "randomx" nocase
    $b = "cryptonight" nocase
    $c = "donate-level"
    $d = "mining.subscribe"
  condition: uint32(0) == 0x464c457f and $stratum and 2 of ($a, $b, $c, $d)
}
rule Reverse_Shell_Script {
  meta: severity = "medium"
  strings:
    $tcp = /bash\s+-i\s*>&\s*\/dev\/tcp\/[0-9a-z.-]{3,80}\/[0-9]{1,5}/
  condition: filesize < 200KB and $tcp
}
rule Packed_Program {
  meta: severity = "low"
  strings:
    $upx = "UPX!"
  condition: uint32(0) == 0x464c457f and $upx in (0..1024)
}
"""
"""Our own rules. The marker is the public harmless antivirus test string, and one of ours."""


Executed = ProcessExec | ScriptRun

Finding = tuple[str, tuple[str, ...], str, str]
"""SHA-256, names of what matched, highest severity, why it was not checked whole."""


class FileScanner:
    """Hashes and rules over one file at a time."""

    def __init__(self, *, rules: str = RULES, lists: Indicators | None = None) -> None:
        self._source, self._lists = rules, lists
        self._compiled: Any = None

    def scan(self, file: BinaryIO) -> Finding:
        """Read the whole file and look at it."""
        data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            return "", (), "high", f"larger than {MAX_FILE_BYTES} bytes"
        sha256 = hashlib.sha256(data).hexdigest()
        names, severity = [], "low"
        if sha256 in (self._lists or indicators()).words("threat_hashes"):
            names.append("hash:threat_hashes")
            severity = "high"
        try:
            matching = self._rules(data)
        except TimeoutError:
            return sha256, tuple(names), severity, f"the rules took over {TIMEOUT_S} s"
        for name, level in matching:
            names.append(name)
            severity = max(severity, level, key=_LEVELS.index)
        return sha256, tuple(names), severity, ""

    def _rules(self, data: bytes) -> list[tuple[str, str]]:
        try:
            import yara_x
        except ImportError as error:
            raise MissingExtra("sensor", "scanning with YARA rules") from error
        if self._compiled is None:
            self._compiled = yara_x.compile(self._source)
        scanner = yara_x.Scanner(self._compiled)
        scanner.set_timeout(TIMEOUT_S)
        try:
            found = scanner.scan(data).matching_rules
        except yara_x.TimeoutError as error:
            raise TimeoutError from error
        return [
            (
                rule.identifier,
                level if (level := dict(rule.metadata).get("severity", "medium")) in _LEVELS else "medium",
            )
            for rule in found
        ]


class BackgroundScanner:
    """Takes what is executed, gives verdicts. `take` and `results` belong to one thread, the reading of files to another."""

    def __init__(self, scanner: FileScanner | None = None, *, proc: Path = Path("/proc")) -> None:
        self._scanner, self._proc = scanner or FileScanner(), proc
        self.roots: Callable[[str], Sequence[str]] = lambda _container: ()
        """Of a container's id: what shows its files when its processes are gone (`ContainerIndex.folders`)."""
        self._known: OrderedDict[tuple[int, ...], Finding] = OrderedDict()
        self._waiting: dict[tuple[int, ...], list[Executed]] = {}
        self._files: queue.SimpleQueue[tuple[tuple[int, ...], BinaryIO] | None] = queue.SimpleQueue()
        self._found: queue.SimpleQueue[tuple[tuple[int, ...], Finding]] = queue.SimpleQueue()
        self._results: list[RuntimeEvent] = []
        self._skipped = 0
        self.files = 0
        """Read so far."""
        self._thread: threading.Thread | None = None

    def take(self, event: Executed) -> None:
        """See to the file that was executed. Never blocks on its content."""
        process, file = event.process, None
        if isinstance(event, ScriptRun):
            file = self._script(event)
            if file is None:
                self._skipped += 1
                return
            found = os.fstat(file.fileno())
            identity: tuple[int, ...] = (
                found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns,
            )  # fmt: skip
        else:
            if process.origin in ("image", "host") and not process.drift:
                return
            identity = (
                process.exe_device, process.exe_inode, process.exe_size_bytes, process.exe_mtime_ns, process.exe_ctime_ns,
            )  # fmt: skip
            if not process.exe_inode:
                identity = (process.pid, process.start_ns)
        if identity in self._known:
            self._known.move_to_end(identity)
            self._judge(event, self._known[identity])
        elif identity in self._waiting:
            self._waiting[identity].append(event)
        elif len(self._waiting) >= MAX_WAITING or (file := file or self._program(event)) is None:
            self._skipped += 1  # too many wait, or the process and its container have ended and nothing is left to read
        else:
            self._read_later(event, identity, file)
            return
        if file is not None:
            file.close()

    def _read_later(self, event: Executed, identity: tuple[int, ...], file: BinaryIO) -> None:
        self._waiting[identity] = [event]
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="scan", daemon=True)
            self._thread.start()
        self._files.put((identity, file))

    def _program(self, event: Executed) -> BinaryIO | None:
        """Open the program: of the process (deleted and memory files too), else by its path."""
        process = event.process
        try:
            return (self._proc / str(process.pid) / "exe").open("rb")
        except OSError:
            pass
        for file in self._by_path(event, process.exe):
            found = os.fstat(file.fileno())
            # The upper layer's own file has another number than the overlay's.
            if found.st_ino == process.exe_inode or (
                found.st_size == process.exe_size_bytes and found.st_mtime_ns == process.exe_mtime_ns
            ):
                return file
            file.close()
        return None

    def _script(self, event: ScriptRun) -> BinaryIO | None:
        if event.path == "-":
            try:
                return standard_input(event.process.pid, str(self._proc))
            except OSError:
                return None
        return next(self._by_path(event, event.path), None)

    def _by_path(self, event: Executed, path: str) -> Iterator[BinaryIO]:
        """Yield what lies at a path of the container: seen by the process, by those above it, from the node."""
        # Above a container's monitor stands the node, with other files of the same names.
        above = takewhile(lambda each: not each.name.startswith(MONITORS), event.process.ancestors[:4])
        folders = [f"{self._proc}/{pid}/root" for pid in (event.process.pid, *(each.pid for each in above))]
        if event.container is not None:
            folders += self.roots(event.container.id)
        for folder in folders:
            try:
                with Root(folder) as root:
                    file = root.open(path)
            except (OSError, ValueError):
                continue
            yield file

    def _work(self) -> None:
        while (taken := self._files.get()) is not None:
            identity, file = taken
            try:
                with file:
                    finding = self._scanner.scan(file)
            except Exception as error:  # noqa: BLE001 - one file must not end the checks of all others
                log.warning("file not checked", extra={"error": f"{type(error).__name__}: {error}"[:200]})
                finding = ("", (), "low", f"not readable: {type(error).__name__}")
            self._found.put((identity, finding))

    def results(self) -> list[RuntimeEvent]:
        """Return the verdicts since the last call, and a `Loss` for programs that nobody could read."""
        while not self._found.empty():
            identity, finding = self._found.get()
            self.files += 1
            self._known[identity] = finding
            if len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
            for event in self._waiting.pop(identity, ()):
                self._judge(event, finding)
        if self._skipped:
            now = time.time_ns()
            self._results.append(
                Loss(ts_ns=now, process=NO_PROCESS, lost=self._skipped, event_class="exec", stage="scan", since_ns=now)
            )
            self._skipped = 0
        found, self._results = self._results, []
        return found

    def _judge(self, event: Executed, finding: Finding) -> None:
        sha256, signatures, severity, skipped = finding
        if not signatures and not skipped:
            return
        process = event.process
        path, size_bytes = process.exe, process.exe_size_bytes
        if isinstance(event, ScriptRun):
            path, size_bytes = event.path, 0
        self._results.append(
            FileVerdict(
                ts_ns=event.ts_ns, process=process, container=event.container, node=event.node, cluster=event.cluster,
                boot=event.boot, path=path, sha256=sha256, size_bytes=size_bytes, signatures=signatures,
                severity=severity, skipped=skipped,
            )
        )  # fmt: skip

    def close(self, timeout_s: float = 2.0) -> None:
        """Finish what waits, for at most `timeout_s`."""
        if self._thread is not None:
            self._files.put(None)
            self._thread.join(timeout_s)
