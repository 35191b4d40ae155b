"""Declarations are found by walking a package."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from seawall.catalog import collect
from seawall.domain.errors import ConfigError


@dataclass(frozen=True)
class Thing:
    id: str


sys.modules.setdefault("tests_catalog_thing", sys.modules[__name__])
IMPORT = "from tests_catalog_thing import Thing\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch, request) -> Path:
    name = "sample_" + request.node.name.replace("[", "_").replace("]", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    root = tmp_path / name
    (root / "inner").mkdir(parents=True)
    (root / "__init__.py").touch()
    (root / "inner" / "__init__.py").touch()
    return root


def test_values_and_tables_of_every_module_sorted_by_id(package) -> None:
    (package / "b.py").write_text(IMPORT + "ONE = Thing('b')\nROWS = (Thing('d'), Thing('a'))\nOTHER = 5\n")
    (package / "inner" / "c.py").write_text(IMPORT + "ONE = Thing('c')\n")
    assert [item.id for item in collect(package.name, Thing)] == ["a", "b", "c", "d"]


def test_one_value_imported_elsewhere_is_one_declaration(package) -> None:
    (package / "a.py").write_text(IMPORT + "ONE = Thing('a')\n")
    (package / "b.py").write_text(f"from {package.name}.a import ONE\n")
    assert len(collect(package.name, Thing)) == 1


def test_two_declarations_of_one_id_are_refused(package) -> None:
    (package / "a.py").write_text(IMPORT + "ONE = Thing('same')\n")
    (package / "b.py").write_text(IMPORT + "TWO = Thing('same')\n")
    with pytest.raises(ConfigError, match="same is declared twice"):
        collect(package.name, Thing)
