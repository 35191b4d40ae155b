"""What documents call the tool that made them."""

from __future__ import annotations

from functools import cache


@cache
def version() -> str:
    """The installed release of Seawall, "0" where it runs from a folder without one."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("seawall")
    except PackageNotFoundError:
        return "0"
