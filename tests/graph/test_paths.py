"""Paths through a small cluster: found, ranked, told, and closed by a network policy."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from seawall.cli.commands.posture import app
from seawall.domain.errors import InputError
from seawall.graph.build import AttackGraph, build
from seawall.graph.paths import find, search
from seawall.graph.picture import to_dot, to_svg
from seawall.posture.loading import Loaded
from seawall.posture.world import World
from typer.testing import CliRunner

SHOP = {"name": "web", "namespace": "shop", "labels": {"app": "web"}}
POD: dict[str, Any] = {
    "apiVersion": "v1", "kind": "Pod", "metadata": SHOP,
    "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "bad:1", "ports": [{"containerPort": 80}], "securityContext": {"privileged": True}}]},
}  # fmt: skip
SERVICE: dict[str, Any] = {
    "apiVersion": "v1", "kind": "Service", "metadata": SHOP,
    "spec": {"type": "LoadBalancer", "selector": {"app": "web"}},
}  # fmt: skip
ADMIN: dict[str, Any] = {
    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "oops"},
    "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "shop"}],
}  # fmt: skip


def graph(*documents: dict[str, Any]) -> AttackGraph:
    loaded = Loaded()
    for item in documents:
        loaded.add(item, "test")
    return build(World(loaded.objects, today=date(2026, 11, 1)), exploitable={"bad:1": "CVE-2021-44228"})


def test_internet_to_cluster_admin() -> None:
    made = graph(POD, SERVICE, ADMIN)
    report = search(made, start=find(made, ["internet"]), goals=find(made, ["cluster-admin"]))
    assert report.total == 1
    assert [link.edge for link in report.paths[0].links if link.edge] == [
        "INTERNET_EXPOSE", "VULN_EXPLOIT", "IDENTITY_ASSUME", "PERMISSION_DISCOVER",
    ]  # fmt: skip
    assert "CVE-2021-44228" in " ".join(report.paths[0].sentences())
    assert "ClusterRoleBinding oops" in {item.cause for item in report.choke_points}


def test_no_way_when_no_binding() -> None:
    made = graph(POD, SERVICE)
    assert search(made).total > 0
    with pytest.raises(InputError, match="cluster-admin"):
        find(made, ["identity/cluster-admin"])


def test_limits_are_told() -> None:
    loaded = Loaded()
    loaded.add(POD, "test")
    made = build(World(loaded.objects, today=date(2026, 11, 1)), limit=2)
    assert any("left out" in note.reason for note in made.partial)


def test_pictures_escape_names() -> None:
    made = graph({**POD, "metadata": {**SHOP, "name": 'a"<b>'}}, SERVICE, ADMIN)
    paths = search(made).paths
    assert ET.fromstring(to_svg(paths[0])).tag.endswith("svg")
    assert r"a\"<b>" in to_dot(paths)


def test_command(tmp_path: Path) -> None:
    file = tmp_path / "dump.json"
    file.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": [POD, SERVICE, ADMIN]}))
    result = CliRunner().invoke(app, ["paths", str(file), "--to", "cluster-admin", "--format", "json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["total"] >= 2
    table = CliRunner().invoke(app, ["paths", str(file)], env={"COLUMNS": "80"})
    assert "ClusterRoleBinding oops" in table.stdout
    assert max(map(len, table.stdout.splitlines())) <= 80
