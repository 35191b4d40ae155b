"""Encoded programs and scripts on command lines."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from seawall.detection.declaration import detection
from seawall.detection.processes import INTERPRETERS, SHELLS, by_package_manager, in_build, program, told
from seawall.detection.rules.runtime import EXECS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import ProcessExec
from seawall.domain.severity import Severity

_RUN = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
_MAX_BLOBS = 16
_MAX_BLOB = 65_536
_ELF, _PE = b"\x7fELF", b"MZ"


def _decoded(text: str) -> Iterator[bytes]:
    """The base64 runs of a text, decoded (standard and URL alphabets), at most 16 of at most 64 KiB."""
    for number, match in enumerate(_RUN.finditer(text)):
        if number == _MAX_BLOBS:
            return
        blob = match.group()[:_MAX_BLOB].rstrip("=").replace("-", "+").replace("_", "/")
        try:
            yield base64.b64decode(blob[: len(blob) // 4 * 4], validate=True)
        except (binascii.Error, ValueError):
            continue


@detection(
    id="RT-0411",
    title="Encoded program on a command line",
    severity=Severity.MEDIUM,
    attack=("T1027", "T1140"),
    on=ProcessExec,
    response="Decode the argument and keep the program; find what it was written to.",
    action="carried an encoded program on its command line",
    catalogue=("K8S.NODE_Base64Executable†",),
    needs=(EXECS,),
    confidence="high",
    benign=("None known: programs are not passed as arguments.",),
    investigate=("Where does the decoded file go, and is it run?",),
)
def encoded_program(event: ProcessExec) -> Match | None:
    """An argument holds base64 that decodes to an ELF or PE header, or to a gzip of one."""
    if event.process.exe.endswith(("/git", "/openssl")):
        return None
    text = told(event.process)
    if (
        "f0VMR" not in text
        and "TVqQ" not in text
        and "TVpQ" not in text
        and "TVoA" not in text
        and "\\x7fELF" not in text
        and "\\x7f\\x45\\x4c\\x46" not in text
    ):
        return None
    if "\\x7fELF" in text or "\\x7f\\x45\\x4c\\x46" in text:
        return Match("an ELF program is written from escapes on the command line", key="escapes")
    for blob in _decoded(text):
        if blob.startswith(_ELF) or (blob.startswith(_PE) and len(blob) > 64):
            kind = "ELF" if blob.startswith(_ELF) else "Windows"
            return Match(f"a base64 argument is an {kind} program of at least {len(blob)} bytes", key=kind)
    return None


_PIPED = re.compile(
    r"\b(?:base64|openssl\s+(?:enc\s+)?(?:-)?base64|gbase64|basenc|xxd|uudecode)\b[^|;&]*?(?:\s-\w*[dD]\w*|--decode|\s-r\b|\s-\w*p\w*\s-r|\s)[^|;&]*\|"
    r"\s*(?:[^|;&]{0,80}\|\s*)?(?:sudo\s+)?(?:\S*/)?(?:env\s+\S+\s+)?(?:ba|da|a|z|k)?sh\b"
    r"|\b(?:base64|basenc|openssl|xxd)\b[^|;&]*(?:-d|-D|--decode|-r)\b[^|;&]*\|\s*(?:\S*/)?(?:python|perl|ruby|php|node)[\d.]*\b"
    r"|(?:ba|da|z|k)?sh\s+(?:-c\s+)?[\"']?(?:<\(|\$\(|`)[^)`]{0,4000}?base64\s+(?:-\w*[dD]|--decode)"
    r"|\b(?:eval|source)\s+[\"']?(?:\$\(|`)[^)`]{0,4000}?base64\s+(?:-\w*[dD]|--decode)",
    re.DOTALL,
)
_INTERPRETED = re.compile(
    r"(?:exec|eval|compile)\s*\(\s*.{0,120}?(?:b64decode|base64\.|decodebytes|zlib\.decompress|codecs\.decode|marshal\.loads|fromhex)"
    r"|(?:b64decode|decodebytes)\s*\(.{0,4000}?\)\s*(?:\.decode\(\S*\))?\s*\)?\s*;?\s*(?:exec|eval)"
    r"|eval\s*\(?\s*(?:MIME::Base64::)?decode_base64|eval\s*\(?\s*(?:base64_decode|gzinflate|str_rot13)"
    r"|eval\s*\(\s*(?:Buffer\.from|atob)\s*\(|Base64\.decode64\(.{0,4000}?\)\s*(?:\)|;)?|pack\s*\(\s*[\"']H\*",
    re.DOTALL | re.IGNORECASE,
)


@detection(
    id="RT-0412",
    title="Encoded script executed",
    severity=Severity.MEDIUM,
    attack=("T1027.010", "T1140", "T1059.004"),
    on=ProcessExec,
    response="Decode the script and read it; treat the container as compromised until you know it.",
    action="ran an encoded script",
    catalogue=("K8S.NODE_Base64Script†",),
    needs=(EXECS,),
    confidence="high",
    benign=(
        "Provisioning tools that pass scripts encoded (Ansible, cloud-init) on nodes.",
        "Decoding into a file is left out.",
    ),
    investigate=("Who started the shell: a web server, cron, a person?",),
)
def encoded_script(event: ProcessExec) -> Match | None:
    """base64 (or hex) is decoded and given to a shell or interpreter, in one command line or by decode-and-evaluate."""
    name = program(event.process)
    if name not in SHELLS and name not in INTERPRETERS:
        return None
    if in_build(event) or by_package_manager(event):
        return None
    text = told(event.process)[:16_384]
    if len(text) < 16:
        return None
    if _PIPED.search(text) or (name in INTERPRETERS and _INTERPRETED.search(text)):
        script = next((blob for blob in _decoded(text) if blob and all(9 <= char < 127 for char in blob[:64])), b"")
        shown = script[:160].decode("ascii", "replace")
        return Match(
            f"an encoded script is run by {name}" + (f": {shown}" if shown else ""),
            key=name,
            features={"decoded": shown} if shown else {},
        )
    return None
