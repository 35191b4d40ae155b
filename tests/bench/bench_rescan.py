"""One new advisory against 100,000 stored images of 300 packages (30 million rows) in SQLite. Budget: under 1 s.

    make bench-rescan                    the whole size; about two minutes to fill
    make bench-rescan ARGS="--images 5000"

Images are spread over 40 base images with packages of their own release and 60,000 distinct packages of languages; the
new advisory is about a package that every image of ten bases (a quarter of all) has in an affected version.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import sqlalchemy as sa
from seawall.adapters.sql.inventory_index import component, component_key
from seawall.adapters.sql.store import SqlStore
from seawall.app.rescan import affected
from seawall.domain.packages import Package

from tests.support.advisories import advisories, record
from tests.support.advisories import affected as names

BASES, PER_BASE, OWN, BUDGET_S = 40, 220, 80, 1.0
DISTINCT_OWN = 60_000


def fill(store: SqlStore, images: int) -> None:
    """Write rows by SQL: what a scan writes one image at a time, in the form that it has afterwards."""
    packages = [
        Package(
            f"pkg:deb/debian/lib{number}@1.{base}",
            f"lib{number}",
            f"1.{base}",
            "Debian:12",
            f"lib{number}",
            f"1.{base}",
        )
        for base in range(BASES)
        for number in range(PER_BASE)
    ] + [Package(f"pkg:pypi/own{number}@1.0", f"own{number}", "1.0", "PyPI") for number in range(DISTINCT_OWN)]
    from seawall.adapters.sql.documents import to_document
    from seawall.adapters.sql.inventory_index import _hash
    from seawall.vulnerability.ecosystems import lookups

    with store.database.write() as connection:
        connection.execute(
            component.insert(),
            [
                {"number": number, "hash": _hash(item), "document": to_document(item)}
                for number, item in enumerate(packages)
            ],
        )
        connection.execute(
            component_key.insert(),
            [
                {"ecosystem": lookup.ecosystem, "name": lookup.name, "component": number}
                for number, item in enumerate(packages)
                for lookup in lookups(item)
            ],
        )
        series = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :last)"
        connection.execute(
            sa.text(f"{series} INSERT INTO indexed_image SELECT i, 'sha256:' || printf('%064x', i), x'' FROM n"),
            {"last": images - 1},
        )
        # Every image of base b = i % BASES has that base's packages; in the primary key's order.
        connection.execute(
            sa.text(
                "INSERT INTO image_component SELECT c.number, i.number FROM component c JOIN indexed_image i"
                " ON i.number % :bases = c.number / :per WHERE c.number < :bases * :per ORDER BY c.number, i.number"
            ),
            {"bases": BASES, "per": PER_BASE},
        )
        # Eighty packages of its own for each: a stride through the distinct ones.
        connection.execute(
            sa.text(
                "WITH RECURSIVE k(j) AS (SELECT 0 UNION ALL SELECT j + 1 FROM k WHERE j < :own - 1)"
                " INSERT OR IGNORE INTO image_component SELECT :first + (i.number * 31 + j * 769) % :distinct, i.number"
                " FROM indexed_image i JOIN k ORDER BY 1, 2"
            ),
            {"own": OWN, "first": BASES * PER_BASE, "distinct": DISTINCT_OWN},
        )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=100_000)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite"
        store = SqlStore(f"sqlite:///{path}")
        started = time.perf_counter()
        fill(store, images)
        with store.database.read() as connection:
            rows = connection.scalar(sa.text("SELECT count(*) FROM image_component"))
        print(
            f"{images:,} images, {rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB, filled in {time.perf_counter() - started:.0f} s"
        )
        file = advisories(
            record(
                "DEBIAN-CVE-2026-9",
                names("Debian:12", "lib7", ("introduced", "0"), ("fixed", "1.10")),
                upstream=["CVE-2026-9"],
            ),
            *(
                record(f"PYSEC-{number}", names("PyPI", f"own{number}", ("introduced", "0"), ("fixed", "0.5")))
                for number in range(1000)
            ),
        )
        times = []
        for _ in range(5):
            started = time.perf_counter()
            touched = affected("CVE-2026-9", advisories=file, index=store.index)
            times.append(time.perf_counter() - started)
        store.close()
        found = sum(len(item.digests) for item in touched)
        median = sorted(times)[2]
        print(
            f"one new advisory: {found:,} images of {len(touched)} packages in {median:.3f} s (budget {BUDGET_S:.1f} s)"
        )
        return 0 if median < BUDGET_S and found == images // 4 else 1


if __name__ == "__main__":
    sys.exit(main())
