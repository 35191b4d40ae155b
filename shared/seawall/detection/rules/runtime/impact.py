"""Data destroyed or held to ransom."""

from __future__ import annotations

import re
from datetime import timedelta

from seawall.detection.declaration import Logic, detection
from seawall.detection.processes import SHELLS, by_package_manager, file_entity, in_build, program, script_text
from seawall.detection.rules.runtime import EXECS, FILES
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import FileEvent, FileOpen, FileRename, ProcessExec
from seawall.domain.severity import Severity

_ENDINGS = re.compile(
    r"\.(?:encrypted|enc|locked|lock(?:bit)?|crypt(?:ed|o)?|crypz|cry|ecc|ezz|akira|babyk|babuk|blackcat|alphv|conti|ryuk|royal|hive|hello|monti|qilin|play|basta|clop|cl0p|esxiargs|args|rhysida|medusa"
    r"|wncry|wcry|zepto|locky|cerber\d?|dharma|phobos|makop|stop|djvu|R5A|pandora|nokoyawa|lynx|akirav2|[0-9a-f]{8,10})$",
    re.IGNORECASE,
)
_COPY_ENDINGS = re.compile(r"\.\w{1,5}\.(?!lock$|args$|[0-9a-f]{8,10}$)[^.]+$", re.IGNORECASE)
"""Of a new file beside its original: a second ending. Lock files and hashed assets look like that too."""
_NOTES = re.compile(
    r"(?:^|/)(?:(?:how|readme|read_me|restore|recover|decrypt|unlock|help|ransom)[\w .!-]*(?:decrypt|files?|restore|recover|ransom|back|note|unlock|instructions?)[\w .!-]*|!+\w*(?:readme|restore|decrypt)\w*|ransom_?note\w*|_readme|akira_readme|conti_readme)\.(?:txt|html?|hta)$",
    re.IGNORECASE,
)


@detection(
    id="RT-1201",
    title="Ransom note written",
    severity=Severity.HIGH,
    attack=("T1486",),
    on=FileEvent,
    response="Stop the pod at once, take a snapshot of its volumes, look at every workload that mounts them.",
    action="left a ransom note",
    catalogue=("X_VolumeEncryption",),
    needs=(FILES,),
    confidence="high",
    benign=("Documentation with such a name: exempt the image.",),
    investigate=("Which process wrote it, and which files did it rename?",),
)
def ransom_note(event: FileEvent) -> Match | None:
    """A file with the name of a ransom note is created."""
    if (
        not (isinstance(event, FileOpen) and event.writes and (event.creates or event.truncates))
        or in_build(event)
        or by_package_manager(event)
    ):
        return None
    if not _NOTES.search(event.path) or "/node_modules/" in event.path or "/site-packages/" in event.path:
        return None
    return Match(
        f"{event.process} wrote {event.path}", entities=(file_entity(event, event.path),), key=event.process.exe
    )


@detection(
    id="RT-1202",
    title="Files renamed or rewritten in masses with a foreign ending",
    severity=Severity.HIGH,
    attack=("T1486",),
    on=FileEvent,
    response="Stop the pod at once, take a snapshot of its volumes, look at every workload that mounts them.",
    action="gave files a foreign ending in masses",
    logic=Logic.CORRELATION,
    catalogue=("X_VolumeEncryption",),
    needs=(FILES,),
    benign=("Atomic saves and log rotation (the name's ending stays or is a number).", "Encrypting backup tools."),
    investigate=("Is the new content random?",),
    window=timedelta(minutes=1),
    by="scope",
    threshold=25,
    distinct="changed",
)
def mass_rename(event: FileEvent) -> Match | None:
    """In one container, or on one node, twenty-five files get an ending that ransomware uses within a minute: appended to
    their names by a rename, or to the names of new files beside them (`a.doc.locked`)."""
    if isinstance(event, FileOpen):
        if (
            not event.creates
            or not _ENDINGS.search(event.path)
            or not _COPY_ENDINGS.search(event.path)
            or in_build(event)
            or by_package_manager(event)
        ):
            return None
        return Match(
            f"{event.process} writes files with the ending {event.path.rpartition('.')[2]}",
            key=event.path.rpartition(".")[2],
        )
    if not isinstance(event, FileRename):
        return None
    stem = event.path.rpartition("/")[2].rpartition(".")[0]
    if not event.target.startswith(event.path) and (len(stem) < 2 or stem.startswith(".") or stem not in event.target):
        return None
    if not _ENDINGS.search(event.target) or _ENDINGS.search(event.path) or in_build(event) or by_package_manager(event):
        return None
    ending = event.target.rpartition(".")[2]
    return Match(f"{event.process} renames files to {ending}", key=ending)


@detection(
    id="RT-1203",
    title="Data wiped from disk",
    severity=Severity.MEDIUM,
    attack=("T1485",),
    on=ProcessExec,
    response="Stop the pod, take a snapshot of its volumes, restore from backup.",
    action="wiped data from disk",
    programs=SHELLS
    | frozenset(
        {
            "shred",
            "wipe",
            "wipefs",
            "mkfs",
            "mke2fs",
            "mkfs.ext4",
            "mkfs.xfs",
            "dd",
            "rm",
            "scrub",
            "blkdiscard",
            "sgdisk",
            "cryptsetup",
        }
    ),
    needs=(EXECS,),
    benign=("Volume preparation by storage drivers (platform namespaces) and installers.",),
    investigate=("Which data was it?",),
)
def wiped(event: ProcessExec) -> Match | None:
    """shred, mkfs, wipefs, dd onto a device, or rm of whole top folders runs in a container."""
    if event.container is None or in_build(event) or by_package_manager(event):
        return None
    process = event.process
    name = program(process)
    text = script_text(process) if name in SHELLS else process.command_line
    if re.search(
        r"\brm\s+(?:-\w+\s+)*(?:--no-preserve-root\s+)?(?:/|/\*|/(?:data|home|mnt|var|etc|opt|srv|backup)/?\*?)(?:\s|$|;)",
        text,
    ) and re.search(r"-\w*r", text):
        return Match(f"{text[:160]}", key="rm")
    if name in ("shred", "wipe", "wipefs", "scrub", "blkdiscard") and not re.search(r"/tmp/|--help|--version", text):
        return Match(f"{text[:160]}", key=name)
    if name.startswith(("mkfs", "mke2fs")) and "/dev/" in text and "/dev/loop" not in text:
        return Match(f"{text[:160]}", key="mkfs")
    if re.search(r"\bdd\b.*\bof=/dev/(?:sd|nvme|vd|xvd|mapper|dm-)", text):
        return Match(f"{text[:160]}", key="dd")
    return None
