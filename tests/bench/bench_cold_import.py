"""Cold import of every function app of every cloud, in a process of its own each time: median processor seconds, against 0.5.

What the cloud's own library costs alone stands beside it, and what the first event adds: settings, store, migrations.

make bench-cold-import                        # from the working tree
make bench-cold-import ARGS="--packaged"      # builds the artefacts and starts them with nothing else installed
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_S = 0.5
RUNS = 7
PROBE = """
import time
t = time.process_time()
import {module}
imported = time.process_time() - t
{first}
print(imported, time.process_time() - t - imported)
"""


@dataclass(frozen=True)
class App:
    """How one cloud's app is imported: its module, its variants by environment, how its first event begins."""

    module: str
    library: str
    packages: str
    first: str
    variants: tuple[str, ...]
    variable: str = ""


def azure_boundaries() -> tuple[str, ...]:
    source = (ROOT / "functions/azure/function_app.py").read_text()
    return (*re.findall(r'^    "(\w+)": \w+\.blueprint', source, flags=re.MULTILINE), "api")


def entries(path: Path) -> tuple[str, ...]:
    source = path.read_text()
    return tuple(re.findall(r"^def ([a-z]\w*)\((?:event|request)", source, flags=re.MULTILINE))


APPS = {
    "azure": App(
        "function_app", "azure.functions", ".python_packages/lib/site-packages",
        "from apps.shell import application; application().check_store()", azure_boundaries(), "SEAWALL_FUNCTIONS",
    ),
    "aws": App(
        "handlers", "json", ".", "handlers.application().check_store()", entries(ROOT / "functions/aws/handlers.py")
    ),
    "gcp": App(
        "main", "functions_framework", "packages", "main.application().check_store()",
        entries(ROOT / "functions/gcp/main.py"),
    ),
}  # fmt: skip


def measured(code: str, environment: dict[str, str], *options: str) -> tuple[float, float]:
    """Return the medians of both times that the probe prints."""
    times = []
    for _ in range(RUNS):
        command = [sys.executable, *options, "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        times.append([float(word) for word in done.stdout.split()])
    imported, first = zip(*times, strict=True)
    return statistics.median(imported), statistics.median(first)


def main() -> int:
    """Print a line per app; 1 when one is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packaged", action="store_true", help="build and measure the artefacts, needs Python 3.13")
    arguments = parser.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for cloud, app in APPS.items():
            source, options = str(ROOT / "functions" / cloud), ()
            if arguments.packaged:
                build = [
                    sys.executable,
                    str(ROOT / "functions/package.py"),
                    cloud,
                    "--platform",
                    "here",
                    "--output",
                    folder,
                ]
                subprocess.run(build, check=True, stdout=sys.stderr)
                source, options = f"{folder}/{cloud}{os.pathsep}{folder}/{cloud}/{app.packages}", ("-S", "-P")
            environment = {
                "PATH": os.environ["PATH"],
                "PYTHONPATH": source,
                "SEAWALL_DATA_DIR": f"{folder}/data-{cloud}",
            }
            (Path(folder) / f"data-{cloud}").mkdir()
            library, _ = measured(PROBE.format(module=app.library, first=""), environment, *options)
            measured(PROBE.format(module=app.module, first=app.first), environment, *options)  # makes the store
            # One module holds all functions where the cloud names the function and not the app.
            for variant in app.variants if app.variable else (" ".join(app.variants),):
                chosen = environment | ({app.variable: variant} if app.variable else {})
                imported, first = measured(PROBE.format(module=app.module, first=app.first), chosen, *options)
                worst = max(worst, imported)
                print(
                    f"{cloud} {variant}: {imported:.3f} s, {imported / LIMIT_S:.2f} of the limit "
                    f"({app.library} alone {library:.3f} s); the first event begins after {first:.3f} s more"
                )
    return int(worst > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
