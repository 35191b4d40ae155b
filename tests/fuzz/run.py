"""Coverage-guided fuzzing of every parser of images, advisories and documents about them: `make fuzz [ARGS="--seconds 60 --target tar"]`.

Any bytes must give values, gaps or a `SeawallError`: another exception, a hang or a memory explosion is a finding, which
libFuzzer leaves as a `crash-*` or `timeout-*` file in the current folder.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable


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


def _of_vulnerabilities() -> dict[str, Callable[[bytes], object]]:
    import tempfile
    from datetime import UTC, datetime
    from pathlib import Path

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


def fuzz(name: str, seconds: int) -> None:
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

    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={seconds}",
            "-timeout=20",
            "-rss_limit_mb=2048",
            "-max_len=65536",
            "-verbosity=0",
        ],
        one,
    )
    atheris.Fuzz()


def main() -> int:
    """Fuzz every target, or the one that is named, each in its own process; 1 when one of them broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        fuzz(arguments.target, arguments.seconds)
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
        ]
        code = subprocess.run(command, check=False).returncode
        print(f"{name}: {'nothing found' if code == 0 else f'BROKEN (exit {code})'}")
        broken += [name] if code else []
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
