"""Files as a process's own mount namespace sees them: scripts that interpreters run, and where they come from."""

from __future__ import annotations

import os
import re

_INTERPRETER = re.compile(
    r"^(?:(?:ba|da|a|z|k|mk|c|tc)?sh|busybox|python[\d.]*|perl[\d.]*|ruby[\d.]*|php[\d.]*|node|nodejs|lua[\d.]*|pypy[\d.]*|deno|bun)$"
)
_INLINE = frozenset({"-c", "-e", "-r", "-m", "-E", "--eval", "-p", "--print"})
"""Options after which the program stands in the arguments, not in a file."""
_TMPFS, _OVERLAY = "tmpfs", "overlay"


def script_of(exe: str, args: tuple[str, ...], cwd: str) -> str:
    """Return the script that an interpreter was started for, absolute; empty when it is none or reads from elsewhere."""
    if not _INTERPRETER.match(exe.rpartition("/")[2]):
        return ""
    rest = args[1:]
    if exe.endswith("busybox"):
        if not args or args[0].rpartition("/")[2].lstrip("-") not in ("sh", "ash", "busybox"):
            return ""
        if args[0].endswith("busybox"):
            rest = args[2:]
    for argument in rest:
        if argument in _INLINE or (argument.startswith("-") and not argument.startswith("--") and "c" in argument[1:4]):
            return ""
        if not argument.startswith(("-", "+")):
            return os.path.normpath(argument if argument.startswith("/") else f"{cwd or '/'}/{argument}")
    return ""


def script_origin(mountinfo: str, path: str) -> str:
    """Return where a file lies by the mounts (`/proc/PID/mountinfo`) of its process: image, upper, tmpfs, bind.

    Empty when it cannot be told: no mounts known, or the container's writable layer is gone already.
    """
    best, kind, options, source = "", "", "", ""
    root_options = ""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, about = left.split(), right.split()
        if len(fields) < 5 or len(about) < 3:
            continue
        folder = fields[4]
        if folder == "/":
            root_options = about[2]
        if (path == folder or path.startswith(folder.rstrip("/") + "/")) and len(folder) >= len(best):
            best, kind, source, options = folder, about[0], about[1], about[2]
    if not best:
        return ""
    if kind == _TMPFS:
        return "tmpfs"
    if kind != _OVERLAY:
        return "bind" if best != "/" and source and root_options.find("upperdir=") >= 0 else ""
    for option in options.split(","):
        if option.startswith("upperdir="):
            # lexists: links in the writable layer count as they are. The upper folder is on the node's side.
            inside = path[len(best.rstrip("/")) :]
            if not os.path.isdir(option[len("upperdir=") :]):
                return ""
            return "upper" if os.path.lexists(option[len("upperdir=") :] + inside) else "image"
    return "image"
