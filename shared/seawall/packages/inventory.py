"""From the records of an image's layers to what is installed: the merged view, OS ownership, exact purls.

Source: OCI image-spec 1.1, layer.md (what hides what); package-url; OSV schema (ecosystems).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seawall.domain.packages import Distro, Gap, Package
from seawall.oci.limits import Limits
from seawall.oci.overlay import Overlay, parents
from seawall.packages.analyzer import Found
from seawall.packages.distros import normalized, osv_ecosystem, purl_distro, purl_namespace
from seawall.packages.layer import FileResult, LayerRecord
from seawall.packages.purls import purl, pypi_name
from seawall.packages.router import Router

OS_TYPES = frozenset(("deb", "apk", "rpm"))
_ECOSYSTEMS = {
    "pypi": "PyPI",
    "npm": "npm",
    "golang": "Go",
    "cargo": "crates.io",
    "maven": "Maven",
    "gem": "RubyGems",
    "nuget": "NuGet",
    "composer": "Packagist",
    "conan": "ConanCenter",
    "bitnami": "Bitnami",
    "hex": "Hex",
    "pub": "Pub",
    "swift": "SwiftURL",
}
_RELEASE_FILES = ("etc/os-release", "usr/lib/os-release")


@dataclass(frozen=True, slots=True)
class AnalyzedLayer:
    """A layer's record with what the image says of it."""

    name: str
    """Digest, or diff id where it has none; empty for a folder."""
    created_by: str
    record: LayerRecord


@dataclass(frozen=True, slots=True)
class Contents:
    """Distribution, packages and gaps of a whole image."""

    distro: Distro
    packages: tuple[Package, ...]
    gaps: tuple[Gap, ...]


class _Placed:
    """A file's result and the layer that brought it."""

    __slots__ = ("layer", "result")

    def __init__(self, result: FileResult, layer: AnalyzedLayer) -> None:
        self.result = result
        self.layer = layer


def merge_layers(layers: Sequence[AnalyzedLayer], router: Router, limits: Limits, *, project: bool = False) -> Contents:
    """Return what is installed when `layers` lie on top of each other, base first.

    With `project` (a folder of sources) files that only ask for packages count as well.
    """
    overlay: Overlay[_Placed] = Overlay(limits.links)
    gaps: list[Gap] = []
    for number, layer in enumerate(layers):
        record = layer.record
        gaps += [Gap(gap.where, gap.reason, layer.name, gap.line) for gap in record.gaps]
        if number:
            overlay.replace(_hashes(record.other_files), _hashes(record.folders))
            for path in record.opaques:
                overlay.remove(path, keep_root=True)
            for path in record.whiteouts:
                overlay.remove(path)
        for path, target in record.links.items():
            overlay.link(path, target)
        for result in record.files:
            overlay.put(result.path, _Placed(result, layer))
    packages, more_gaps, distro = _packages(overlay, router, project)
    for path in sorted(overlay.cycles):
        more_gaps.append(Gap(path, f"over {limits.links} symbolic links, or a cycle of them"))
    return Contents(distro, tuple(packages), (*gaps, *more_gaps))


def _hashes(raw: bytes) -> Iterable[int]:
    numbers = array("Q")
    numbers.frombytes(raw[: len(raw) - len(raw) % numbers.itemsize])
    return numbers


def _packages(overlay: Overlay[_Placed], router: Router, project: bool) -> tuple[list[Package], list[Gap], Distro]:
    distro = _distro(overlay)
    gaps: list[Gap] = []
    skipped = set() if project else {item.id for item in router.analyzers if item.project}
    owned: set[str] = set()
    owned_by_name: dict[str, tuple[str, ...]] = {}
    for placed in overlay.files.values():
        for item in placed.result.owned:
            owned_by_name[item.package] = owned_by_name.get(item.package, ()) + item.files
    found: list[tuple[Found, str, str, _Placed]] = []
    system: list[Package] = []
    for path, placed in overlay.files.items():
        result = placed.result
        gaps += [Gap(gap.where, gap.reason, placed.layer.name, gap.line) for gap in result.gaps]
        for analyzer, values in result.found.items():
            if analyzer in skipped:
                continue
            for value in values:
                if value.type in OS_TYPES:
                    files = value.files or owned_by_name.get(value.name, ())
                    owned.update(overlay.resolve_parent(file) for file in files)
                    system.append(_system_package(value, files, path, analyzer, placed, distro))
                else:
                    found.append((value, path, analyzer, placed))
    if not system:
        for files in owned_by_name.values():
            owned.update(overlay.resolve_parent(file) for file in files)
    installed = {
        (_node_root(path), value.namespace, value.name, value.version)
        for value, path, _, _ in found
        if value.type == "npm" and not value.declared
    }
    roots = {item[0] for item in installed}
    bitnami = {(path.rpartition("/")[0], value.name) for value, path, _, _ in found if value.type == "bitnami"}
    packages = _without_repeats(system)
    language: dict[tuple[str, str], Package] = {}  # once a file: locks name a package again for each of its extras
    for value, path, analyzer, placed in found:
        if path in owned or any(parent in owned for parent in parents(path) if parent.endswith((".egg-info", ".egg"))):
            continue  # the distribution patches it under the OS package's version
        if value.type == "generic" and any((parent, value.name) in bitnami for parent in parents(path)):
            continue  # the component's own document, at the top of its folder, says the same more exactly
        if value.declared and value.type == "npm":
            root = path.rpartition("/")[0]
            # in an image, node_modules beside the lock file says what is really there
            if (root in roots and not project) or (root, value.namespace, value.name, value.version) in installed:
                continue
        package = _language_package(value, path, analyzer, placed)
        language.setdefault((package.purl, package.path), package)
    return [*packages, *language.values()], gaps, distro


def _distro(overlay: Overlay[_Placed]) -> Distro:
    for path in _RELEASE_FILES:
        placed = overlay.get(path)
        if placed is not None and placed.result.distro is not None:
            return normalized(placed.result.distro)
    candidates = [
        placed.result.distro for path, placed in sorted(overlay.files.items()) if placed.result.distro is not None
    ]
    # AlmaLinux, Rocky and Oracle also carry redhat-release: the more special answer wins
    candidates.sort(key=lambda item: item.id in ("rhel", "debian"))
    return normalized(candidates[0]) if candidates else Distro()


def _node_root(path: str) -> str:
    """Return the folder that holds the outermost node_modules of an installed package."""
    head, _, _ = f"/{path}".partition("/node_modules/")
    return head.lstrip("/")


def _system_package(
    value: Found, files: tuple[str, ...], path: str, analyzer: str, placed: _Placed, distro: Distro
) -> Package:
    qualifiers = [*value.qualifiers, ("arch", value.arch), ("distro", purl_distro(distro))]
    version = value.version
    if value.type == "rpm":
        epoch, colon, rest = version.partition(":")
        if colon:
            version = rest
            qualifiers.append(("epoch", epoch))
        if value.source and value.source_version:
            qualifiers.append(("upstream", f"{value.source}-{value.source_version.rpartition(':')[2]}.src.rpm"))
    elif value.source and value.source != value.name:
        upstream = value.source
        if value.source_version and value.source_version != value.version:
            upstream += f"@{value.source_version}"
        qualifiers.append(("upstream", upstream))
    return Package(
        purl(value.type, purl_namespace(distro, value.type), value.name, version, qualifiers),
        value.name,
        value.version,
        value.ecosystem or osv_ecosystem(distro, value.type),
        value.source,
        value.source_version,
        value.arch,
        value.licenses,
        path,
        placed.layer.name,
        placed.layer.created_by,
        analyzer,
        files,
    )


def _language_package(value: Found, path: str, analyzer: str, placed: _Placed) -> Package:
    name = f"{value.namespace}/{value.name}" if value.namespace else value.name
    ecosystem = value.ecosystem or _ECOSYSTEMS.get(value.type, "")
    if value.type == "maven":
        name = f"{value.namespace}:{value.name}" if value.namespace else value.name
    elif value.type == "pypi":
        name = pypi_name(name)
    return Package(
        purl(value.type, value.namespace, value.name, value.version, value.qualifiers),
        name,
        value.version,
        ecosystem,
        value.source,
        value.source_version,
        value.arch,
        value.licenses,
        value.path or path,
        placed.layer.name,
        placed.layer.created_by,
        analyzer,
        value.files,
    )


def _without_repeats(packages: list[Package]) -> list[Package]:
    """Return `packages` once each: two rpm databases, or `/lib` seen through `/usr/lib`, name the same ones."""
    seen: dict[str, Package] = {}
    for package in packages:
        seen.setdefault(package.purl, package)
    return list(seen.values())
