"""Workloads that are equal in all that a control reads are judged once: what a control says that it reads is all it reads."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Any

import pytest
from seawall.app.assess_posture import assess_documents
from seawall.posture.check import Check, Finding
from seawall.posture.engine import checks, evaluate
from seawall.posture.parts import Part, fingerprint, is_read
from seawall.posture.workloads import CONTAINER_LISTS, Workload
from seawall.posture.world import World

from tests.posture.cases import BREAKING, GOOD, NEAR_MISSES

TODAY = date(2026, 8, 1)
SHARING = {check.id: check for check in checks().values() if check.reads}


RICH: dict[str, Any] = {
    "containers": [
        {
            "name": "c",
            "image": "i:1",
            "command": ["sudo", "x", "--password=hunter2hunter2"],
            "env": [
                {"name": "DB_PASSWORD", "value": "hunter2hunter2"},
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}},
            ],
            "envFrom": [{"secretRef": {"name": "s"}}],
            "ports": [{"containerPort": 22, "hostPort": 22}],
            "volumeMounts": [{"name": "root", "mountPath": "/h"}, {"name": "s", "mountPath": "/s"}],
            "livenessProbe": {"httpGet": {"host": "10.0.0.1", "port": 1}},
        }
    ],
    "volumes": [{"name": "root", "hostPath": {"path": "/var/run/docker.sock"}}, {"name": "s", "secret": {"secretName": "s"}}, {"name": "e", "emptyDir": {}}],
    "securityContext": {"runAsUser": 0, "fsGroup": 0, "sysctls": [{"name": "kernel.msgmax", "value": "1"}]},
    "nodeSelector": {"kubernetes.io/os": "windows"},
}  # fmt: skip


def documents() -> list[dict[str, Any]]:
    """Objects that break every control that admission can enforce, under several owners, each of them twice."""
    pods = [item for item in (GOOD, *BREAKING.values(), *NEAR_MISSES.values()) if item["kind"] == "Pod"]
    pods += [{**GOOD, "spec": RICH}, {**GOOD, "spec": {**GOOD["spec"], "hostUsers": False, "hostNetwork": True}}]
    found = []
    for number, item in enumerate(pods * 2):
        meta = {**item["metadata"], "name": f"w{number}"}
        template = {"metadata": meta, "spec": item["spec"]}
        found += [
            {**item, "metadata": meta},
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"template": template}},
            {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": {"jobTemplate": {"spec": {"template": template}}}},
        ]  # fmt: skip
    return found


def reduced(workload: Workload, parts: frozenset[Part]) -> Workload:
    """The workload without anything that does not belong to the parts."""
    pod = {key for part in parts for key in part.pod}
    own = {"name", "restartPolicy"}.union(*(part.container for part in parts))
    spec: dict[str, Any] = {key: value for key, value in workload.spec.items() if key in pod}
    for name in CONTAINER_LISTS:
        if workload.spec.get(name) is not None:
            spec[name] = [{key: value for key, value in item.items() if key in own} for item in workload.spec[name]]
    notes = {key: value for key, value in workload.annotations.items() if is_read(key)}
    path = workload.path.removesuffix("spec").removesuffix(".")
    return Workload(workload.obj, {"metadata": {"annotations": notes}, "spec": spec}, path)


@pytest.fixture(scope="module")
def world() -> World:
    return assess_documents(documents(), today=TODAY, controls=()).world


@pytest.mark.parametrize("check", SHARING.values(), ids=SHARING)
def test_a_control_reads_nothing_but_its_parts(check: Check, world: World) -> None:
    seen = 0
    for workload in world.workloads:
        if not workload.broken:
            less = reduced(workload, check.reads)
            assert less.path == workload.path
            assert list(check.run(less, world)) == list(check.run(workload, world)), workload.obj.ref
            seen += 1
    assert seen > 100


def test_judging_equals_once_gives_what_judging_each_gives(world: World) -> None:
    whole = evaluate(world, SHARING)
    found: dict[tuple[str, int], list[Finding]] = defaultdict(list)
    for number, target, item in whole.found:
        found[whole.controls[number].id, target].append(item)
    passed = {(whole.controls[number].id, target) for number, targets in whole.passed.items() for target in targets}
    for name, check in SHARING.items():
        for workload in world.workloads:
            if not workload.broken:
                key = (name, workload.obj.index)
                assert found[key] == (alone := list(check.run(workload, world))), key
                assert (key in passed) is (not alone)


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": name},
        "spec": {"containers": [{"name": "c", "image": f"{name}:1"}], **spec},
    }


@pytest.mark.parametrize(
    ("other", "part", "same"),
    [
        pytest.param(pod("b"), Part.CONTEXT, True, id="another name and image"),
        pytest.param(pod("b", hostPID=False), Part.CONTEXT, False, id="a field that is said"),
        pytest.param(pod("b", hostPID=0), Part.STORAGE, True, id="a field of another part"),
        pytest.param(pod("b", initContainers=[{"name": "c"}], containers=[]), Part.CONTEXT, False, id="another list"),
        pytest.param({**pod("b"), "kind": "Job"}, Part.CONTEXT, False, id="another kind"),
    ],
)
def test_fingerprint(other: dict[str, Any], part: Part, same: bool) -> None:
    world = assess_documents([pod("a"), other], today=TODAY, controls=()).world
    prints = {fingerprint(workload, part, world) for workload in world.workloads}
    assert (len(prints) == 1) is same


def test_values_without_a_plain_form_are_judged_alone() -> None:
    class Text(str):
        __slots__ = ()

    class Map(dict[str, Any]):
        pass

    world = assess_documents(
        [pod(name, securityContext=Map({"runAsUser": 0, "x": Text("y")})) for name in "ab"], today=TODAY, controls=()
    ).world
    assert {fingerprint(workload, Part.CONTEXT, world) for workload in world.workloads} == {None}
    report = evaluate(world, ["WL-004"])
    assert sorted(target for _, target, _ in report.found) == [0, 1]


def test_a_limit_range_counts_in_its_own_namespace() -> None:
    limits = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "l", "namespace": "b"},
        "spec": {"limits": [{"type": "Container", "default": {"memory": "1Gi"}}]},
    }
    report = assess_documents([pod("a"), pod("b"), limits], today=TODAY, controls=["WL-036"])
    assert [report.object(target).name for _, target, _ in report.found] == ["a"]
