"""What a distribution means for purls, for OSV's ecosystem names, and how long it is maintained.

Source: OSV schema, "Defined ecosystems"; package-url types; each distribution's own life-cycle page (see `lifecycle.py`).
"""

from __future__ import annotations

import dataclasses
import re

from seawall.domain.packages import Distro
from seawall.packages.lifecycle import end_of_life

_ALIASES = {
    "redhat": "rhel",
    "red": "rhel",
    "oracle": "ol",
    "amazon": "amzn",
    "suse": "sles",
    "sled": "sles",
    "sles_sap": "sles",
    "sle_hpc": "sles",
    "suse-microos": "sle-micro",
    "sle-micro-rancher": "sle-micro",
    "alpaquita-linux": "alpaquita",
    "opensuse": "opensuse-leap",
    "azurelinux": "azurelinux",
}
_UBUNTU_LTS = {"14.04", "16.04", "18.04", "20.04", "22.04", "24.04", "26.04"}
_NAMESPACES = {
    "rhel": "redhat",
    "ol": "oracle",
    "amzn": "amazon",
    "sles": "suse",
    "sle-micro": "suse",
    "sl-micro": "suse",
    "suse-microos": "suse",
    "opensuse-leap": "opensuse",
    "opensuse-tumbleweed": "opensuse",
    "almalinux": "almalinux",
    "rocky": "rocky",
}
_OPENEULER_LTS = re.compile(r"\((LTS(?:-SP\d+)?)\)")


def normalized(distro: Distro) -> Distro:
    """Return `distro` with its usual id, Debian's codename turned into a version, and the end of its support."""
    found = _ALIASES.get(distro.id, distro.id)
    version = distro.version
    if found == "debian" and not version and distro.codename:
        version = _DEBIAN_CODENAMES.get(distro.codename, "")
    return dataclasses.replace(distro, id=found, version=version, end_of_life=end_of_life(found, version))


_DEBIAN_CODENAMES = {
    "wheezy": "7",
    "jessie": "8",
    "stretch": "9",
    "buster": "10",
    "bullseye": "11",
    "bookworm": "12",
    "trixie": "13",
    "forky": "14",
}


def purl_namespace(distro: Distro, kind: str) -> str:
    """Return the purl namespace of OS packages: the vendor. Unknown distributions keep their own id."""
    if not distro.id:
        return "" if kind != "deb" else "debian"
    return _NAMESPACES.get(distro.id, distro.id)


def purl_distro(distro: Distro) -> str:
    """Return purl's `distro` qualifier, e.g. `debian-12`; empty where no distribution was found."""
    return f"{distro.id}-{distro.version}" if distro.id and distro.version else distro.id


def osv_ecosystem(distro: Distro, kind: str) -> str:
    """Return OSV's ecosystem of the distribution's packages (`Debian:12`, `Alpine:v3.19`), empty where OSV has none.

    `kind` is purl's type of the packages, so that an apk found in a Debian image is not judged as Debian's.
    """
    family = _FAMILIES.get(distro.id)
    if family is None or family != kind:
        return ""
    major, _, rest = distro.version.partition(".")
    minor = rest.partition(".")[0]
    if distro.id == "debian":
        return f"Debian:{major}" if major else "Debian"
    if distro.id == "ubuntu":
        release = f"{major}.{minor}" if minor else major
        return f"Ubuntu:{release}:LTS" if release in _UBUNTU_LTS else f"Ubuntu:{release}"
    if distro.id == "alpine":
        if "_alpha" in distro.version or "edge" in distro.version:
            return "Alpine:edge"
        return f"Alpine:v{major}.{minor}" if minor else "Alpine"
    if distro.id in ("rhel", "centos"):
        return f"Red Hat:enterprise_linux:{major}"
    if distro.id in _PLAIN:
        name, with_version = _PLAIN[distro.id]
        if with_version == "major":
            return f"{name}:{major}" if major else name
        if with_version == "leap":
            return f"{name} {distro.version}"
        if with_version == "full":
            return f"{name}:{distro.version}" if distro.version else name
        if with_version == "openeuler":
            # os-release has the service pack in the pretty name only: "openEuler 24.03 (LTS-SP1)"
            long_term = _OPENEULER_LTS.search(distro.pretty_name)
            return f"{name}:{distro.version}" + (f"-{long_term[1]}" if long_term else "")
        return name
    if distro.id == "sles":
        service_pack = f" SP{minor}" if minor and minor != "0" else ""
        return f"SUSE:Linux Enterprise Server {major}{service_pack}"
    if distro.id in ("sle-micro", "sl-micro"):
        return f"SUSE:Linux Enterprise Micro {distro.version}"
    return ""


_FAMILIES = {
    "debian": "deb",
    "ubuntu": "deb",
    "alpine": "apk",
    "wolfi": "apk",
    "chainguard": "apk",
    "minimos": "apk",
    "echo": "deb",
    "rhel": "rpm",
    "centos": "rpm",
    "almalinux": "rpm",
    "rocky": "rpm",
    "sles": "rpm",
    "sle-micro": "rpm",
    "sl-micro": "rpm",
    "opensuse-leap": "rpm",
    "opensuse-tumbleweed": "rpm",
    "photon": "rpm",
    "azurelinux": "rpm",
    "mariner": "rpm",
    "openeuler": "rpm",
    "mageia": "rpm",
    "ol": "rpm",
    "amzn": "rpm",
    "fedora": "rpm",
    "opencloudos": "rpm",
    "alpaquita": "apk",
    "bellsoft-hardened-containers": "apk",
    "cleanstart": "apk",
}
_PLAIN = {
    "wolfi": ("Wolfi", ""),
    "chainguard": ("Chainguard", ""),
    "minimos": ("MinimOS", ""),
    "echo": ("Echo", ""),
    "almalinux": ("AlmaLinux", "major"),
    "rocky": ("Rocky Linux", "major"),
    "photon": ("Photon OS", "full"),
    "azurelinux": ("Azure Linux", "major"),
    "mariner": ("CBL-Mariner", "full"),
    "opensuse-leap": ("openSUSE:Leap", "leap"),
    "opensuse-tumbleweed": ("openSUSE:Tumbleweed", ""),
    "openeuler": ("openEuler", "openeuler"),
    "mageia": ("Mageia", "major"),
    "ol": ("Oracle Linux", "major"),
    "amzn": ("Amazon Linux", "major"),
    "fedora": ("Fedora", "major"),
    "opencloudos": ("OpenCloudOS", "full"),
    "alpaquita": ("Alpaquita", "full"),
    "bellsoft-hardened-containers": ("BellSoft Hardened Containers", "full"),
    "cleanstart": ("CleanStart", ""),
}
"""OSV's name, and how much of the version follows it. Oracle, Amazon and Fedora have no export there; advisories of
theirs in OSV form are found under these names."""
