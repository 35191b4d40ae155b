"""Which distribution an image is, from os-release(5) and the older files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seawall.domain.packages import Distro, Gap
from seawall.packages.analyzer import ImageFile, analyzer

_LINE = re.compile(r"""^\s*([A-Z][A-Z0-9_]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s#]*))""")
_RED_HAT_NAMES = (
    ("red hat enterprise linux", "rhel"),
    ("centos", "centos"),
    ("almalinux", "almalinux"),
    ("rocky", "rocky"),
    ("fedora", "fedora"),
    ("oracle", "ol"),
    ("enterprise linux", "ol"),
    ("amazon linux", "amzn"),
)
MAX_VALUE = 256


@analyzer(id="os-release", reads=("etc/os-release", "usr/lib/os-release"), version=2)
def os_release(file: ImageFile) -> Iterator[Distro | Gap]:
    """Read `ID`, `VERSION_ID` and their kin; a file without `ID` is a gap."""
    fields: dict[str, str] = {}
    for line in file.text.splitlines()[:500]:
        if match := _LINE.match(line):
            key, double, single, bare = match.groups()
            value = (
                re.sub(r'\\(["$`\\])', r"\1", double) if double is not None else single if single is not None else bare
            )
            fields.setdefault(key, value[:MAX_VALUE])
    if not fields.get("ID"):
        if fields or file.content.strip():
            yield Gap(file.path, "no ID field")
        return
    yield Distro(
        fields["ID"].lower(),
        fields.get("VERSION_ID", ""),
        fields.get("VERSION_CODENAME", ""),
        fields.get("PRETTY_NAME", ""),
        tuple(fields.get("ID_LIKE", "").lower().split()),
    )


@analyzer(
    id="release-files",
    reads=(
        "etc/redhat-release",
        "etc/centos-release",
        "etc/almalinux-release",
        "etc/rocky-release",
        "etc/oracle-release",
        "etc/fedora-release",
        "etc/system-release",
        "etc/alpine-release",
        "etc/debian_version",
        "etc/lsb-release",
    ),
)
def release_files(file: ImageFile) -> Iterator[Distro]:
    """Read the files that distributions had before os-release; they are asked only where os-release is missing."""
    text = file.text.strip()[:1000]
    if file.name == "alpine-release":
        if re.fullmatch(r"\d+(\.\d+)*([_a-z0-9-]*)?", text):
            yield Distro("alpine", text)
    elif file.name == "debian_version":
        if re.fullmatch(r"\d+(\.\d+)*", text):
            yield Distro("debian", text.partition(".")[0])
        elif re.fullmatch(r"[a-z]+/sid", text):
            yield Distro("debian", "", text.partition("/")[0])
    elif file.name == "lsb-release":
        fields = dict(line.partition("=")[::2] for line in text.splitlines())
        if fields.get("DISTRIB_ID", "").strip('"').lower() == "ubuntu":
            yield Distro("ubuntu", fields.get("DISTRIB_RELEASE", "").strip('"'), fields.get("DISTRIB_CODENAME", ""))
    else:
        lowered = text.lower()
        for words, distro in _RED_HAT_NAMES:
            if words in lowered and (version := re.search(r"release (?:version )?(\d+(?:\.\d+)*)", lowered)):
                yield Distro(distro, version.group(1), "", text.splitlines()[0])
                return
