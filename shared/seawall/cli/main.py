"""`seawall`: collects the commands and turns errors into one clear line and exit code 2."""

from __future__ import annotations

import logging
import os
import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from seawall.catalog import collect
from seawall.cli.command import Command
from seawall.cli.console import Console
from seawall.domain.errors import ConfigError, SeawallError

EXIT_ERROR = 2
"""Any error: bad input, bad settings, a service that failed."""
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"seawall {version('seawall')}")
        raise typer.Exit


def _log_level() -> str:
    level = os.environ.get("SEAWALL_LOG_LEVEL", "warning")
    if level.lower() not in LOG_LEVELS:
        raise ConfigError(f"SEAWALL_LOG_LEVEL is {level!r}: expected {', '.join(LOG_LEVELS)}")
    return level.upper()


def _failed(why: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(f"seawall: {why}", style="red", markup=False, highlight=False)
    sys.exit(EXIT_ERROR)


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
    try:
        logging.basicConfig(level=_log_level(), format="%(levelname)s %(name)s %(message)s")
        build()(standalone_mode=True)
    except SeawallError as error:
        _failed(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_ERROR)
    except OSError as error:  # a file or folder that the user named, or a disk that is full or read-only
        _failed(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)


if __name__ == "__main__":
    main()
