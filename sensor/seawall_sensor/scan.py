"""Content checks of executables: SHA-256 against lists, and YARA rules (`yara-x`, loaded when the first file is scanned).

`FileScanner.check(event)` fits the sensor's `on_exec`: it answers with a `FileVerdict` for a listed or matching file. Each
file (device, inode, size, times) is read once. Only files that are not from the image, or of unknown origin, are read.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

from seawall.detection.indicators import Indicators, indicators
from seawall.domain.errors import MissingExtra
from seawall.domain.runtime_events import FileVerdict, ProcessExec, RuntimeEvent

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_REMEMBERED = 20_000
TIMEOUT_S = 5
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


class FileScanner:
    """Checks files of processes through `<proc>/<pid>/exe`, which reads deleted and memory files too."""

    def __init__(self, *, rules: str = RULES, proc: Path = Path("/proc"), lists: Indicators | None = None) -> None:
        self._source, self._proc, self._lists = rules, proc, lists
        self._compiled: Any = None
        self._known: OrderedDict[tuple[int, ...], tuple[str, tuple[str, ...], str, str]] = OrderedDict()

    def check(self, event: ProcessExec) -> list[RuntimeEvent]:
        """Return a verdict when the program is listed, matches, or could not be checked whole; else nothing."""
        process = event.process
        if process.origin in ("image", "host") and not process.drift:
            return []
        identity = (
            process.exe_device,
            process.exe_inode,
            process.exe_size_bytes,
            process.exe_mtime_ns,
            process.exe_ctime_ns,
        )
        found = self._known.get(identity) if process.exe_inode else None
        if found is None:
            found = self.scan(self._proc / str(process.pid) / "exe")
            if process.exe_inode:
                self._known[identity] = found
                if len(self._known) > MAX_REMEMBERED:
                    self._known.popitem(last=False)
        sha256, signatures, severity, skipped = found
        if not signatures and not skipped:
            return []
        return [
            FileVerdict(
                ts_ns=event.ts_ns, process=process, container=event.container, node=event.node, cluster=event.cluster,
                boot=event.boot, path=process.exe, sha256=sha256, size_bytes=process.exe_size_bytes, signatures=signatures,
                severity=severity, skipped=skipped,
            )
        ]  # fmt: skip

    def scan(self, path: Path) -> tuple[str, tuple[str, ...], str, str]:
        """Return (SHA-256, names of what matched, highest severity, why not checked whole)."""
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except OSError:
            return "", (), "high", ""  # the process has ended; nothing is left to read
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
