"""Which alerts belong together, by the table in `seawall.incidents.joining`."""

from __future__ import annotations

import pytest
from seawall.incidents.joining import Joining, groups

from tests.incidents.alerts import BOB, CI, EVE, alert

REPLICASETS = "system:serviceaccount:kube-system:replicaset-controller"
DAY = 24 * 60


@pytest.mark.parametrize(
    ("alerts", "sizes"),
    [
        pytest.param([alert("exec", actor=CI), alert("secrets", 5, actor=CI)], [2], id="one actor"),
        pytest.param([alert("exec", actor=CI), alert("secrets", DAY + 1, actor=CI)], [1, 1], id="one actor, too late"),
        pytest.param(
            [alert("exec", actor=CI), alert("exec", DAY - 5, actor=CI), alert("secrets", 2 * DAY - 10, actor=CI)],
            [3],
            id="the window slides",
        ),
        pytest.param(
            [alert("exec", actor=CI, lasts=DAY), alert("secrets", DAY + 60, actor=CI)], [2], id="from the last repeat"
        ),
        pytest.param(
            [alert("exec", actor=CI, cluster="a"), alert("exec", actor=CI, cluster="b")],
            [1, 1],
            id="service accounts belong to a cluster",
        ),
        pytest.param(
            [alert("exec", actor=EVE, cluster="a"), alert("exec", actor=EVE, cluster="b")], [2], id="people do not"
        ),
        pytest.param(
            [alert("exec", actor=CI, namespace="prod"), alert("exec", actor=BOB, namespace="prod")],
            [1, 1],
            id="a shared namespace alone",
        ),
        pytest.param(
            [alert("policy", actor=CI, namespace="prod"), alert("exec", 5, actor=BOB, namespace="prod")],
            [2],
            id="a namespace after it lost its protection",
        ),
        pytest.param(
            [alert("exec", actor=BOB, namespace="prod"), alert("policy", 5, actor=CI, namespace="prod")],
            [1, 1],
            id="a namespace before it lost its protection",
        ),
        pytest.param(
            [alert("exec", actor=CI, pod="prod/web-1"), alert("shell", 1, source="runtime", pod="prod/web-1")],
            [2],
            id="audit and run time of one pod",
        ),
        pytest.param(
            [
                alert("probe", actor=EVE, pod="prod/web-1", ip="203.0.113.7"),
                alert("probe", 1, actor=BOB, pod="prod/web-1", ip="203.0.113.7"),
            ],
            [1, 1],
            id="colleagues look at one pod",
        ),
        pytest.param(
            [
                alert("probe", actor=EVE, pod="prod/web-1"),
                alert("probe", 1, actor=BOB, pod="prod/web-1"),
                alert("shell", 2, source="runtime", pod="prod/web-1"),
            ],
            [3],
            id="colleagues look at one pod, and then something happens in it",
        ),
        pytest.param(
            [alert("shell", source="runtime", pod="prod/web-1"), alert("probe", 2, actor=EVE, pod="prod/web-1")],
            [2],
            id="something happens in a pod, then somebody looks at it",
        ),
        pytest.param(
            [alert("mount", actor=REPLICASETS, pod="a/x"), alert("mount", actor=REPLICASETS, pod="b/y")],
            [1, 1],
            id="a platform controller",
        ),
        pytest.param(
            [
                alert("probe", actor="system:anonymous", ip="203.0.113.7"),
                alert("probe", actor="system:anonymous", ip="198.51.100.9"),
            ],
            [1, 1],
            id="two anonymous callers",
        ),
        pytest.param(
            [
                alert("probe", actor="system:anonymous", ip="203.0.113.7"),
                alert("secrets", 9, actor=CI, ip="203.0.113.7"),
            ],
            [2],
            id="an address, few share it",
        ),
        pytest.param(
            [alert("exec", n, actor=f"user{n}@example.com", ip="203.0.113.7") for n in range(6)],
            [1] * 6,
            id="an address, a gateway of many",
        ),
        pytest.param(
            [alert("exec", actor=CI, ip="10.0.0.4", cluster="a"), alert("exec", actor=BOB, ip="10.0.0.4", cluster="b")],
            [1, 1],
            id="a private address in two clusters",
        ),
        pytest.param(
            [alert("exec", actor=CI, ip="127.0.0.1"), alert("exec", actor=BOB, ip="127.0.0.1")], [1, 1], id="loopback"
        ),
        pytest.param(
            [alert("admin", actor=EVE, service_account="build/ci"), alert("secrets", 3, actor=CI)],
            [2],
            id="who was given rights and used them",
        ),
        pytest.param(
            [
                alert("shell", source="runtime", pod="a/x", node="n1"),
                alert("shell", 1, source="runtime", pod="b/y", node="n1"),
            ],
            [1, 1],
            id="a shared node",
        ),
        pytest.param(
            [
                alert("escape", source="runtime", pod="a/x", node="n1"),
                alert("shell", 1, source="runtime", pod="b/y", node="n1"),
            ],
            [2],
            id="a node after an escape to it",
        ),
        pytest.param(
            [
                alert("push", source="registry", actor=EVE, image="sha256:1"),
                alert("shell", 9, source="runtime", pod="a/x", image="sha256:1"),
                alert("shell", 9, source="runtime", pod="b/y", image="sha256:1"),
            ],
            [3],
            id="an implanted image and what runs it",
        ),
        pytest.param(
            [
                alert("shell", source="runtime", pod="a/x", image="sha256:1"),
                alert("shell", 9, source="runtime", pod="b/y", image="sha256:1"),
            ],
            [1, 1],
            id="the same ordinary image",
        ),
    ],
)
def test_groups(alerts, sizes):
    for order in (alerts, alerts[::-1]):
        assert sorted(len(group) for group in groups(order, Joining())) == sorted(sizes)


def test_a_chain_without_end_is_cut():
    daily = [alert("exec", day * (DAY - 1), actor=CI) for day in range(30)]
    found = groups(daily, Joining())
    assert [len(group) for group in found] == [8, 8, 8, 6]
    assert all((group[-1].first_seen - group[0].first_seen).days < 7 for group in found)


def test_a_busy_address_does_not_glue_a_hundred_thousand_alerts():
    many = [alert("exec", n / 100, actor=f"user{n % 5000}@example.com", ip="203.0.113.7") for n in range(20_000)]
    assert len(groups(many, Joining())) == 5000
