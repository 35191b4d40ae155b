"""Package URLs, built fast: a large image has tens of thousands of packages.

`packageurl-python` is what the tests compare with; it normalises through several regular expressions per call.

Source: package-url specification, PURL-SPECIFICATION and PURL-TYPES.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

_PLAIN = re.compile(r"[A-Za-z0-9._~:/-]*").fullmatch
_PYPI_RUNS = re.compile(r"[-_.]+")
_LOWER_NAMES = frozenset(("apk", "bitnami", "composer", "github", "npm"))
_LOWER_NAMESPACES = frozenset(("apk", "composer", "github", "pypi"))


def _quoted(text: str) -> str:
    return text if _PLAIN(text) else quote(text, safe=".-_~:/")


def purl(
    kind: str,
    namespace: str,
    name: str,
    version: str = "",
    qualifiers: Iterable[tuple[str, str]] = (),
    subpath: str = "",
) -> str:
    """Return the canonical package URL; `namespace` may have several parts between slashes; empty qualifiers are left out."""
    if kind == "pypi":
        name = name.replace("_", "-").lower()
    elif kind in _LOWER_NAMES:
        name = name.lower()
    if kind in _LOWER_NAMESPACES:
        namespace = namespace.lower()
    text = f"pkg:{kind}/"
    if namespace:
        text += "/".join(_quoted(part) for part in namespace.split("/") if part) + "/"
    text += _quoted(name)
    if version:
        text += f"@{_quoted(version)}"
    pairs = sorted((key, value) for key, value in qualifiers if value)
    if pairs:
        text += "?" + "&".join(f"{key}={_quoted(value)}" for key, value in pairs)
    if subpath:
        text += "#" + "/".join(_quoted(part) for part in subpath.split("/") if part not in ("", ".", ".."))
    return text


def pypi_name(name: str) -> str:
    """Return the normalised project name (PEP 503), which is how OSV writes it."""
    return _PYPI_RUNS.sub("-", name).lower()
