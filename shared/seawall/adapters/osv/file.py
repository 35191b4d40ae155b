"""The advisory file on disk: mapped for reading, replaced atomically."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from pathlib import Path

from seawall.domain.errors import ConfigError, Unauthenticated
from seawall.vulnerability.advisory_file import AdvisoryFile
from seawall.vulnerability.advisory_format import CorruptAdvisoryFile, signed_payload


def open_file(path: Path, *, public_key_pem: str = "") -> AdvisoryFile:
    """Map an advisory file; milliseconds whatever its size.

    Args:
        path: the file.
        public_key_pem: where given, the file must be signed by this key.

    Raises:
        ConfigError: there is no such file.
        CorruptAdvisoryFile: it is not an advisory file, is cut or damaged.
        Unauthenticated: it is not signed by the key.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise ConfigError(
            f"no advisory file at {path}: {error.strerror}",
            hint="make one with `seawall db update`, or `seawall db build --from SOURCE --output FILE`, or name one with --db",
        ) from error
    try:
        if os.fstat(descriptor).st_size == 0:
            raise CorruptAdvisoryFile(f"{path} is empty")
        content = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    finally:
        os.close(descriptor)
    file = AdvisoryFile(memoryview(content))
    if public_key_pem:
        check_signature(file, public_key_pem)
    return file


def check_signature(file: AdvisoryFile, public_key_pem: str) -> None:
    """Check that the key signed this file's content.

    Raises:
        Unauthenticated: no signature, or of another key, or of other content.
    """
    import base64
    import binascii

    from seawall.formats.keys import verify_signature

    try:
        signature = base64.b64decode(str(file.trailer.get("signature", "")), validate=True)
    except binascii.Error:
        signature = b""
    payload = signed_payload(file.id, str(file.trailer.get("built_at", "")))
    if not signature or not verify_signature(public_key_pem, payload, signature):
        raise Unauthenticated(
            f"the advisory file {file.id} is not signed by the expected key",
            hint="get it again from its source, or check the key",
        )


def open_rescanned(path: Path) -> AdvisoryFile | None:
    """The advisory file that the last rescan looked at; None if there was none or it is of another format."""
    try:
        return open_file(_rescanned(path))
    except (ConfigError, CorruptAdvisoryFile):
        return None


def mark_rescanned(path: Path) -> None:
    """Remember that stored findings agree with this file now. The bytes are shared, not copied, where the disk can."""
    kept = _rescanned(path)
    fresh = kept.with_suffix(".new")
    try:
        fresh.unlink(missing_ok=True)
        try:
            os.link(path, fresh)
        except OSError:
            shutil.copyfile(path, fresh)
        fresh.replace(kept)
    except OSError as error:
        raise ConfigError(f"{kept} cannot be written: {error.strerror}") from error


def _rescanned(path: Path) -> Path:
    return path.with_name(f".{path.name}.rescanned")


def write_file(path: Path, content: bytes) -> None:
    """Put an advisory file in place atomically: readers see the old one or the new one, never a part.

    Raises:
        ConfigError: the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as target:
            temporary = Path(target.name)
            try:
                target.write(content)
                target.flush()
                os.fsync(target.fileno())
                temporary.chmod(0o644)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
