"""What a user gets wrong is one clear line on standard error and exit code 2, never a traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from seawall.cli.main import main

GARBAGE = bytes(range(256)) * 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a space and letters beyond ASCII in its name, and files that are nothing."""
    made = tmp_path / "a földer"
    made.mkdir()
    (made / "garbage").write_bytes(GARBAGE)
    (made / "empty").touch()
    (made / "damaged").mkdir()
    (made / "damaged" / "seawall.sqlite").write_bytes(GARBAGE)
    (made / "pod.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: []}\n")
    return made


@pytest.mark.parametrize(
    ("command", "environment", "said"),
    [
        pytest.param("detect audit empty --sigma garbage", {}, "not a Sigma rule", id="Sigma rule that is no text"),
        pytest.param("posture fix garbage", {}, "garbage: it is not UTF-8 text", id="manifest that is no text"),
        pytest.param("posture assess pod.yaml --format pdf -o no/x.pdf", {}, "no/x.pdf", id="report into no folder"),
        pytest.param("posture undo garbage", {}, "garbage is no record", id="record that is no text"),
        pytest.param("posture undo pod.yaml", {}, "pod.yaml is no record", id="record that is something else"),
        pytest.param("posture controls --format nope", {}, "table, json", id="format of controls"),
        pytest.param("serve --port 0 --data-dir garbage", {}, "garbage: File exists", id="data folder is a file"),
        pytest.param("serve --port 0 --tls-cert garbage --tls-key garbage", {}, "no certificate and key", id="TLS"),
        pytest.param("assets list", {"SEAWALL_DATA_DIR": "damaged"}, "the store is damaged", id="store that is none"),
        pytest.param("assets list", {"SEAWALL_CONFIG": "garbage"}, "garbage is not YAML", id="settings are no text"),
        pytest.param("assets list", {"SEAWALL_LOG_LEVEL": "loud"}, "SEAWALL_LOG_LEVEL", id="log level"),
    ],
)
def test_one_line_and_exit_code_2(
    folder: Path,
    command: str,
    environment: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    for name, value in ({"SEAWALL_DATA_DIR": str(folder / "data")} | environment).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["seawall", *command.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr()
    assert ended.value.code == 2
    assert shown.err.startswith("seawall: ")
    assert shown.err.count("\n") == 1, shown.err
    assert said in shown.err
    assert shown.out == ""
