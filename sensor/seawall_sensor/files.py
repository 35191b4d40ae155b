"""What an interpreter was told to run, by its arguments."""

from __future__ import annotations

import os
import re

from seawall.detection.processes import is_loader

_INTERPRETER = re.compile(
    r"^(?:(?:ba|da|a|z|k|mk|c|tc)?sh|busybox|python[\d.]*|perl[\d.]*|ruby[\d.]*|php[\d.]*|node|nodejs|lua[\d.]*|pypy[\d.]*|deno|bun)$"
)
_INLINE = frozenset({"-c", "-e", "-r", "-m", "-E", "--eval", "-p", "--print"})
"""Options after which the program stands in the arguments, not in a file."""


def script_of(exe: str, args: tuple[str, ...], cwd: str) -> str:
    """Return the script that an interpreter was started for, absolute; empty when it is none or reads from elsewhere."""
    if is_loader(exe):
        return _loaded(args, cwd)
    if not _INTERPRETER.match(exe.rpartition("/")[2]):
        return ""
    rest = args[1:]
    if exe.endswith("busybox"):
        if not args or args[0].rpartition("/")[2].lstrip("-") not in ("sh", "ash", "busybox"):
            return ""
        if args[0].endswith("busybox"):
            if args[1:2] not in (("sh",), ("ash",)):
                return ""
            rest = args[2:]
    for argument in rest:
        if argument in _INLINE or (argument.startswith("-") and not argument.startswith("--") and "c" in argument[1:4]):
            return ""
        if not argument.startswith(("-", "+")):
            return os.path.normpath(argument if argument.startswith("/") else f"{cwd or '/'}/{argument}")
    return ""


_LOADER_TAKES_ONE = frozenset(
    {
        "--library-path", "--inhibit-rpath", "--audit", "--preload", "--argv0", "--glibc-hwcaps-mask",
        "--glibc-hwcaps-prepend",
    }
)  # fmt: skip
"""Options of ld.so(8) that the next argument belongs to."""


def _loaded(args: tuple[str, ...], cwd: str) -> str:
    """Return the program that the dynamic loader was told to run."""
    taken = False
    for argument in args[1:]:
        if taken:
            taken = False
        elif argument in _LOADER_TAKES_ONE:
            taken = True
        elif not argument.startswith("--"):
            return os.path.normpath(os.path.join(cwd or "/", argument))
    return ""


def runs_standard_input(args: tuple[str, ...]) -> bool:
    """Whether an interpreter that was told no script and no inline code reads its program from the standard input."""
    rest = args[1:]
    return all(argument in ("-", "-s", "-i") or argument.startswith("+") for argument in rest) or rest[:1] in (
        ("-s",),
        ("-",),
    )


_SOURCES = re.compile(r"(?:^|[\s;&|({])(?:\.|source)\s+[\"']?([^\s;&|\"')]+)")


def sources(args: tuple[str, ...], asked: str) -> bool:
    """Whether the arguments of a shell tell it to read the file `asked` as part of its script (`. FILE`)."""
    return bool(asked) and any(
        match == asked for argument in args[1:8] if asked in argument for match in _SOURCES.findall(argument[:4096])
    )
