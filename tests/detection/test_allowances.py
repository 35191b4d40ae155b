"""The lists of platform identities are exact."""

from __future__ import annotations

from importlib.resources import files

import pytest
import yaml
from seawall.detection.allowances import built_in_allowances, read_allowances
from seawall.detection.networks import Networks, provider_networks
from seawall.domain.errors import ConfigError


@pytest.mark.parametrize("user", ["system:", "system:serviceaccount:kube-system:", "eks:*", "system:node:*"])
def test_a_name_that_is_not_exact_is_refused(user):
    with pytest.raises(ConfigError, match="exact"):
        read_allowances(
            "x.yaml",
            {"distribution": "x", "versions": "1", "identities": [{"users": [user], "may": ["deploy"]}]},
            {},
            {},
            {},
        )


def test_an_unknown_power_is_refused():
    with pytest.raises(ConfigError, match="everything"):
        read_allowances(
            "x.yaml",
            {"distribution": "x", "versions": "1", "identities": [{"users": ["abc"], "may": ["everything"]}]},
            {},
            {},
            {},
        )


@pytest.mark.parametrize("name", ["quay.io/", "quay.io/*", "node-exporter", "quay.io/x:1", "quay.io/prometheus/"])
def test_an_agent_is_an_exact_repository(name):
    document = {"distribution": "x", "versions": "1", "agents": [{"repositories": [name], "why": "y", "source": "z"}]}
    with pytest.raises(ConfigError, match="exact"):
        read_allowances("x.yaml", document, {}, {}, {})


def test_every_built_in_entry_says_where_it_can_be_checked():
    for entry in files("seawall.detection").joinpath("allow").iterdir():
        document = yaml.safe_load(entry.read_text("utf-8"))
        for item in [*document.get("identities", ()), *document.get("agents", ())]:
            assert item.get("source"), (entry.name, item.get("users") or item.get("repositories"))


def test_names_match_whole():
    lists = built_in_allowances()
    assert lists.may("aksService", "system-workloads")
    for user in ("aksServic", "aksService2", "AKSSERVICE", " aksService"):
        assert not lists.is_platform(user)


@pytest.mark.parametrize(
    ("address", "kind", "provider"),
    [
        ("10.0.0.1", "private", ""), ("::1", "private", ""), ("::ffff:10.0.0.1", "private", ""), ("100.64.0.1", "private", ""), ("8.8.8.8", "public", ""),
        ("20.127.0.100", "cloud", "azure"), ("54.212.83.236", "cloud", "aws"), ("34.90.1.1", "cloud", "gcp"), ("", "none", ""), ("x" * 500, "none", ""),
    ],
)  # fmt: skip
def test_addresses(address, kind, provider):
    networks = Networks(provider_networks())
    assert (networks.kind(address), networks.provider(address)) == (kind, provider)


def test_lists_and_own_ranges():
    networks = Networks(provider_networks(), {"tor": ["185.220.101.0/24"]}, own=["8.8.8.0/24"])
    assert (networks.kind("185.220.101.7"), networks.threat_list("185.220.101.7"), networks.kind("8.8.8.8")) == (
        "listed",
        "tor",
        "private",
    )
