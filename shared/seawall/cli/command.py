"""How a command is declared."""

from __future__ import annotations

from dataclasses import dataclass

import typer


@dataclass(frozen=True, slots=True)
class Command:
    """One top-level command or group: `seawall <id>`. A group with a single callback-less command is flattened."""

    id: str
    app: typer.Typer
