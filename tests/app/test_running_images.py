"""Findings of images that run: which workloads, what is in use, and what that does to the urgency."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from seawall.app.rescan import affected, document
from seawall.app.running_images import RunningImages, prioritised, running_images
from seawall.domain.running import RunningContainer, RunningSnapshot, RunningSource
from seawall.vulnerability.match import match

from tests.adapters.sql.conftest import postgres_url, store, store_url  # noqa: F401 - fixtures
from tests.app.test_rescan import FLASK, LIBSSL, NEW, report
from tests.support.advisories import NOON, advisories, package, record
from tests.support.advisories import affected as names

INDEX = "sha256:" + "1" * 64


def container(name: str, digest: str, *in_use: str, **more: Any) -> RunningContainer:
    values: dict[str, Any] = {
        "cluster": "prod", "container_id": name, "seen_at": NOON, "namespace": "shop", "owner": "Deployment/api",
        "pod": f"api-{name}", "digest": digest, "in_use": in_use,
    }  # fmt: skip
    return RunningContainer(**(values | more))


def run(store, *containers, source=RunningSource.SENSOR):  # noqa: F811
    store.running.apply(RunningSnapshot(source=source, cluster="prod", taken_at=NOON, containers=containers))


@pytest.fixture
def filled(store):  # noqa: F811
    file = advisories(*NEW)
    for digest, packages in (("sha256:a", (FLASK, LIBSSL)), ("sha256:b", (LIBSSL,)), ("sha256:c", (FLASK,))):
        item = report(digest, *packages, file=file)
        store.images.save(replace(item, index_digest=INDEX) if digest == "sha256:b" else item)
        store.index.put(digest, packages)
    return store


def ask(store, name="CVE-2026-2"):  # noqa: F811
    return affected(
        name, advisories=advisories(*NEW), index=store.index, running=lambda digests: running_images(store, digests)
    )


def test_workloads_that_run_the_image(filled):
    run(
        filled,
        container("1", "sha256:a", "deb/libssl3"),
        container("2", "sha256:a", "deb/libssl3"),
        container("3", "sha256:c", "pypi/flask", owner="Job/report"),
        container("4", "sha256:elsewhere"),
    )
    [touched] = ask(filled)
    assert [(item.name, item.containers, item.in_use) for item in touched.workloads] == [
        ("prod/shop/Deployment/api", 2, True)
    ]
    [other] = ask(filled, "GHSA-1")
    assert [item.name for item in other.workloads] == ["prod/shop/Deployment/api", "prod/shop/Job/report"]


def test_a_runtime_that_names_the_index_means_its_platform(filled):
    run(filled, container("1", INDEX))
    [touched] = ask(filled)
    assert [item.owner for item in touched.workloads] == ["Deployment/api"]
    answer = document("CVE-2026-2", [touched])
    assert answer["workloads"] == [
        {"cluster": "prod", "namespace": "shop", "owner": "Deployment/api", "containers": 1, "in_use": None}
    ]
    assert answer["packages"][0]["workloads"] == answer["workloads"]


def test_a_pod_without_an_owner_goes_by_its_own_name(filled):
    run(filled, container("1", "sha256:a", owner=""), container("2", "sha256:a", owner="", pod=""))
    [touched] = ask(filled)
    assert [item.owner for item in touched.workloads] == ["Container/2", "Pod/api-1"]


def test_nobody_reports_means_not_known(filled):
    [touched] = ask(filled)
    assert touched.workloads == ()
    assert not any("container" in reason for reason in touched.finding.priority_reasons)


@pytest.mark.parametrize(
    ("containers", "reason"),
    [
        pytest.param([container("1", "sha256:a", "deb/libssl3")], "in use in a running container (+10)", id="in-use"),
        pytest.param([container("1", "sha256:a", "deb/libc6")], "not loaded by any running container (-15)", id="another-package"),
        pytest.param([container("1", "sha256:a", "pypi/flask")], "a container of the image runs (+5)", id="no-witness"),
        pytest.param([container("1", "sha256:a", "deb/libc6"), container("2", "sha256:a")], "a container of the image runs (+5)", id="one-unwatched"),
        pytest.param([container("1", "sha256:c")], "no container of the image runs (-5)", id="another-image"),
    ],
)  # fmt: skip
def test_what_runs_is_a_reason_of_its_own(filled, containers, reason):
    run(filled, *containers)
    stored = filled.images.report("sha256:a")
    libssl = [item for item in stored.findings if item.package == "libssl3"]
    [finding] = prioritised(libssl, "sha256:a", running_images(filled, ["sha256:a"]), advisories(*NEW))
    assert reason in finding.priority_reasons
    assert finding.priority != libssl[0].priority
    assert replace(finding, priority=0, priority_reasons=()) == replace(libssl[0], priority=0, priority_reasons=())


def test_what_is_in_use_comes_first():
    file = advisories(
        record("X-1", names("PyPI", "used", ("introduced", "0"))),
        record("X-2", names("PyPI", "idle", ("introduced", "0"))),
        record("X-3", names("npm", "@scope/other", ("introduced", "0"))),
    )
    packages = [package("PyPI", "idle", "1"), package("PyPI", "used", "1"), package("npm", "@scope/other", "1")]
    findings = match(packages, file)

    running = RunningImages({"sha256:a": [container("1", "sha256:a", "pypi/used", "npm/@scope/other")]}, is_known=True)
    assert [item.package for item in prioritised(findings, "sha256:a", running, file)][-1] == "idle"
