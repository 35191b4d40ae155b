"""Bitnami's images: each component brings an SPDX document, `opt/bitnami/<name>/.spdx-<name>.spdx`.

Source: SPDX 2.3, JSON; Bitnami's component purls (pkg:bitnami/...).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from seawall.domain.packages import Gap
from seawall.packages.analyzer import Found, ImageFile, analyzer

_PURL = re.compile(r"pkg:bitnami/([a-z0-9._-]+)@([^?#]+)(?:\?([^#]*))?")


class _Reference(msgspec.Struct, rename="camel"):
    reference_type: str = ""
    reference_locator: str = ""


class _Package(msgspec.Struct, rename="camel"):
    name: str = ""
    version_info: str = ""
    license_declared: str = ""
    external_refs: list[_Reference] = []


class _Document(msgspec.Struct):
    packages: list[_Package] = []


_DECODER = msgspec.json.Decoder(_Document)


@analyzer(id="bitnami", reads=("**/*.spdx",))
def bitnami(file: ImageFile) -> Iterator[Found | Gap]:
    """Yield the component; the document's further packages are libraries that other analyzers see for themselves."""
    if not file.path.startswith("opt/bitnami/") or not file.name.startswith(".spdx-"):
        return
    try:
        document = _DECODER.decode(file.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        yield Gap(file.path, f"not an SPDX document: {error}")
        return
    for package in document.packages:
        for reference in package.external_refs:
            if match := _PURL.match(reference.reference_locator):
                name, version, qualifiers = match.groups()
                licence = package.license_declared
                yield Found(
                    "bitnami",
                    name,
                    re.sub(r"-\d+$", "", version.replace("%2B", "+")),
                    qualifiers=tuple(
                        (key, value)
                        for key, _, value in (item.partition("=") for item in (qualifiers or "").split("&"))
                        if key
                    ),
                    licenses=(licence,) if licence and licence != "NOASSERTION" else (),
                )
                break
