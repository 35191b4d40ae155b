"""A small file system of a test's own, and what can be wrong with it."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Disk:
    """A small file system of its own."""

    folder: Path

    def fill(self) -> None:
        """Take every byte that is left."""
        with (self.folder / "filler").open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        (self.folder / "filler").unlink()

    def take_inodes(self) -> None:
        try:
            for number in range(10_000):
                (self.folder / f"inode-{number}").touch()
        except OSError:
            return

    def give_inodes(self) -> None:
        for path in self.folder.glob("inode-*"):
            path.unlink()

    def read_only(self) -> None:
        """By a mount over it: the kernel refuses the plain way while the counters are mapped."""
        subprocess.run(["mount", "--bind", str(self.folder), str(self.folder)], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", str(self.folder)], check=True)

    def writable(self) -> None:
        subprocess.run(["umount", str(self.folder)], check=True)

    def remove(self) -> None:
        shutil.rmtree(self.folder / "state")

    def leave(self) -> None:
        """Nothing to mend: the folder is made again."""

    def limit(self) -> None:
        self._limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, self._limit[1]))

    def unlimit(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limit)


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """Mount 1 MB with 200 inodes at a new folder (as root)."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=200", "seawall-test", str(folder)], check=True)
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
