"""For each analytic an event that raises it and one that looks like it and does not, for readers.

The file is written from the test cases, which run them: `python -m tests.detection.cases`.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, TypedDict


class Example(TypedDict, total=False):
    """`events`: the first ones, as a source delivers them; `more` like these follow; `usual` came on each day before."""

    words: str
    events: list[Any]
    more: int
    usual: list[Any]


class Examples(TypedDict):
    """What raises an analytic, and what does not."""

    raises: Example
    quiet: Example


@cache
def examples() -> dict[str, Examples]:
    """Return the examples by analytic."""
    found: dict[str, Examples] = json.loads(files("seawall.detection").joinpath("examples.json").read_text("utf-8"))
    return found
