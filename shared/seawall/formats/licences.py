"""Licences as packages write them, as SPDX licence expressions where what is meant is certain.

Source: SPDX licence list; SPDX 2.3, annex D; Fedora's former licence short names ("GPLv2+"); trove classifiers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

MAX_LENGTH = 2000
_NAMES = {
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "apachev2": "Apache-2.0",
    "asl 1.1": "Apache-1.1",
    "asl 2.0": "Apache-2.0",
    "artistic license 2.0": "Artistic-2.0",
    "artistic 2.0": "Artistic-2.0",
    "boost": "BSL-1.0",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd-2-clause license": "BSD-2-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "simplified bsd": "BSD-2-Clause",
    "new bsd": "BSD-3-Clause",
    "cc0": "CC0-1.0",
    "epl 1.0": "EPL-1.0",
    "epl 2.0": "EPL-2.0",
    "eclipse public license 2.0": "EPL-2.0",
    "expat": "MIT",
    "gnu general public license v2 (gplv2)": "GPL-2.0-only",
    "gnu general public license v2 or later (gplv2+)": "GPL-2.0-or-later",
    "gnu general public license v3 (gplv3)": "GPL-3.0-only",
    "gnu general public license v3 or later (gplv3+)": "GPL-3.0-or-later",
    "gnu lesser general public license v2 or later (lgplv2+)": "LGPL-2.0-or-later",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0-only",
    "gnu lesser general public license v3 or later (lgplv3+)": "LGPL-3.0-or-later",
    "gnu affero general public license v3": "AGPL-3.0-only",
    "gnu affero general public license v3 or later (agplv3+)": "AGPL-3.0-or-later",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "the mit license": "MIT",
    "mit/x11": "MIT",
    "mit no attribution license (mit-0)": "MIT-0",
    "mozilla public license 1.1 (mpl 1.1)": "MPL-1.1",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "mplv1.1": "MPL-1.1",
    "mplv2.0": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "psf": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
    "the zlib/libpng license": "Zlib",
    "zlib/libpng license": "Zlib",
    "zlib": "Zlib",
    "vim": "Vim",
    "openssl": "OpenSSL",
}
"""Written names whose licence is certain. "BSD", "GPL", "Apache Software License" and the like name no version: not here."""
_GNU = re.compile(r"(A?GPL|LGPL)[ -]?v?([123])(?:\.([01]))?(\+| or later|-or-later|-only)?", re.IGNORECASE)
_WORD = re.compile(r"\s+(and|or|with)\s+|([()])", re.IGNORECASE)


def expression(licences: Iterable[str]) -> str:
    """Return one SPDX expression for all that a package says, empty where a part of it is not certain."""
    found = [spdx(licence) for licence in dict.fromkeys(item.strip() for item in licences if item.strip())]
    if not found or not all(found):
        return ""
    unique = list(dict.fromkeys(found))
    if len(unique) == 1:
        return unique[0]
    return " AND ".join(f"({item})" if " OR " in item else item for item in unique)


@lru_cache(maxsize=4096)
def spdx(text: str) -> str:
    """Return the SPDX expression that a licence text means, empty where it means none or several."""
    if len(text) > MAX_LENGTH:
        return ""
    out: list[str] = []
    for part in _WORD.split(text):
        if part is None or not part.strip():
            continue
        word = part.strip()
        out.append(word.upper() if word.lower() in ("and", "or", "with") else word if word in "()" else _name(word))
    try:
        return canonicalize_license_expression(" ".join(out)) if all(out) else ""
    except (InvalidLicenseExpression, RecursionError, ValueError):
        return ""


def _name(word: str) -> str:
    if (known := _NAMES.get(word.lower())) is not None:
        return known
    if found := _GNU.fullmatch(word):
        family, major, minor, later = found.groups()
        later = (later or "").strip().lower()
        return f"{family.upper()}-{major}.{minor or '0'}-{'or-later' if later in ('+', 'or later', '-or-later') else 'only'}"
    return word if " " not in word else ""
