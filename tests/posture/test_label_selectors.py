"""Selectors of Calico and Cilium."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seawall.app.assess_posture import assess_documents
from seawall.domain.posture import Status
from seawall.posture.label_selectors import calico_selects, cilium_selector

LABELS = {"app": "web", "tier": "front", "example.com/team": "a"}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (None, True),
        ("", True),
        ("all()", True),
        ("global()", False),
        ("app == 'web'", True),
        ('app == "web"', True),
        ("app=='db'", False),
        ("app != 'db'", True),
        ("missing != 'x'", True),
        ("has(app)", True),
        ("!has(app)", False),
        ("has(example.com/team) && tier in {'front', 'back'}", True),
        ("tier not in {'front'}", False),
        ("missing not in {'front'}", True),
        ("app == 'db' || tier == 'front' && has(app)", True),
        ("(app == 'db' || tier == 'front') && !(app == 'web')", False),
        ("app contains 'e'", True),
        ("app starts with 'w' && app ends with 'b'", True),
        ("missing starts with ''", False),
        ("app = 'web'", False),
        ("app == 'web' extra", False),
        ("((((", False),
        (["app"], False),
    ],
)
def test_calico(selector: Any, selected: bool) -> None:
    assert calico_selects(selector, LABELS) is selected


@given(st.text(alphabet="ab'\"=!&|(){}, in", max_size=40))
def test_any_text_selects_or_not(selector: str) -> None:
    assert calico_selects(selector, LABELS) in {True, False}


def test_deep_nesting_selects_nothing() -> None:
    assert calico_selects("!" * 1_900 + "has(app)", LABELS) in {True, False}
    assert calico_selects("(" * 100_000, LABELS) is False


def test_cilium_keys_lose_their_source() -> None:
    given = {"matchLabels": {"k8s:app": "web"}, "matchExpressions": [{"key": "any:tier", "operator": "Exists"}]}
    assert cilium_selector(given) == {
        "matchLabels": {"app": "web"},
        "matchExpressions": [{"key": "tier", "operator": "Exists"}],
    }
    assert cilium_selector(None) is None


POD = {
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "c", "image": "a:1"}]},
}  # fmt: skip
SPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {"env": "prod"}}}
BOTH = ["Ingress", "Egress"]


@pytest.mark.parametrize(
    ("api", "kind", "spec", "expected"),
    [
        pytest.param("projectcalico.org/v3", "GlobalNetworkPolicy", {"selector": "app == 'web'", "namespaceSelector": "env == 'prod'", "types": BOTH}, Status.PASS, id="global"),
        pytest.param("projectcalico.org/v3", "GlobalNetworkPolicy", {"namespaceSelector": "projectcalico.org/name == 'n'", "types": BOTH}, Status.PASS, id="namespace by name"),
        pytest.param("projectcalico.org/v3", "GlobalNetworkPolicy", {"selector": "app == 'web'", "namespaceSelector": "env == 'dev'", "types": BOTH}, Status.FAIL, id="another namespace"),
        pytest.param("crd.projectcalico.org/v1", "NetworkPolicy", {"selector": "has(app)", "types": BOTH}, Status.PASS, id="namespaced"),
        pytest.param("projectcalico.org/v3", "NetworkPolicy", {"types": BOTH}, Status.PASS, id="no selector selects all"),
        pytest.param("projectcalico.org/v3", "NetworkPolicy", {"selector": "app == 'db'", "types": BOTH}, Status.FAIL, id="another pod"),
        pytest.param("projectcalico.org/v3", "NetworkPolicy", {"selector": "all()", "egress": [{"action": "Deny"}]}, Status.FAIL, id="egress alone"),
        pytest.param("cilium.io/v2", "CiliumNetworkPolicy", {"endpointSelector": {"matchLabels": {"k8s:app": "web"}}, "ingress": [{}], "egress": [{}]}, Status.PASS, id="cilium, label with its source"),
    ],
)  # fmt: skip
def test_pods_are_covered(api: str, kind: str, spec: dict[str, Any], expected: Status) -> None:
    meta = {"name": "x"} if kind == "GlobalNetworkPolicy" else {"name": "x", "namespace": "n"}
    policy = {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec}
    report = assess_documents([SPACE, POD, policy], today=date(2026, 1, 1), controls=["NW-002"])
    assert report.status_of("NW-002") is expected
