"""Reads advisories and enrichment from files and folders, told apart by content, not by name.

A source is a file or a folder of: OSV records (JSON, JSON lines, a list, `{"vulns": [...]}`), CISA's KEV catalogue,
EPSS scores (CSV), facts by CVE (JSON lines), each plain, gzip, Zstandard or inside a zip. A record that cannot be read
is counted and left out; the rest still counts.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec
import zstandard

from seawall.domain.errors import InputError, TooLarge
from seawall.packages.archives import BAD_ZIP
from seawall.vulnerability import osv
from seawall.vulnerability.advisory_build import Builder
from seawall.vulnerability.enrichment import add_epss, add_facts, add_kev, is_kev

MAX_SOURCE_BYTES = 64 << 30
"""Decompressed size of one source; the largest export of OSV has about 3 GB."""
MAX_DOCUMENT_BYTES = 512 << 20
"""A JSON document that is not JSON lines is read whole."""
_SKIPPED_SUFFIXES = {".md", ".txt", ".tsv", ".html", ".py", ".sha256", ".asc", ".etag"}
_MAX_REASONS = 20


@dataclass(slots=True)
class Report:
    """What was read from one source."""

    source: str
    records: int = 0
    facts: int = 0
    rejected: int = 0
    reasons: list[str] = field(default_factory=list)
    """The first reasons for rejections."""

    def reject(self, where: str, reason: str) -> None:
        """Count something that could not be read."""
        self.rejected += 1
        if len(self.reasons) < _MAX_REASONS:
            self.reasons.append(f"{where}: {reason}")


def read_source(path: Path, builder: Builder, *, name: str = "") -> Report:
    """Take over everything below a file or folder.

    Raises:
        InputError: there is nothing there, or nothing in it could be read.
    """
    report = Report(name or str(path))
    if not path.exists():
        raise InputError(f"no advisories at {path}: no such file or folder")
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir() and (file.suffix in _SKIPPED_SUFFIXES or file.name.startswith(".")):
            continue
        try:
            with file.open("rb") as stream:
                _read(stream, str(file.relative_to(path)) if path.is_dir() else file.name, builder, report)
        except (*BAD_ZIP, zstandard.ZstdError, InputError) as error:
            report.reject(file.name, str(error) or type(error).__name__)
    if not report.records and not report.facts:
        why = f": {report.reasons[0]}" if report.reasons else ""
        raise InputError(f"no advisories in {path}{why}", hint="OSV JSON, JSON lines or all.zip, KEV JSON, EPSS CSV")
    return report


def _read(stream: IO[bytes], name: str, builder: Builder, report: Report) -> None:
    head = stream.read(8)
    stream.seek(0)
    if head.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(stream) as archive:
            for member in archive.infolist():
                if member.is_dir():
                    continue
                if member.file_size > MAX_DOCUMENT_BYTES:
                    report.reject(member.filename, f"{member.file_size} bytes, at most {MAX_DOCUMENT_BYTES} are read")
                    continue
                try:
                    with archive.open(member) as stored:
                        content = stored.read(MAX_DOCUMENT_BYTES)
                except BAD_ZIP as error:
                    report.reject(member.filename, str(error) or type(error).__name__)
                    continue
                _document(content, member.filename, builder, report)
    elif head.startswith(b"\x1f\x8b"):
        _text(io.BufferedReader(gzip.GzipFile(fileobj=stream), 1 << 20), name, builder, report)
    elif head.startswith(b"\x28\xb5\x2f\xfd"):
        reader = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
        _text(io.BufferedReader(reader, 1 << 20), name, builder, report)
    else:
        _text(stream, name, builder, report)


def _text(stream: IO[bytes], name: str, builder: Builder, report: Report) -> None:
    """One uncompressed text: CSV, JSON lines or one JSON document, by how it begins."""
    lines = _lines(stream)
    first = next((line for line in lines if line.strip()), b"")
    if first.startswith((b"#", b"cve,")):
        report.facts += add_epss(builder.enrichment, _decoded(first, lines))
    elif _is_complete(first):
        _json_lines(first, lines, name, builder, report)
    else:
        rest = bytearray(first)
        for line in lines:
            rest += line
            if len(rest) > MAX_DOCUMENT_BYTES:
                raise TooLarge(f"a JSON document of over {MAX_DOCUMENT_BYTES} bytes")
        _document(bytes(rest), name, builder, report)


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    total = 0
    while line := stream.readline(MAX_DOCUMENT_BYTES):
        total += len(line)
        if total > MAX_SOURCE_BYTES:
            raise TooLarge(f"a source of over {MAX_SOURCE_BYTES} bytes")
        yield line


def _decoded(first: bytes, lines: Iterator[bytes]) -> Iterator[str]:
    yield first.decode("utf-8", "replace")
    for line in lines:
        yield line.decode("utf-8", "replace")


def _is_complete(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _json_lines(first: bytes, lines: Iterator[bytes], name: str, builder: Builder, report: Report) -> None:
    document = msgspec.json.decode(first)
    if "cve" in document and "id" not in document:
        report.facts += add_facts(builder.enrichment, _chain(first, lines))
        return
    _value(document, first, f"{name}:1", builder, report)
    for number, line in enumerate(lines, 2):
        if line.strip():
            _record(line, f"{name}:{number}", builder, report)


def _chain(first: bytes, lines: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from lines


def _document(raw: bytes, name: str, builder: Builder, report: Report) -> None:
    """A whole JSON document."""
    stripped = raw.lstrip(b"\xef\xbb\xbf \r\n\t")
    if stripped.startswith(b"{") and b'"vulnerabilities"' not in stripped and b'"vulns"' not in stripped[:4096]:
        _record(stripped, name, builder, report)
        return
    if stripped.startswith((b"#", b"cve,")):
        report.facts += add_epss(builder.enrichment, stripped.decode("utf-8", "replace").splitlines())
        return
    try:
        document = json.loads(stripped)
    except (ValueError, RecursionError) as error:
        report.reject(name, f"neither JSON nor EPSS: {error}")
        return
    _value(document, stripped, name, builder, report)


def _value(document: Any, raw: bytes, name: str, builder: Builder, report: Report) -> None:
    if is_kev(document):
        report.facts += add_kev(builder.enrichment, raw)
        return
    listed = document.get("vulns") if isinstance(document, dict) else document
    if isinstance(listed, list):
        for index, item in enumerate(listed):
            _record(msgspec.json.encode(item), f"{name}[{index}]", builder, report)
    else:
        _record(raw, name, builder, report)


def _record(raw: bytes, where: str, builder: Builder, report: Report) -> None:
    try:
        builder.add(osv.parse(raw))
        report.records += 1
    except InputError as error:
        report.reject(where, error.message)
