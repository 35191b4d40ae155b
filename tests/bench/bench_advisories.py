"""Build the advisory file of everything in ../shared/data/osv. Budgets: 90 s, 150 MB.

make bench-advisories
"""

from __future__ import annotations

import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
DATA = ROOT.parent / "shared" / "data"


def main() -> int:
    if not DATA.is_dir():
        print("skipped: needs ../shared")
        return 0
    from seawall.adapters.osv.reading import read_source
    from seawall.vulnerability.advisory_build import Builder
    from seawall.vulnerability.advisory_file import AdvisoryFile

    started = time.perf_counter()
    builder = Builder()
    for source in ("osv", "kev.json", "cve-facts.jsonl.gz", "epss-sample.csv"):
        read_source(DATA / source, builder)
    read = time.perf_counter() - started
    content = builder.finish(built_at=datetime.now(UTC))
    built = time.perf_counter() - started
    opened = time.perf_counter()
    file = AdvisoryFile(content)
    opened = time.perf_counter() - opened
    verified = time.perf_counter()
    file.verify()
    verified = time.perf_counter() - verified
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{builder.records:,} records: read in {read:.1f} s, file of {len(content) / 1e6:.1f} MB after {built:.1f} s (budgets 90 s, 150 MB), peak {memory:,.0f} MB"
    )
    print(f"opened in {opened * 1000:.2f} ms, verified whole in {verified * 1000:.0f} ms")
    return 0 if built < 90 and len(content) < 150e6 else 1


if __name__ == "__main__":
    sys.exit(main())
