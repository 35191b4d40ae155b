"""`seawall`: collects the commands and turns errors into one clear line and exit code 2."""

from __future__ import annotations

import logging
import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from seawall.catalog import collect
from seawall.cli.command import Command
from seawall.cli.console import Console
from seawall.domain.errors import SeawallError

EXIT_ERROR = 2
"""Any error: bad input, bad settings, a service that failed."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"seawall {version('seawall')}")
        raise typer.Exit


def build() -> typer.Typer:
    """Return the whole command line."""
    root = typer.Typer(
        name="seawall",
        help="Container security: scan images, judge clusters, detect threats.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )

    @root.callback()
    def options(
        show_version: Annotated[
            bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
        ] = False,
    ) -> None:
        pass

    for command in collect("seawall.cli.commands", Command):
        root.add_typer(
            command.app,
            name=None
            if len(command.app.registered_commands) == 1 and not command.app.registered_callback
            else command.id,
        )
    return root


def main() -> None:
    """Run the command line; never print a traceback for a failure we know."""
    logging.basicConfig(
        level=os.environ.get("SEAWALL_LOG_LEVEL", "WARNING").upper(), format="%(levelname)s %(name)s %(message)s"
    )
    try:
        build()(standalone_mode=True)
    except SeawallError as error:
        Console(stderr=True, soft_wrap=True).print(f"seawall: {error}", style="red", markup=False, highlight=False)
        sys.exit(EXIT_ERROR)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_ERROR)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)


if __name__ == "__main__":
    main()
