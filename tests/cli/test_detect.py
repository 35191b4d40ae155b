"""`seawall detect audit --format table`: what happened can be read on any terminal."""

from __future__ import annotations

import json

import pytest
from seawall.cli.commands.detect import COMMAND
from typer.testing import CliRunner

from tests.detection.events import audit


@pytest.mark.parametrize("columns", [30, 40, 80, 160])
def test_the_table_fits_the_terminal_and_keeps_words_whole(tmp_path, monkeypatch, columns):
    log = tmp_path / "audit.log"
    log.write_text(json.dumps(audit("list", "secrets", name="", uri="/api/v1/secrets")))
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = CliRunner().invoke(COMMAND.app, ["audit", str(log)])
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    words = shown.stdout.split()
    assert {"Secrets", "namespaces", "2026-11-02"} <= set(words)
    assert any(word.startswith("AU-0301") for word in words)
