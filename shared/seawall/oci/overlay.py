"""Layers put on top of each other in memory: which of the files that matter are still there, and where.

Only paths that matter are kept (files that analyzers read, and symbolic links); of everything else a layer keeps
64-bit hashes, enough to know that a file or folder took the place of something below it.

Source: OCI image-spec 1.1, layer.md, "Applying Changesets", "Whiteouts".
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

V = TypeVar("V")

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


def path_hash(path: str) -> int:
    """Return 64 bits that stand for `path`, the same in every process."""
    raw = path.encode("utf-8", "surrogatepass")
    return zlib.crc32(raw) << 32 | zlib.crc32(raw[::-1], len(raw))


def parents(path: str) -> Iterator[str]:
    """Yield the folders above `path`, nearest first, without the root."""
    end = path.rfind("/")
    while end > 0:
        path = path[:end]
        yield path
        end = path.rfind("/")


class Overlay(Generic[V]):
    """The merged view. Apply each layer, base first, by the calls below in their order."""

    def __init__(self, max_links: int = 40) -> None:
        self.files: dict[str, V] = {}
        self.links: dict[str, str] = {}
        self.cycles: set[str] = set()
        """Paths that could not be resolved: more than `max_links` symbolic links on the way."""
        self._children: dict[str, set[str]] = {}
        self._by_hash: dict[int, str] = {}
        self._max_links = max_links
        self._folders: dict[str, str] = {}

    def remove(self, path: str, *, keep_root: bool = False) -> None:
        """Take away `path` and all below it (a whiteout); with `keep_root` only what is below (an opaque folder)."""
        path = self.resolve_parent(path) if not keep_root else self.resolve(path)
        stack = [path] if not keep_root else list(self._children.get(path, ()))
        while stack:
            gone = stack.pop()
            stack.extend(self._children.pop(gone, ()))
            self.files.pop(gone, None)
            self._by_hash.pop(path_hash(gone), None)
            if self.links.pop(gone, None) is not None:
                self._folders.clear()
            parent = gone.rpartition("/")[0]
            if (siblings := self._children.get(parent)) is not None:
                siblings.discard(gone)
        if keep_root:
            self._children.pop(path, None)

    def replace(self, files: Iterable[int], folders: Iterable[int]) -> None:
        """Take away what a layer's other entries (by `path_hash`) hide: below a file everything, at a folder a file or link."""
        known = self._by_hash.get
        for number in folders:  # a folder takes the place of a file or link; with a folder it is merged
            if (path := known(number)) is not None and (path in self.files or path in self.links):
                self.remove(path)
        for number in files:
            if (path := known(number)) is not None:
                self.remove(path)

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link at `path`."""
        path = self.resolve_parent(path)
        if path in self.files or path in self._children:
            self.remove(path)
        self.links[path] = target
        self._folders.clear()
        self._enter(path)

    def put(self, path: str, value: V) -> None:
        """Put a file at `path`; its folders are resolved through the links that are there."""
        path = self.resolve_parent(path)
        if path in self.links or path in self._children:
            self.remove(path)
        self.files[path] = value
        self._enter(path)

    def get(self, path: str) -> V | None:
        """Return what is at `path`, links followed, or None."""
        return self.files.get(self.resolve(path))

    def _enter(self, path: str) -> None:
        while path:
            parent = path.rpartition("/")[0]
            siblings = self._children.setdefault(parent, set())
            if path in siblings:
                return
            siblings.add(path)
            self._by_hash[path_hash(path)] = path
            path = parent

    def resolve_parent(self, path: str) -> str:
        """Return `path` with the links among its folders followed."""
        folder, slash, name = path.rpartition("/")
        if not slash:
            return path
        resolved = self._folders.get(folder)
        if resolved is None:
            resolved = self._folders[folder] = self.resolve(folder)
        return f"{resolved}/{name}" if resolved else name

    def resolve(self, path: str) -> str:
        """Return `path` with every link followed, inside the image; a cycle gives the path as it is, remembered in `cycles`."""
        if not self.links:
            return path
        todo = [part for part in reversed(path.split("/")) if part]
        done: list[str] = []
        followed = 0
        while todo:
            part = todo.pop()
            if part == ".":
                continue
            if part == "..":
                if done:
                    done.pop()
                continue
            done.append(part)
            target = self.links.get("/".join(done))
            if target is None:
                continue
            followed += 1
            if followed > self._max_links or len(todo) > 4096:
                self.cycles.add(path)
                return path
            done.pop()
            if target.startswith("/"):
                done.clear()
            todo.extend(item for item in reversed(target.split("/")) if item)
        return "/".join(done)
