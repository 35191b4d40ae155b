"""Collects what files declare, so that adding a rule, check, analyzer or publisher is adding one declaration.

A declaration is a module-level value. `collect(package, kind)` imports every module below `package` and returns the
values of type `kind`, sorted by `id`; two with one id are a `ConfigError`. Nothing registers itself on import.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Protocol, TypeVar

from seawall.domain.errors import ConfigError


class Declaration(Protocol):
    """Anything with a stable, published id."""

    @property
    def id(self) -> str:
        """The id; it never changes meaning."""


D = TypeVar("D", bound=Declaration)


def modules_below(package: str) -> Iterator[ModuleType]:
    """Yield `package` and every module below it, imported, in name order."""
    root = importlib.import_module(package)
    yield root
    for info in sorted(pkgutil.walk_packages(root.__path__, f"{package}."), key=lambda info: info.name):
        yield importlib.import_module(info.name)


@cache
def collect(package: str, kind: type[D]) -> tuple[D, ...]:
    """Return every `kind` declared at module level below `package`, sorted by id.

    A sequence of declarations at module level (a table of rows) counts as its items.

    Raises:
        ConfigError: two different declarations share an id.
    """
    found: dict[str, D] = {}
    for module in modules_below(package):
        for value in vars(module).values():
            for item in value if isinstance(value, tuple | list) else (value,):
                if isinstance(item, kind) and found.setdefault(item.id, item) is not item:
                    raise ConfigError(
                        f"{kind.__name__} {item.id} is declared twice, the second time in {module.__name__}"
                    )
    return tuple(found[key] for key in sorted(found))
