"""Coverage-guided fuzzing of every parser of images, advisories and documents about them: `make fuzz [ARGS="--seconds 60 --target tar"]`.

Any bytes must give values, gaps or a `SeawallError`: another exception, a hang or a memory explosion is a finding, which
libFuzzer leaves as a `crash-*` or `timeout-*` file in the current folder.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

SEEDS = Path(__file__).parents[3] / "shared" / "data" / "fixtures" / "vuln"
LARGEST_BYTES = 65_536


def targets() -> dict[str, Callable[[bytes], object]]:
    """Return the function under test by name."""
    from seawall.catalog import collect
    from seawall.oci.compression import decompress
    from seawall.oci.limits import Limits
    from seawall.oci.manifests import parse_config, parse_manifest
    from seawall.oci.notifications import parse_notification
    from seawall.oci.references import parse_reference
    from seawall.oci.tar import FILE, TarReader
    from seawall.packages.analyzer import Analyzer, ImageFile
    from seawall.packages.layer import analyze_layer
    from seawall.packages.router import default_router

    limits = Limits(layer_bytes=1 << 26, ratio_floor_bytes=1 << 20)

    def tar(content: bytes) -> None:
        reader = TarReader(iter((content,)), limits, lambda *_: None)
        for entry in reader:
            if entry.kind is FILE:
                reader.peek(4)

    def layer(content: bytes) -> None:
        analyze_layer("sha256:0", lambda: iter((content,)), default_router(), limits)

    found: dict[str, Callable[[bytes], object]] = {
        "tar": tar,
        "layer": layer,
        "compression": lambda content: [None for _ in decompress(iter((content,)), limits)],
        "manifest": parse_manifest,
        "config": parse_config,
        "reference": lambda content: parse_reference(content.decode("utf-8", "replace")),
    }
    for kind in ("distribution", "acr", "eventgrid", "ecr", "gar", "harbor", "jfrog", "dockerhub"):
        found[f"notification-{kind}"] = lambda content, kind=kind: parse_notification(kind, {}, content)
    paths = {
        "bitnami": "opt/bitnami/x/.spdx-x.spdx",
        "gem": "x/specifications/a-1.gemspec",
        "node-installed": "node_modules/a/package.json",
        "python-installed": "a-1.dist-info/METADATA",
    }
    for item in collect("seawall.packages.analyzers", Analyzer):
        path = paths.get(item.id) or (item.reads[0].replace("**/", "a/").replace("*", "x") if item.reads else "bin/x")
        found[item.id] = lambda content, item=item, path=path: [None for _ in item(ImageFile(path, content))]
    return found | _of_vulnerabilities()


def seeds(name: str, folder: Path) -> Iterator[bytes]:
    """Yield the real files below `folder` that the target reads, whose bytes are where the search begins.

    Those in a folder of the target's name are its own, whatever they are called.
    """
    from seawall.packages.router import default_router

    router = default_router()
    for where, _, names in os.walk(folder):
        for path in (Path(where) / each for each in names):
            inside = path.relative_to(folder).as_posix()
            wanted = {item.id for item in router.route(inside) or router.route(_installed(inside))}
            wanted.add(inside.partition("/")[0])
            if not path.suffix or path.suffix == ".elf":
                wanted.update(item.id for item in router.executables)
            if name in wanted:
                with path.open("rb") as file:
                    yield file.read(LARGEST_BYTES)


def _installed(path: str) -> str:
    """Where an image has a file that a collection keeps in a folder of its own."""
    for root in ("var/lib/", "usr/lib/", "lib/apk/", "etc/", "opt/"):
        at = path.find("/" + root)
        if at >= 0:
            return path[at + 1 :]
    return path


def _of_vulnerabilities() -> dict[str, Callable[[bytes], object]]:
    from datetime import UTC, datetime

    from seawall.adapters.osv.reading import read_source
    from seawall.formats import attestation, dsse, policy, vex
    from seawall.vulnerability import purl_match, versions
    from seawall.vulnerability.advisory_build import Builder
    from seawall.vulnerability.advisory_file import AdvisoryFile
    from seawall.vulnerability.cvss import score

    now = datetime(2026, 1, 1, tzinfo=UTC)
    folder = Path(tempfile.mkdtemp())

    def source(content: bytes) -> None:
        (folder / "source").write_bytes(content)
        builder = Builder()
        read_source(folder / "source", builder)
        AdvisoryFile(builder.finish(built_at=now)).verify()

    def advisory_file(content: bytes) -> None:
        file = AdvisoryFile(content)
        for block in file.packages():
            for entry in block.entries():
                file.advisory(entry.advisory)
        file.content_hashes()
        file.named("CVE-2026-1")

    def order(name: str) -> Callable[[bytes], object]:
        def compare(content: bytes) -> None:
            a, _, b = content.decode("utf-8", "replace").partition("\n")
            assert versions.compare(name, a, b) == -versions.compare(name, b, a)

        return compare

    orders = {order: name for name, order in versions.ORDERS.items()}
    return {
        "advisory-source": source,
        "advisory-file": advisory_file,
        "attestation": attestation.read,
        "cvss": lambda content: score(content.decode("utf-8", "replace")),
        "dsse": dsse.parse,
        "policy": lambda content: policy.read(content.decode("utf-8", "replace")),
        "purl": lambda content: purl_match.parts(content.decode("utf-8", "replace")),
        "vex": vex.read,
    } | {f"versions-{name}": order(name) for name in orders.values()}


def fuzz(name: str, seconds: int, folder: Path) -> None:
    """Fuzz one target in this process; never returns."""
    import atheris

    with atheris.instrument_imports(
        include=["seawall.oci", "seawall.packages", "seawall.vulnerability", "seawall.formats"]
    ):
        function = targets()[name]
    from seawall.domain.errors import SeawallError

    def one(content: bytes) -> None:
        try:
            function(content)
        except SeawallError:
            return

    corpus = Path(tempfile.mkdtemp())
    for at, content in enumerate(seeds(name, folder)):
        (corpus / str(at)).write_bytes(content)
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={seconds}",
            "-timeout=20",
            "-rss_limit_mb=2048",
            f"-max_len={LARGEST_BYTES}",
            "-verbosity=0",
            str(corpus),
        ],
        one,
    )
    atheris.Fuzz()


def main() -> int:
    """Fuzz every target, or the one that is named, each in its own process; 1 when one of them broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument(
        "--seeds", type=Path, default=SEEDS, help="folder of real files to begin with, as laid in an image"
    )
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        fuzz(arguments.target, arguments.seconds, arguments.seeds)
    broken = []
    for name in [arguments.target] if arguments.target else sorted(targets()):
        command = [
            sys.executable,
            "-m",
            "tests.fuzz.run",
            "--here",
            "--target",
            name,
            "--seconds",
            str(arguments.seconds),
            "--seeds",
            str(arguments.seeds),
        ]
        code = subprocess.run(command, check=False).returncode
        print(f"{name}: {'nothing found' if code == 0 else f'BROKEN (exit {code})'}")
        broken += [name] if code else []
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
