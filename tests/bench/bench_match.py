"""Match 1,000 packages against the file of every advisory there is, in a fresh process, opening included. Budget: 50 ms.

    make bench-match

The packages are those of a large image: 400 Debian binaries of 250 sources, 300 npm, 200 Python, 100 Go; half of the
language packages are known to the advisories, and packages are up to date, behind by two of the versions that fixed something, or by forty.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
DATA = ROOT.parent / "shared" / "data"
BUDGET_S = 0.050

CHILD = """
import json, pickle, sys, time
from seawall.adapters.osv.file import open_file
from seawall.vulnerability.match import match
from pathlib import Path
packages = pickle.loads(Path(sys.argv[2]).read_bytes())
started = time.perf_counter()
file = open_file(Path(sys.argv[1]))
opened = time.perf_counter()
findings = match(packages, file)
ended = time.perf_counter()
print(json.dumps({"open": opened - started, "all": ended - started, "findings": len(findings)}))
"""


def packages(file, behind):
    from seawall.domain.packages import Package

    blocks: dict[str, list] = {}
    for block in file.packages():
        blocks.setdefault(block.ecosystem, []).append(block)

    def some(ecosystem, count, kind):
        chosen = sorted(blocks[ecosystem], key=lambda block: block.name)
        step = max(1, len(chosen) // count)
        for block in chosen[::step][:count]:
            version = block.boundaries[max(0, len(block.boundaries) - 1 - behind)] if block.boundaries else "1"
            yield Package(f"pkg:{kind}/{block.name}@{version}", block.name, version, ecosystem, block.name, version)

    debian = list(some("Debian:12", 250, "deb/debian"))
    out = [
        Package(f"{item.purl}-{number}", f"{item.name}-{number}", item.version, item.ecosystem, item.name, item.version)
        for number in range(2)
        for item in debian
    ][:400]
    for ecosystem, kind, count in (("npm", "npm", 300), ("PyPI", "pypi", 200), ("Go", "golang", 100)):
        out += some(ecosystem, count // 2, kind)
        out += [
            Package(f"pkg:{kind}/unknown-{number}@1.2.3", f"unknown-{number}", "1.2.3", ecosystem)
            for number in range(count - count // 2)
        ]
    return out[:1000]


def main() -> int:
    if not DATA.is_dir():
        print("skipped: needs ../shared")
        return 0
    import pickle
    from datetime import UTC, datetime

    from seawall.adapters.osv.file import write_file
    from seawall.adapters.osv.reading import read_source
    from seawall.vulnerability.advisory_build import Builder
    from seawall.vulnerability.advisory_file import AdvisoryFile

    builder = Builder()
    for source in ("osv", "kev.json", "cve-facts.jsonl.gz", "epss-sample.csv"):
        read_source(DATA / source, builder)
    content = builder.finish(built_at=datetime.now(UTC))
    with tempfile.TemporaryDirectory() as folder:
        path, listed = Path(folder) / "advisories.db", Path(folder) / "packages"
        write_file(path, content)
        print(f"file of {len(content) / 1e6:.1f} MB")
        over = False
        for words, behind, counts in (
            ("up to date", 0, True),
            ("behind by two fixed versions", 2, False),
            ("behind by forty", 40, False),
        ):
            chosen = packages(AdvisoryFile(content), behind)
            listed.write_bytes(pickle.dumps(chosen))
            runs = []
            for _ in range(5):
                run = subprocess.run(
                    [sys.executable, "-c", CHILD, str(path), str(listed)], capture_output=True, text=True, check=True
                )
                runs.append(json.loads(run.stdout))
            runs.sort(key=lambda run: run["all"])
            median = runs[2]
            over |= counts and median["all"] >= BUDGET_S
            budget = f" (budget {BUDGET_S * 1000:.0f} ms)" if counts else ""
            print(
                f"{len(chosen):,} packages {words}, {median['findings']:,} findings: opened in {median['open'] * 1000:.1f} ms, "
                f"opened and matched in {median['all'] * 1000:.1f} ms{budget}"
            )
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
