"""Small images written by tests: layers as tar, packed as OCI layouts or `docker save` archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"


@dataclass(frozen=True)
class Link:
    """A symbolic link, or with `hard` a hard link, to `target`."""

    target: str
    hard: bool = False


@dataclass(frozen=True)
class Program:
    """A file with an execute bit."""

    content: bytes


Content = bytes | str | Link | Program | None
"""What lies at a path; None is a folder."""


def tar_of(files: Mapping[str, Content] | Iterable[tuple[str, Content]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar archive of `files`, in their order, with fixed times and owners."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=form) as archive:
        for path, content in files.items() if isinstance(files, Mapping) else files:
            member = tarfile.TarInfo(path)
            if content is None:
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
            elif isinstance(content, Link):
                member.type = tarfile.LNKTYPE if content.hard else tarfile.SYMTYPE
                member.linkname = content.target
                archive.addfile(member)
            else:
                member.mode = 0o755 if isinstance(content, Program) else 0o644
                raw = content.content if isinstance(content, Program) else content
                raw = raw.encode() if isinstance(raw, str) else raw
                member.size = len(raw)
                archive.addfile(member, io.BytesIO(raw))
    return output.getvalue()


@dataclass
class Layout:
    """Blobs and the index of an OCI layout under construction."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: list[dict[str, Any]] = field(default_factory=list)

    def add(self, content: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return {"digest": digest, "size": len(content)}

    def image(
        self,
        layers: Sequence[bytes],
        *,
        compression: str = "gzip",
        history: Sequence[dict[str, Any]] | None = None,
        platform: Mapping[str, str] | None = None,
        tag: str = "",
        config: Mapping[str, Any] | None = None,
        list_it: bool = True,
    ) -> dict[str, Any]:
        """Add an image of uncompressed tar `layers`; return its descriptor."""
        platform = platform or {"os": "linux", "architecture": "amd64"}
        suffix = {"none": "", "as-is": "+gzip"}.get(compression, f"+{compression}")
        media = f"application/vnd.oci.image.layer.v1.tar{suffix}"
        described = [{"mediaType": media, **self.add(compress(layer, compression))} for layer in layers]
        document = {
            **platform,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(item).hexdigest()}" for item in layers]},
            "config": dict(config or {}),
        }
        if history is not None:
            document["history"] = list(history)
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, **self.add(json.dumps(document).encode())},
            "layers": described,
        }
        entry = {"mediaType": OCI_MANIFEST, **self.add(json.dumps(manifest).encode())}
        if tag:
            entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
        if list_it:
            self.manifests.append(entry)
        return {**entry, "platform": dict(platform)}

    def index(self, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Add an index of platforms; return its descriptor."""
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)}
        entry = {"mediaType": OCI_INDEX, **self.add(json.dumps(document).encode())}
        self.manifests.append(entry)
        return entry

    def write(self, folder: Path) -> Path:
        """Write the layout into `folder` and return it."""
        for digest, content in self.blobs.items():
            path = folder / "blobs" / digest.replace(":", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.manifests}
        (folder / "index.json").write_text(json.dumps(index))
        return folder

    def archive(self, path: Path) -> Path:
        """Write the layout as one tar file and return it."""
        files: dict[str, Content] = {
            "oci-layout": '{"imageLayoutVersion":"1.0.0"}',
            "index.json": json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.manifests}),
        }
        files |= {"blobs": None, "blobs/sha256": None}  # other readers want the folders
        files |= {f"blobs/{digest.replace(':', '/')}": content for digest, content in self.blobs.items()}
        path.write_bytes(tar_of(files))
        return path


def compress(content: bytes, how: str) -> bytes:
    """Return `content` as gzip, zstd or as it is (`none`; `as-is` for layers that come compressed or spoilt)."""
    if how == "gzip":
        return gzip.compress(content, 6, mtime=0)
    return zstandard.compress(content) if how == "zstd" else content


def docker_archive(path: Path, layers: Sequence[bytes], tag: str = "test:1") -> Path:
    """Write a `docker save` archive of uncompressed tar `layers`."""
    config = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(item).hexdigest()}" for item in layers]},
    }
    names = [f"{number:064x}/layer.tar" for number in range(len(layers))]
    files: dict[str, Content] = dict(zip(names, layers, strict=True))
    files["config.json"] = json.dumps(config)
    files["manifest.json"] = json.dumps([{"Config": "config.json", "RepoTags": [tag], "Layers": names}])
    path.write_bytes(tar_of(files))
    return path


def inline_build_info(version: bytes, info: bytes) -> bytes:
    """Return Go's build info in the form since 1.18."""

    def varint(number: int) -> bytes:
        out = b""
        while True:
            number, low = number >> 7, number & 0x7F
            out += bytes([low | (0x80 if number else 0)])
            if not number:
                return out

    wrapped = bytes.fromhex("3077af0c9274080241e1c107e6d618e6") + info + bytes(16)
    return b"\xff Go buildinf:\x08\x02" + bytes(16) + varint(len(version)) + version + varint(len(wrapped)) + wrapped


def stripped_elf(data: bytes) -> bytes:
    """A 64-bit ELF without a section table: one writable segment that holds `data`."""
    header = struct.pack("<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    program = struct.pack("<IIQQQQQQ", 1, 6, 120, 0x400000, 0x400000, len(data), len(data), 16)
    return header + program + data
