"""Stored inventories against advisories that change, on both databases."""

from __future__ import annotations

import pytest
from seawall.app.rescan import affected, rescan
from seawall.domain.findings import ImageReport
from seawall.domain.packages import Distro
from seawall.vulnerability.match import match

from tests.adapters.sql.conftest import postgres_url, store, store_url  # noqa: F401 - fixtures
from tests.support.advisories import NOON, FixedClock, advisories, package, record
from tests.support.advisories import affected as names

OLD = [record("GHSA-1", names("PyPI", "flask", ("introduced", "0"), ("fixed", "2.0")), aliases=["CVE-2026-1"])]
NEW = [
    *OLD,
    record(
        "DEBIAN-CVE-2026-2",
        names("Debian:12", "openssl", ("introduced", "0"), ("fixed", "3.0.9-1")),
        upstream=["CVE-2026-2"],
    ),
]
FLASK = package("PyPI", "Flask", "1.0", path="app/flask")
LIBSSL = package("Debian:12", "libssl3", "3.0.8-1", source="openssl", source_version="3.0.8-1")


def report(digest, *packages, file):
    return ImageReport(
        digest,
        f"registry.example/{digest[-1]}",
        "linux/amd64",
        Distro("debian", "12"),
        packages,
        tuple(match(packages, file)),
        (),
        NOON,
        file.id,
    )


@pytest.fixture
def filled(store):  # noqa: F811
    file = advisories(*OLD)
    for digest, packages in (("sha256:a", (FLASK, LIBSSL)), ("sha256:b", (LIBSSL,)), ("sha256:c", (FLASK,))):
        store.images.save(report(digest, *packages, file=file))
        store.index.put(digest, packages)
    return store


def run(filled, before, after, **more):
    return rescan(
        advisories=after, previous=before, index=filled.index, images=filled.images, clock=FixedClock(), **more
    )


def test_affected_names_packages_and_images(filled):
    file = advisories(*NEW)
    [touched] = affected("CVE-2026-2", advisories=file, index=filled.index)
    assert touched.finding.package == "libssl3"
    assert sorted(touched.digests) == ["sha256:a", "sha256:b"]
    assert touched.workloads == ()
    assert affected("GHSA-1", advisories=file, index=filled.index)[0].digests == ("sha256:a", "sha256:c")
    assert affected("CVE-1999-1", advisories=file, index=filled.index) == []


def test_a_new_advisory_reaches_every_image_and_only_those(filled):
    changed = []
    done = run(filled, advisories(*OLD), advisories(*NEW), changed=changed.append)
    assert (done.advisories, done.packages, done.images, done.new_findings) == (1, 1, 2, 2)
    assert sorted(item.digest for item in changed) == ["sha256:a", "sha256:b"]
    assert {item.id for item in filled.images.report("sha256:a").findings} == {"CVE-2026-1", "CVE-2026-2"}
    assert {item.id for item in filled.images.report("sha256:c").findings} == {"CVE-2026-1"}


def test_a_rescan_gives_what_a_scan_gives(filled):
    after = advisories(*NEW)
    run(filled, advisories(*OLD), after)
    fresh = report("sha256:a", FLASK, LIBSSL, file=after)
    assert filled.images.report("sha256:a").findings == fresh.findings


def test_a_withdrawn_advisory_takes_its_findings_away(filled):
    done = run(
        filled,
        advisories(*OLD),
        advisories(OLD[0] | {"withdrawn": "2026-05-01T00:00:00Z", "modified": "2026-05-01T00:00:00Z"}),
    )
    assert (done.images, done.new_findings) == (2, 0)
    assert filled.images.report("sha256:c").findings == ()


def test_the_same_rescan_twice_changes_nothing(filled):
    run(filled, advisories(*OLD), advisories(*NEW))
    assert run(filled, advisories(*OLD), advisories(*NEW)).images == 0


def test_without_a_previous_file_every_package_is_looked_at(filled):
    assert run(filled, None, advisories(*NEW)).packages == 2


def test_an_image_that_changed_leaves_the_index_where_it_was(filled):
    filled.index.put("sha256:a", (FLASK,))
    filled.index.put("sha256:a", (FLASK,))
    [touched] = affected("CVE-2026-2", advisories=advisories(*NEW), index=filled.index)
    assert touched.digests == ("sha256:b",)
    assert filled.index.counts() == (3, 2)
    assert list(filled.index.digests()) == ["sha256:a", "sha256:b", "sha256:c"]


def test_scans_at_the_same_time_agree(store):  # noqa: F811
    from concurrent.futures import ThreadPoolExecutor

    packages = [package("PyPI", f"p{number}", "1.0") for number in range(50)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.index.put(f"sha256:{number % 4}", packages[number % 3 :]), range(32)))
    assert store.index.counts() == (4, 50)
    found = [
        number for number, _ in store.index.images([item.number for item in store.index.components([("PyPI", "p49")])])
    ]
    assert len(found) == 4
