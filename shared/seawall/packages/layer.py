"""The analysis of one layer: packages and gaps by file, and what the layer hides of those below it."""

from __future__ import annotations

import re
import time
from array import array
from collections.abc import Callable, Iterator

import msgspec

from seawall.domain.errors import InputError, SeawallError
from seawall.domain.packages import Distro, Gap
from seawall.oci.compression import Prefetch, decompress
from seawall.oci.digests import DigestMismatch
from seawall.oci.limits import Limits
from seawall.oci.overlay import OPAQUE, WHITEOUT, path_hash
from seawall.oci.tar import DIRECTORY, FILE, HARDLINK, SYMLINK, TarEntry, TarReader
from seawall.packages.analyzer import Analyzer, Found, ImageFile, Owned, Yielded
from seawall.packages.router import Router

FORMAT = 4
"""Of the cached record; goes up with its layout."""
PROGRAMS = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe")
"""What programs begin with: ELF, PE (Windows), Mach-O (macOS), which images carry for others to download."""
MIN_EXECUTABLE = 64
MAX_TEXT = 2048
"""Characters of a package's names and version together: no registry has longer ones."""
OVERLAP_BYTES = 256
PARTIAL_BYTES = 4 * 1024 * 1024


class FileResult(msgspec.Struct, array_like=True, omit_defaults=True):
    """What the analyzers said of one file; it may be nothing, and still hide a file of the same path below."""

    path: str
    found: dict[str, list[Found]] = {}
    """By analyzer id."""
    owned: list[Owned] = []
    distro: Distro | None = None
    gaps: list[Gap] = []


class LayerRecord(msgspec.Struct, array_like=True):
    """All that a scan has to know of a layer; what the cache keeps."""

    files: list[FileResult] = []
    links: dict[str, str] = {}
    whiteouts: list[str] = []
    opaques: list[str] = []
    other_files: bytes = b""
    """`path_hash` of every file that no analyzer reads, as native 64-bit integers."""
    folders: bytes = b""
    gaps: list[Gap] = []
    complete: bool = True
    """False when the layer could not be read to its end: such a record is not cached."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(LayerRecord)


def cache_key(layer_key: str, router: Router) -> str:
    """Return the cache key of a layer's record: a new analyzer version or record format gives another key."""
    return f"v{FORMAT}/{path_hash(router.fingerprint):016x}/{layer_key.replace(':', '-')}"


def encode_record(record: LayerRecord) -> bytes:
    """Return the record's bytes."""
    return _ENCODER.encode(record)


def decode_record(content: bytes) -> LayerRecord | None:
    """Return the record in `content`, or None when it is damaged: the layer is then read again."""
    try:
        return _DECODER.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


class _Gaps:
    """Collects a layer's gaps up to the limit and counts the rest."""

    def __init__(self, limit: int) -> None:
        self.items: list[Gap] = []
        self._limit = limit
        self._more = 0

    def add(self, where: str, reason: str) -> None:
        if len(self.items) < self._limit:
            self.items.append(Gap(where, reason))
        else:
            self._more += 1

    def close(self, layer: str) -> list[Gap]:
        if self._more:
            self.items.append(Gap(layer, f"and {self._more} more gaps in this layer"))
        return self.items


class LayerAnalysis:
    """Reads a layer's entries one by one and keeps what matters. One use."""

    def __init__(self, name: str, router: Router, limits: Limits) -> None:
        self.name = name
        self.router = router
        self.limits = limits
        self.files: dict[str, FileResult] = {}
        self.links: dict[str, str] = {}
        self.gaps = _Gaps(limits.gaps)
        self.wanted_links: dict[str, str] = {}
        """Hard links whose name an analyzer wants, to a file whose name none wants: target by path."""
        self._whiteouts: list[str] = []
        self._opaques: list[str] = []
        self._others = array("Q")
        self._folders = array("Q")

    def read_tar(self, reader: TarReader) -> None:
        """Take every entry of `reader`.

        Raises:
            InputError, TooLarge: where the archive ends early; what came before is kept.
        """
        route = self.router.route
        others, folders, links = self._others, self._folders, self.links
        has_executables = bool(self.router.executables)
        for entry in reader:
            path, kind = entry.path, entry.kind
            if ".wh." in path and self._whiteout(path):
                continue
            if kind is FILE:
                analyzers = route(path)
                if analyzers:
                    self._analyze_entry(entry, reader, analyzers)
                elif (
                    has_executables
                    and entry.size_bytes >= MIN_EXECUTABLE
                    and may_run(path, entry.mode)
                    and reader.peek(4).startswith(PROGRAMS)
                ):
                    self._analyze_entry(entry, reader, [])
                else:
                    others.append(path_hash(path))
            elif kind is SYMLINK:
                links[path] = entry.link
                self.files.pop(path, None)
            elif kind is DIRECTORY:
                folders.append(path_hash(path))
            elif kind is HARDLINK:
                self._hardlink(entry)
            else:
                others.append(path_hash(path))

    def _whiteout(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        if name == OPAQUE:
            self._opaques.append(folder)
        elif name.startswith(".wh..wh."):
            pass  # AUFS's own bookkeeping (.wh..wh.plnk, .wh..wh.aufs)
        elif name.startswith(WHITEOUT) and len(name) > len(WHITEOUT):
            target = name[len(WHITEOUT) :]
            if target in (".", ".."):
                self.gaps.add(path, "whiteout of a path outside its folder")
            else:
                self._whiteouts.append(f"{folder}/{target}" if folder else target)
        else:
            return False
        return True

    def _hardlink(self, entry: TarEntry) -> None:
        target = "/".join(part for part in entry.link.split("/") if part not in ("", "."))
        if ".." in target.split("/"):
            self.gaps.add(entry.path, "hard link leaves the image (..)")
            return
        source = self.files.get(target)
        analyzers = self.router.route(entry.path)
        if not analyzers:
            if source is None:
                self._others.append(path_hash(entry.path))
            else:  # a second name of a program: its versions are reported once, at the first name
                self.files[entry.path] = FileResult(entry.path)
        elif source is not None and self.router.route(target) == analyzers:
            self.files[entry.path] = _moved(source, entry.path)
        else:
            self.wanted_links[entry.path] = target

    def _analyze_entry(self, entry: TarEntry, reader: TarReader, analyzers: list[Analyzer]) -> None:
        if entry.size_bytes > (self.limits.file_bytes if analyzers else self.limits.program_bytes):
            if analyzers or reader.peek(4).startswith(PROGRAMS):
                self.analyze_large(entry.path, entry.mode, entry.size_bytes, reader.stream(), analyzers)
            return
        try:
            content = reader.read()
        except InputError as error:
            if "cut off" in error.message:
                raise
            self.gaps.add(entry.path, error.message)
            return
        self.analyze(entry.path, content, entry.mode, analyzers)

    def analyze_large(
        self, path: str, mode: int, size_bytes: int, pieces: Iterator[bytes], analyzers: list[Analyzer]
    ) -> None:
        """Ask about a file that is too large to hold, as far as that can be done piece by piece; else record a gap."""
        self.files[path] = FileResult(path)
        if analyzers and not all(item.piecewise for item in analyzers):
            self.gaps.add(path, f"file of {size_bytes} bytes, at most {self.limits.file_bytes} are read")
        elif analyzers:
            tail = b""
            for piece in pieces:
                self.analyze(path, tail + piece, mode, analyzers, partial=True)
                if self.files[path].found:
                    return
                tail = piece[-OVERLAP_BYTES:]
        else:
            for item in self.router.executables:
                if item.needle:  # one needle today; a second one would have to share the stream
                    content = after_needle(pieces, item.needle)
                    if content:
                        self.analyze(path, content, mode, [item], partial=True)
                    return

    def analyze(
        self, path: str, content: bytes, mode: int, analyzers: list[Analyzer], *, partial: bool = False
    ) -> None:
        """Ask `analyzers` (and, for a program, those of executables) about one file."""
        result = self.files[path] = FileResult(path)
        if not partial and content.startswith(PROGRAMS) and len(content) >= MIN_EXECUTABLE and may_run(path, mode):
            analyzers = [*analyzers, *(item for item in self.router.executables if item not in analyzers)]
        file = ImageFile(path, content, mode, partial, self.router.may_matter)
        deadline = time.monotonic() + self.limits.analysis_s
        for item in analyzers:
            try:
                for number, value in enumerate(item(file)):
                    self._keep(result, item.id, value)
                    if not number % 256 and time.monotonic() > deadline:
                        result.gaps.append(Gap(path, f"{item.id}: analysis took over {self.limits.analysis_s:g} s"))
                        break
            except (SeawallError, ValueError, LookupError, ArithmeticError, RecursionError, MemoryError) as error:
                # One file that an analyzer did not expect never costs the image.
                result.gaps.append(Gap(path, f"{item.id}: {type(error).__name__}: {str(error)[:200]}"))

    def _keep(self, result: FileResult, analyzer: str, value: Yielded) -> None:
        if isinstance(value, Found):
            text = f"{value.namespace}{value.name}{value.version}{value.source}{value.arch}"
            if not text.isprintable() or len(text) > MAX_TEXT:
                self._keep(
                    result, analyzer, Gap(result.path, f"{analyzer}: {text[:80]!r} is not a package's name and version")
                )
                return
            if not result.found:
                result.found = {}
            result.found.setdefault(analyzer, []).append(value)
        elif isinstance(value, Owned):
            if value.files:
                result.owned = [*result.owned, value]
        elif isinstance(value, Distro):
            result.distro = result.distro or value
        elif len(result.gaps) < self.limits.gaps:
            result.gaps = [*result.gaps, value]

    def forget(self) -> None:
        """Drop everything but the gaps."""
        self.files.clear()
        self.links.clear()
        self.wanted_links.clear()
        self._whiteouts.clear()
        self._opaques.clear()
        self._others, self._folders = array("Q"), array("Q")

    def record(self, *, complete: bool) -> LayerRecord:
        """Return what was kept."""
        return LayerRecord(
            list(self.files.values()),
            self.links,
            self._whiteouts,
            self._opaques,
            self._others.tobytes(),
            self._folders.tobytes(),
            self.gaps.close(self.name),
            complete,
        )


_LIBRARIES = re.compile(r"\.so(?:\.\d+)*$")
_DISTRIBUTION = ("lib/", "lib64/", "usr/lib/", "usr/lib64/", "usr/lib32/", "usr/libx32/")


def may_run(path: str, mode: int) -> bool:
    """Whether a file is worth a look for what Go and Rust leave in what they build.

    It has an execute bit, a name as programs have it (no ending in particular), or is a library (Go's c-shared and plugin
    builds have no execute bit) outside the folders where distributions put thousands of theirs.
    """
    if mode & 0o111:
        return True
    name = path.rpartition("/")[2]
    if "." not in name or name.endswith((".elf", ".bin", ".exe")):
        return True
    return _LIBRARIES.search(name) is not None and not path.startswith(_DISTRIBUTION)


def after_needle(pieces: Iterator[bytes], needle: bytes) -> bytes:
    """Return what follows `needle` in the stream, it included, up to `PARTIAL_BYTES`; empty where it does not occur."""
    found = bytearray()
    tail = b""
    for piece in pieces:
        if found:
            found += piece
        else:
            joined = tail + piece
            at = joined.find(needle)
            if at >= 0:
                found += joined[at:]
            tail = joined[-len(needle) :]
        if len(found) >= PARTIAL_BYTES:
            break
    return bytes(found[:PARTIAL_BYTES])


def _moved(source: FileResult, path: str) -> FileResult:
    """Return `source`'s result as that of `path`; packages found at the file itself carry no path of their own."""
    return FileResult(path, source.found, source.owned, source.distro, source.gaps)


LayerOpener = Callable[[], Iterator[bytes]]
"""Starts the layer's bytes (as stored) from the beginning; called again for a second pass."""


def analyze_layer(name: str, open_layer: LayerOpener, router: Router, limits: Limits) -> LayerRecord:
    """Return the record of a layer; damage becomes a gap and what came before it counts.

    A second pass is made only where a hard link gives a wanted name to a file that was passed over (pnpm's store).

    Raises:
        RemoteError: the bytes could not be had; nothing is known of the layer.
    """
    analysis = LayerAnalysis(name, router, limits)
    complete = _run(open_layer, limits, analysis.read_tar, analysis)
    if analysis.wanted_links:
        wanted: dict[str, list[str]] = {}
        for path, target in analysis.wanted_links.items():
            wanted.setdefault(target, []).append(path)
        second = _LinkedFiles(analysis, wanted)
        complete = _run(open_layer, limits, second.read_tar, analysis) and complete
        for path in second.missing():
            analysis.gaps.add(path, "hard link to a file that is not in this layer")
    return analysis.record(complete=complete)


class _LinkedFiles:
    """The second pass: only the targets of wanted hard links."""

    def __init__(self, analysis: LayerAnalysis, wanted: dict[str, list[str]]) -> None:
        self._analysis = analysis
        self._wanted = wanted

    def read_tar(self, reader: TarReader) -> None:
        for entry in reader:
            if entry.kind is FILE and (paths := self._wanted.get(entry.path)) is not None:
                if entry.size_bytes > self._analysis.limits.file_bytes:
                    continue
                content = reader.read()
                del self._wanted[entry.path]
                for path in paths:
                    self._analysis.analyze(path, content, entry.mode, self._analysis.router.route(path))

    def missing(self) -> Iterator[str]:
        for paths in self._wanted.values():
            yield from paths


def _run(open_layer: LayerOpener, limits: Limits, read: Callable[[TarReader], None], analysis: LayerAnalysis) -> bool:
    with Prefetch(decompress(open_layer(), limits)) as blocks:
        reader = TarReader(blocks, limits, analysis.gaps.add)
        try:
            read(reader)
        except DigestMismatch as error:  # not the layer that the image names: nothing in it counts
            analysis.forget()
            analysis.gaps.add(analysis.name, error.message)
            return False
        except InputError as error:
            analysis.gaps.add(analysis.name, error.message)
            return False
    return True
