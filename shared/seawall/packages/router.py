"""Which analyzers want a path: asked once for every file of every layer, so dictionaries first, patterns last."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

from seawall.catalog import collect
from seawall.domain.errors import ConfigError
from seawall.packages.analyzer import Analyzer

_DULL_FOLDERS = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/zoneinfo/", "usr/include/")
_NEVER = frozenset(
    ("py", "pyc", "h", "html", "gz", "js", "png", "svg", "hpp", "pm", "rb", "mo", "css", "ts", "map", "md")
)
"""Endings of files, most of what packages own, that no analyzer reads and that are no programs."""
_BIN_FOLDERS = ("bin/", "sbin/", "libexec/")


class Router:
    """Compiled from the analyzers' `reads`."""

    def __init__(self, analyzers: Iterable[Analyzer]) -> None:
        self.analyzers = tuple(analyzers)
        self.fingerprint = ";".join(f"{item.id}={item.version}" for item in self.analyzers)
        self._paths: dict[str, list[Analyzer]] = {}
        self._names: dict[str, list[Analyzer]] = {}
        self._suffixes: dict[str, list[tuple[str, Analyzer]]] = {}
        self._folders: dict[str, list[tuple[str, Analyzer]]] = {}
        self._last_folders: dict[str, list[tuple[str, Analyzer]]] = {}
        self._patterns: dict[str, list[tuple[re.Pattern[str], Analyzer]]] = {}
        self.executables = tuple(item for item in self.analyzers if item.executables)
        for item in self.analyzers:
            for pattern in item.reads:
                self._add(pattern, item)

    def _add(self, pattern: str, item: Analyzer) -> None:
        folder, _, name = pattern.rpartition("/")
        suffix = name[1:] if name.startswith("*") and "*" not in name[1:] else None
        if "*" not in pattern:
            self._paths.setdefault(pattern, []).append(item)
        elif folder == "**" and "*" not in name:
            self._names.setdefault(name, []).append(item)
        elif folder == "**" and suffix and suffix.startswith("."):
            self._suffixes.setdefault(suffix.rpartition(".")[2], []).append((suffix, item))
        elif "*" not in folder and suffix is not None:
            self._folders.setdefault(folder, []).append((suffix, item))
        elif folder.startswith("**/") and "/" not in folder[3:] and "*" not in folder[3:] and suffix is not None:
            self._last_folders.setdefault(folder[3:], []).append((suffix, item))
        elif folder == "**" and (literal := re.match(r"[A-Za-z0-9]{3}", name)):
            # `**/libssl.so*`: looked at only for names that begin with the same three characters
            self._patterns.setdefault(literal.group(), []).append((re.compile(translate(name)), item))
        else:
            raise ConfigError(f"analyzer {item.id}: pattern {pattern!r} has a form that the router does not know")

    def route(self, path: str) -> list[Analyzer]:
        """Return the analyzers that read `path` by its name, in a stable order; a file may have several."""
        folder, _, name = path.rpartition("/")
        found: list[Analyzer] = []
        if path in self._paths:
            found += self._paths[path]
        if name in self._names:
            found += self._names[name]
        if (by_suffix := self._suffixes.get(name.rpartition(".")[2])) is not None:
            found += [item for suffix, item in by_suffix if name.endswith(suffix)]
        if (in_folder := self._folders.get(folder)) is not None:
            found += [item for suffix, item in in_folder if name.endswith(suffix)]
        if (in_folder := self._last_folders.get(folder.rpartition("/")[2])) is not None:
            found += [item for suffix, item in in_folder if name.endswith(suffix)]
        if (by_pattern := self._patterns.get(name[:3])) is not None:
            found += [item for expression, item in by_pattern if expression.match(name) and item not in found]
        return found

    def may_matter(self, path: str) -> bool:
        """Whether `path`, owned by an OS package, could also be found by another analyzer or run as a program."""
        name = path.rpartition("/")[2]
        if name.rpartition(".")[2] in _NEVER or path.startswith(_DULL_FOLDERS):
            return False
        if "." not in name:
            return not path.startswith("usr/share/") and not path.startswith("etc/")
        return (
            ".so" in name
            or any(part in path for part in _BIN_FOLDERS)
            or name.endswith((".egg-info", ".egg", ".dist-info"))
            or bool(self.route(path))
        )


_default: list[Router] = []


def default_router() -> Router:
    """Return the router over every declared analyzer."""
    if not _default:
        _default.append(Router(collect("seawall.packages.analyzers", Analyzer)))
    return _default[0]
