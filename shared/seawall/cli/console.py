"""What the command line prints with: nothing that came from outside can command the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer
from rich import console as rich_console
from rich.segment import Segment

from seawall.domain.text import printable

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType


class Console(rich_console.Console):
    """Rich's console; a package's name or a path cannot colour, erase or retitle: rich passes escapes in text through."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments; those of text without control characters."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text, "\n"), segment.style)


def echo(text: str = "", *, err: bool = False) -> None:
    """Print a line to standard output or error, line breaks and tabs kept."""
    typer.echo(printable(text, "\n\t"), err=err)
