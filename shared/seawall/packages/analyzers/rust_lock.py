"""What a Rust project asks for: Cargo.lock.

Source: The Cargo Book, "Cargo.toml vs Cargo.lock".
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer


@analyzer(id="cargo-lock", reads=("**/Cargo.lock",), project=True)
def cargo_lock(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield every crate; the project's own have no source but count, as in its binaries."""
    try:
        document = tomllib.loads(file.text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        yield Gap(file.path, f"not TOML: {error}")
        return
    entries = document.get("package")
    for entry in entries if isinstance(entries, list) else ():
        name, version = (entry.get("name"), entry.get("version")) if isinstance(entry, dict) else (None, None)
        if isinstance(name, str) and isinstance(version, str) and name and version:
            yield Found("cargo", name, version, declared=True)
