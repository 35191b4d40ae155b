"""What an Elixir or Erlang project resolved: mix.lock and rebar.lock.

Source: Hex, "Mix.Tasks.Hex"; rebar3, "Dependencies: lock files".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seawall.packages.analyzer import Found, ImageFile, analyzer

_MIX = re.compile(r"""\{\s*:hex,\s*:"?([A-Za-z0-9_]+)"?,\s*"([0-9][^"\s]*)\"""")
_REBAR = re.compile(r"""\{\s*pkg,\s*<<"([A-Za-z0-9_]+)">>,\s*<<"([0-9][^"\s]*)">>""")


@analyzer(id="hex-lock", reads=("**/mix.lock", "**/rebar.lock"), project=True)
def hex_lock(file: ImageFile) -> Iterator[Found]:
    """Yield the packages from Hex under their name there, which an application may use under another."""
    for name, version in (_MIX if file.name == "mix.lock" else _REBAR).findall(file.text):
        yield Found("hex", name, version, declared=True)
