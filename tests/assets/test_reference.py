"""The page of rights is what the code asks for."""

from __future__ import annotations

from pathlib import Path

import yaml
from seawall.assets.reference import rights_page
from seawall.assets.rights import CLOUD, KUBERNETES, cluster_role

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date() -> None:
    assert (DOCS / "inventory-rights.md").read_text() == rights_page()


def test_the_chart_grants_the_same() -> None:
    rules = yaml.safe_load((DOCS.parent / "sensor" / "chart" / "files" / "discovery-rules.yaml").read_text())
    assert rules == cluster_role()["rules"]


def test_every_right_reads() -> None:
    role = cluster_role()
    verbs = {verb for rule in role["rules"] for verb in rule["verbs"]}  # type: ignore[attr-defined]
    assert verbs == {"get", "list", "watch"}
    for right in CLOUD:
        assert right.purpose
        # One call of Azure's is a POST that returns the cluster's address; the identity's own token signs in.
        reads = ("/read", "/action", ":List", ":Describe", ":Get", ".list", ".get")
        assert any(word in right.permission for word in reads), right.permission


def test_no_kind_is_listed_twice() -> None:
    assert len({kind.kind for kind in KUBERNETES}) == len(KUBERNETES)
    assert [kind.kind for kind in KUBERNETES if kind.metadata_only] == ["Secret"]
