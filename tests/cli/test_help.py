"""Every command explains itself, and what it says is shown whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer
from rich.text import Text
from seawall.cli.main import build
from typer.testing import CliRunner

ROOT = build()


def commands(app: typer.Typer) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every command and group below `app`, by the words that name it."""
    pending: list[tuple[tuple[str, ...], object]] = [((), typer.main.get_command(app))]
    while pending:
        words, command = pending.pop()
        yield words, command
        pending += [((*words, name), below) for name, below in getattr(command, "commands", {}).items()]


ALL = dict(commands(ROOT))


@pytest.mark.parametrize("words", [pytest.param(words, id=" ".join(words) or "seawall") for words in ALL])
def test_help_is_shown(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(ROOT, [*words, "--help"])
    assert shown.exit_code == 0, shown.exception
    assert "Usage:" in shown.stdout


@pytest.mark.parametrize("words", [pytest.param(words, id=" ".join(words) or "seawall") for words in ALL])
def test_no_text_is_taken_for_markup(words: tuple[str, ...]) -> None:
    command = ALL[words]
    texts = [command.help or "", *(getattr(item, "help", None) or "" for item in command.params)]
    assert [text for text in texts if Text.from_markup(text).plain != text] == []


def test_the_version_is_said() -> None:
    shown = CliRunner().invoke(ROOT, ["--version"])
    assert shown.exit_code == 0
    assert shown.stdout.split()[0] == "seawall"
