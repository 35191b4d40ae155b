"""What an image may ask of us. An image beyond a limit is not refused whole: the part is recorded as a gap."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one scan; the defaults fit real images with room to spare."""

    layer_bytes: int = 64 * GIB
    """Decompressed size of one layer."""
    ratio: int = 250
    """Decompressed over compressed size, looked at once `ratio_floor_bytes` are out; gzip itself cannot pass 1,032."""
    ratio_floor_bytes: int = GIB
    entries: int = 5_000_000
    """Tar entries of one layer."""
    header_bytes: int = MIB
    """One extended header (PAX record set, GNU long name)."""
    path_bytes: int = 4096
    path_depth: int = 256
    links: int = 40
    """Symbolic links followed while one path is resolved, as in Linux."""
    file_bytes: int = 96 * MIB
    """Largest file that is held in memory for an analyzer that asked for it by name; larger ones are recorded."""
    program_bytes: int = 64 * MIB
    """Largest program that is held in memory; larger ones are searched in the stream."""
    layers: int = 1024
    manifest_bytes: int = 16 * MIB
    """A manifest, index or image configuration."""
    gaps: int = 100
    """Gaps recorded for one layer; further ones are counted."""
    analysis_s: float = 60
    """Seconds that analyzers may spend on one file."""


DEFAULT_LIMITS = Limits()
