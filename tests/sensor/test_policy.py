"""The policy file: what it takes, what it refuses, whom it selects."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path

import pytest
from seawall.domain.errors import ConfigError
from seawall.domain.runtime_events import ContainerContext
from seawall_sensor.policy import PolicyFile, read_policies

WEB = ContainerContext(
    "a" * 64, name="web-1", image="registry.example/shop/web:1", namespace="shop", labels={"app": "web"}
)
DNS = ContainerContext("b" * 64, name="coredns", image="registry.example/coredns:1", namespace="kube-system")


def policies(**select):
    return PolicyFile.model_validate({"policies": [{"name": "one", "select": select, "drift": {"action": "audit"}}]})


@pytest.mark.parametrize(
    ("select", "container", "selected"),
    [
        pytest.param({"names": ["*"]}, WEB, True, id="all"),
        pytest.param({"names": ["web-*"]}, WEB, True, id="pattern"),
        pytest.param({"names": ["web"]}, WEB, False, id="part of a name"),
        pytest.param({"namespaces": ["shop"], "images": ["registry.example/shop/*"]}, WEB, True, id="both"),
        pytest.param({"namespaces": ["shop"], "images": ["other/*"]}, WEB, False, id="one of both"),
        pytest.param({"labels": {"app": "web"}}, WEB, True, id="label"),
        pytest.param({"labels": {"app": "web", "tier": "front"}}, WEB, False, id="one label missing"),
        pytest.param({"names": ["*"]}, DNS, False, id="kube-system is protected"),
        pytest.param({"namespaces": ["*"]}, DNS, False, id="a pattern does not name it"),
        pytest.param({"namespaces": ["kube-system"], "names": ["core*"]}, DNS, True, id="named"),
    ],
)
def test_selection(select, container, selected):
    assert (policies(**select).find(container) is not None) is selected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("policies: [{name: a, select: {}}]", "selects nothing", id="empty selector"),
        pytest.param("policies: [{name: a, select: {names: [x]}, drifts: {}}]", "drifts", id="unknown field"),
        pytest.param("policies: [{name: a, select: {names: [x]}, drift: {action: deny}}]", "action", id="unknown action"),
        pytest.param("policies: [{name: a, select: {names: [x]}, outbound: {action: kill, deny: [{cidr: 10.0.0.0/8}]}}]", "outbound", id="network is not killed"),
        pytest.param("policies: [{name: a, select: {names: [x]}, outbound: {action: block, deny: [{cidr: 10.0.0.1/8}]}}]", "cidr", id="bits beyond the prefix"),
        pytest.param("policies: [{name: a, select: {names: [x]}}, {name: a, select: {names: [y]}}]", "same name", id="name twice"),
        pytest.param("policies: [", "can not be read", id="not YAML"),
        pytest.param("", "file", id="empty file"),
        pytest.param("policies: [{name: a, select: {names: [x]}, outbound: {action: block, deny: [{cidr: 10.0.0.0/40}]}}]", "deny.0.cidr", id="not a network"),
        pytest.param("policies: [{name: a, select: {names: [x]}, outbound: {action: block, deny: [{cidr: 10.0.0.0/8, ports: [70000]}]}}]", "ports", id="not a port"),
        pytest.param("policies: [{name: a, select: {names: [x]}, drift: {action: audit}, drift: {action: kill}}]", "'drift' stands twice", id="key twice"),
        pytest.param("a: &a [x]\npolicies: [{name: a, select: {names: *a}}]", "anchors are not taken", id="anchor"),
        pytest.param("[" * 5000, "nested too deeply", id="depth"),
        pytest.param("policies: []\n" + "#" * (1 << 20), "larger than 1 MB", id="size"),
        pytest.param("policies: [\0]", "can not be read", id="not text"),
    ],
)  # fmt: skip
def test_refused_files(tmp_path, text, words):
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_policies(file)


def test_files_that_are_none(tmp_path):
    """A pipe or a device must not hold the sensor up; a link, as Kubernetes mounts files, is followed."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / "pipe", tmp_path / "loop", tmp_path, tmp_path / "missing", Path("/dev/zero")):
        with pytest.raises(ConfigError, match=re.escape(str(path))):
            read_policies(path)
    (tmp_path / "real.yaml").write_text("policies: []")
    (tmp_path / "link.yaml").symlink_to("real.yaml")
    assert read_policies(tmp_path / "link.yaml").policies == ()


@pytest.mark.parametrize(
    "container",
    [
        pytest.param(ContainerContext("c" * 64), id="nothing known yet"),
        pytest.param(
            ContainerContext("c" * 64, name="x", pod="coredns-1"), id="a pod whose namespace is not known yet"
        ),
    ],
)
def test_what_is_not_known_yet_is_not_selected(container):
    assert policies(names=["*"]).find(container) is None


def test_the_smallest_network_decides_and_wider_ones_follow():
    file = PolicyFile.model_validate(
        {
            "policies": [
                {
                    "name": "one",
                    "select": {"names": ["*"]},
                    "outbound": {
                        "action": "block",
                        "deny": [{"cidr": "0.0.0.0/0"}, {"cidr": "10.1.0.0/16", "ports": [22]}],
                        "allow": [{"cidr": "10.0.0.0/8"}, {"cidr": "10.1.0.0/16", "ports": [[20, 30]]}],
                    },
                }
            ]
        }
    )
    outbound = file.policies[0].outbound
    assert outbound is not None
    assert outbound.rules()[ipaddress.ip_network("10.1.0.0/16")] == [
        (20, 30, False),
        (22, 22, True),
        (0, 65535, False),
        (0, 65535, True),
    ]
