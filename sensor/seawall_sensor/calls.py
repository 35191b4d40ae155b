"""System call numbers of each architecture, as the table that `sensor/bpf/calls.h` asks for.

Source: asm/unistd_64.h, asm/unistd_32.h, asm-generic/unistd.h and arch/arm/tools/syscall.tbl of Linux 6.12. A 32-bit
program on a 64-bit kernel has other numbers: without them it would pass unseen.
"""

from __future__ import annotations

import platform
import re
import struct
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet

from seawall.domain.errors import ConfigError

from seawall_sensor.records import Kind

NUMBERS = 512

CALLS: dict[str, tuple[int, int, int, int, int]] = {
    # name: (enum call, x86-64, i386, arm64, arm); -1 = there is none
    "open": (1, 2, 5, -1, 5),
    "creat": (2, 85, 8, -1, 8),
    "openat": (3, 257, 295, 56, 322),
    "openat2": (4, 437, 437, 437, 437),
    "open_by_handle_at": (5, 304, 342, 265, 371),
    "truncate": (6, 76, 92, 45, 92),
    "truncate64": (6, -1, 193, -1, 193),
    "unlink": (7, 87, 10, -1, 10),
    "unlinkat": (8, 263, 301, 35, 328),
    "rmdir": (9, 84, 40, -1, 40),
    "rename": (10, 82, 38, -1, 38),
    "renameat": (11, 264, 302, 38, 329),
    "renameat2": (11, 316, 353, 276, 382),
    "link": (12, 86, 9, -1, 9),
    "linkat": (13, 265, 303, 37, 330),
    "symlink": (14, 88, 83, -1, 83),
    "symlinkat": (15, 266, 304, 36, 331),
    "chmod": (16, 90, 15, -1, 15),
    "fchmod": (17, 91, 94, 52, 94),
    "fchmodat": (18, 268, 306, 53, 333),
    "fchmodat2": (18, 452, 452, 452, 452),
    "mount": (19, 165, 21, 40, 21),
    "umount2": (20, 166, 52, 39, 52),
    "move_mount": (21, 429, 429, 429, 429),
    "pivot_root": (22, 155, 217, 41, 218),
    "connect": (23, 42, 362, 203, 283),
    "accept": (24, 43, -1, 202, 285),
    "accept4": (24, 288, 364, 242, 366),
    "listen": (25, 50, 363, 201, 284),
    "socket": (26, 41, 359, 198, 281),
    "ptrace": (27, 101, 26, 117, 26),
    "setns": (28, 308, 346, 268, 375),
    "unshare": (29, 272, 310, 97, 337),
    "clone": (30, 56, 120, 220, 120),
    "clone3": (31, 435, 435, 435, 435),
    "capset": (32, 126, 185, 91, 185),
    "setuid": (33, 105, 23, 146, 23),
    "setreuid": (33, 113, 70, 145, 70),
    "setresuid": (33, 117, 164, 147, 164),
    "setfsuid": (33, 122, 138, 151, 138),
    "setuid32": (33, -1, 213, -1, 213),
    "setreuid32": (33, -1, 203, -1, 203),
    "setresuid32": (33, -1, 208, -1, 208),
    "setgid": (34, 106, 46, 144, 46),
    "setregid": (34, 114, 71, 143, 71),
    "setresgid": (34, 119, 170, 149, 170),
    "setgid32": (34, -1, 214, -1, 214),
    "setregid32": (34, -1, 204, -1, 204),
    "setresgid32": (34, -1, 210, -1, 210),
    "init_module": (35, 175, 128, 105, 128),
    "finit_module": (36, 313, 350, 273, 379),
    "delete_module": (37, 176, 129, 106, 129),
    "bpf": (38, 321, 357, 280, 386),
    "io_uring_setup": (39, 425, 425, 425, 425),
    "process_vm_writev": (40, 311, 348, 271, 377),
    "ftruncate": (41, 77, 93, 46, 93),
    "ftruncate64": (41, -1, 194, -1, 194),
    "utime": (42, 132, -1, -1, -1),
    "utime32": (42, -1, 30, -1, -1),
    "utimes": (43, 235, -1, -1, -1),
    "utimes_time32": (43, -1, 271, -1, 269),
    "futimesat": (44, 261, -1, -1, -1),
    "futimesat_time32": (44, -1, 299, -1, 326),
    "utimensat": (45, 280, 412, 88, 412),
    "utimensat_time32": (45, -1, 320, -1, 348),
    "setxattr": (46, 188, 226, 5, 226),
    "lsetxattr": (46, 189, 227, 6, 227),
    "fsetxattr": (47, 190, 228, 7, 228),
    "setxattrat": (48, 463, 463, 463, 463),
    "fsmount": (49, 432, 432, 432, 432),
    "userfaultfd": (50, 323, 374, 282, 388),
    "pidfd_getfd": (51, 438, 438, 438, 438),
    "kexec_load": (52, 246, 283, 104, 347),
    "kexec_file_load": (53, 320, -1, 294, 401),
}

HANDLERS: dict[str, tuple[int, ...]] = {
    "exit_open": (1, 2, 3, 4, 5),
    "exit_path": (6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 41, 42, 43, 44, 45, 46, 47, 48),
    "exit_mount": (19, 20, 21, 22, 49),
    "exit_connect": (23,),
    "exit_accept": (24,),
    "exit_listen": (25,),
    "exit_socket": (26,),
    "exit_kernel": (27, 28, 29, 30, 31, 35, 36, 37, 38, 39, 40, 50, 51, 52, 53),
    "exit_credentials": (32, 33, 34),
}
"""Program of syscalls.bpf.c: the calls that it is reached for."""

BY_OBJECT: tuple[tuple[Kind, tuple[int, ...], tuple[str, ...]], ...] = (
    (Kind.UNLINK, (7, 8, 9), ("security_path_unlink", "do_unlinkat", "security_path_rmdir", "do_rmdir")),
    (Kind.RENAME, (10, 11), ("security_path_rename", "do_renameat2")),
    (Kind.LINK, (12, 13, 14, 15), ("security_path_link", "do_linkat", "security_path_symlink", "do_symlinkat")),
    (Kind.MOUNT, (19,), ("path_mount",)),
)
"""Calls whose files names.bpf.c takes from the kernel's objects, by the functions that it needs for them."""

RENAMED = {
    f"do_{each}": f"filename_{each}" for each in ("unlinkat", "rmdir", "renameat2", "linkat", "symlinkat")
}  # fmt: skip
"""Functions of names.bpf.c under the names that they have in 7.2; what they are given is the same."""

_COLUMNS = {"x86_64": (1, 2), "aarch64": (3, 4)}

_FUNCTION = re.compile(r"__(?:x64|ia32|arm64)_(?:compat_)?sys_(?:ia32_)?(\w+?)(?:16)?")
_FUNCTION_OF = {"umount2": "umount"}

_MAY_BE_ABSENT = frozenset({
    "fchmodat2", "openat2", "open_by_handle_at", "init_module", "finit_module", "delete_module", "io_uring_setup",
    "process_vm_writev", "setxattrat", "userfaultfd", "pidfd_getfd", "kexec_load", "kexec_file_load",
})  # fmt: skip
"""Calls that came after 5.8 or that a kernel can be built without: where their function is missing, so are they."""


def call_of_function(function: str) -> int:
    """Return the `enum call` of a function behind a system call, such as `__x64_sys_openat`; 0 = none of ours."""
    found = _FUNCTION.fullmatch(function)
    name = next(
        (name for name, known in _FUNCTION_OF.items() if found and known == found[1]), found[1] if found else ""
    )
    return CALLS[name][0] if name in CALLS else 0


def ends(
    functions: Iterable[str], calls: AbstractSet[int], exists: Callable[[str], bool], machine: str = ""
) -> list[str] | None:
    """Return the functions at whose end all of `calls` are seen; None when this kernel does not have them.

    `functions` are those that there are programs for; `exists` answers for this kernel. A 32-bit form is taken when it is
    there; one with a form of its own for 32-bit programs (`compat`) is reached by that alone.
    """
    machine = machine or platform.machine()
    native = {"x86_64": "__x64_sys_", "aarch64": "__arm64_sys_"}[machine]
    chosen = {each for each in functions if call_of_function(each) in calls and exists(each)}
    for name, row in CALLS.items():
        needed = native + _FUNCTION_OF.get(name, name)
        if row[0] in calls and row[_COLUMNS[machine][0]] >= 0 and name not in _MAY_BE_ABSENT and needed not in chosen:
            return None
    return sorted(each for each in chosen if not each.startswith("__ia32_sys_") or not _compat_forms(each) & chosen)


def _compat_forms(function: str) -> set[str]:
    name = function.removeprefix("__ia32_sys_")
    return {f"__ia32_compat_sys_{name}", f"__ia32_compat_sys_ia32_{name}"}


def call_table(machine: str = "", calls: AbstractSet[int] = frozenset(range(1, 64))) -> bytes:
    """Return `struct call_table` of `machine` (this one's by default): native numbers, then 32-bit ones.

    Only `calls` are in it: the tracepoint lets all others pass at its first look.

    Raises:
        ConfigError: an architecture without a table.
    """
    machine = machine or platform.machine()
    if machine not in _COLUMNS:
        raise ConfigError(f"no sensor for {machine}", hint="x86_64 and aarch64 are supported")
    tables = []
    for column in _COLUMNS[machine]:
        table = bytearray(NUMBERS)
        for row in CALLS.values():
            if row[column] >= 0 and row[0] in calls:
                table[row[column]] = row[0]
        tables.append(bytes(table))
    return struct.pack(f"{NUMBERS}s{NUMBERS}s", *tables)
