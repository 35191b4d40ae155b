"""libbpf by `ctypes`: object files opened, configured, loaded and attached; maps read and written.

Only what the sensor needs, each function with its types. Source: libbpf's bpf/libbpf.h, bpf/bpf.h and bpf/btf.h (1.0 or
later). What libbpf prints goes to the log at debug level; the last lines become the message of a failure.
"""

from __future__ import annotations

import ctypes
import logging
import mmap
import os
import struct
from collections import deque
from collections.abc import Iterator
from ctypes import POINTER, c_bool, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

from seawall.domain.errors import ConfigError

log = logging.getLogger(__name__)

_SIGNATURES: tuple[tuple[str, Any, list[Any]], ...] = (
    ("bpf_object__open_file", c_void_p, [c_char_p, c_void_p]),
    ("bpf_object__load", c_int, [c_void_p]),
    ("bpf_object__close", None, [c_void_p]),
    ("bpf_object__next_program", c_void_p, [c_void_p, c_void_p]),
    ("bpf_object__next_map", c_void_p, [c_void_p, c_void_p]),
    ("bpf_program__name", c_char_p, [c_void_p]),
    ("bpf_program__section_name", c_char_p, [c_void_p]),
    ("bpf_program__set_autoload", c_int, [c_void_p, c_bool]),
    ("bpf_program__set_expected_attach_type", c_int, [c_void_p, c_int]),
    ("bpf_program__set_attach_target", c_int, [c_void_p, c_int, c_char_p]),
    ("bpf_program__attach", c_void_p, [c_void_p]),
    ("bpf_program__attach_cgroup", c_void_p, [c_void_p, c_int]),
    ("bpf_program__fd", c_int, [c_void_p]),
    ("bpf_link__destroy", c_int, [c_void_p]),
    ("bpf_map__name", c_char_p, [c_void_p]),
    ("bpf_map__fd", c_int, [c_void_p]),
    ("bpf_map__key_size", c_uint32, [c_void_p]),
    ("bpf_map__value_size", c_uint32, [c_void_p]),
    ("bpf_map__max_entries", c_uint32, [c_void_p]),
    ("bpf_map__set_max_entries", c_int, [c_void_p, c_uint32]),
    ("bpf_map__reuse_fd", c_int, [c_void_p, c_int]),
    ("bpf_map__initial_value", c_void_p, [c_void_p, POINTER(c_size_t)]),
    ("bpf_map_update_elem", c_int, [c_int, c_char_p, c_char_p, ctypes.c_uint64]),
    ("bpf_map_lookup_elem", c_int, [c_int, c_char_p, c_void_p]),
    ("bpf_map_delete_elem", c_int, [c_int, c_char_p]),
    ("bpf_map_get_next_key", c_int, [c_int, c_char_p, c_void_p]),
    ("libbpf_num_possible_cpus", c_int, []),
    ("libbpf_set_print", c_void_p, [c_void_p]),
    ("btf__load_vmlinux_btf", c_void_p, []),
    ("btf__find_by_name_kind", ctypes.c_int32, [c_void_p, c_char_p, c_uint32]),
    ("btf__type_by_id", c_void_p, [c_void_p, c_uint32]),
    ("btf__name_by_offset", c_char_p, [c_void_p, c_uint32]),
)

BTF_POINTER, BTF_STRUCT, BTF_ENUM, BTF_TYPEDEF, BTF_FUNC = 2, 4, 6, 8, 12
"""Kinds of types, linux/btf.h."""
_QUALIFIERS = frozenset({BTF_TYPEDEF, 9, 10, 11})
"""Kinds that only lead to another type: typedef, volatile, const, restrict."""

BPF_TRACE_FEXIT = 25
"""`enum bpf_attach_type`, linux/bpf.h."""

_LIBBPF_DEBUG = 2
_TYPE, _ENUMERATOR, _PARAMETER = struct.Struct("<3I"), struct.Struct("<Ii"), struct.Struct("<2I")
"""`struct btf_type`, `struct btf_enum` and `struct btf_param`, linux/btf.h."""

_printed: deque[str] = deque(maxlen=100)
# A verifier's log is up to 16 MB and its reason stands at the end. Pages that are never written cost nothing.
_pages = mmap.mmap(-1, 16 << 20)
_text = (ctypes.c_char * len(_pages)).from_buffer(_pages)


def _print(_level: int, form: bytes, arguments: int) -> int:
    """Keep what libbpf says: it is the only place where the reason of a refusal stands."""
    if _level == _LIBBPF_DEBUG:
        return 0
    length = _libc().vsnprintf(ctypes.byref(_text), len(_text), form, c_void_p(arguments))
    end = min(max(length, 0), len(_text) - 1)
    _printed.append(_pages[max(end - 8000, 0) : end].decode(errors="replace").rstrip())
    return 0


_PRINT = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)(_print)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@cache
def _libbpf() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        raise ConfigError(
            "libbpf.so.1 was not found", hint="install libbpf 1.0 or later (Debian: libbpf1, Fedora: libbpf)"
        ) from error
    for name, result, arguments in _SIGNATURES:
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.libbpf_set_print(ctypes.cast(_PRINT, c_void_p))
    return library


_ENOTSUPP = 524
"""Of the kernel's own numbers (linux/errno.h): a kind of program or attachment that this architecture does not have."""


class BpfError(ConfigError):
    """The kernel refused a program or a map. `errno` is its number, `log` what libbpf and the verifier said."""

    def __init__(self, what: str, number: int, log_text: str = "") -> None:
        reason = "not supported by this kernel" if number == _ENOTSUPP else os.strerror(number) if number else "refused"
        super().__init__(f"{what}: {reason}", hint=_hint(number))
        self.errno = number
        self.log = log_text


def _hint(number: int) -> str:
    if number in (1, 13):
        return "needs root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN"
    return ""


def _failed(what: str) -> BpfError:
    text = "\n".join(_printed)
    log.debug("libbpf refused", extra={"what": what, "log": text[-8000:]})
    return BpfError(what, ctypes.get_errno(), text)


def possible_cpus() -> int:
    """Number of processors that per-CPU maps have a value for."""
    return int(_libbpf().libbpf_num_possible_cpus())


@cache
def _vmlinux() -> int:
    return int(_libbpf().btf__load_vmlinux_btf() or 0)


def kernel_has_type(name: str, kind: int = BTF_STRUCT) -> bool:
    """Whether the running kernel's BTF has a type of that name; False without BTF."""
    return bool(_vmlinux()) and _type_number(name, kind) > 0


@cache
def _type_number(name: str, kind: int) -> int:
    # libbpf walks all types of the kernel each time.
    return int(_libbpf().btf__find_by_name_kind(_vmlinux(), name.encode(), kind))


def _type(number: int) -> tuple[int, str, int, int, int]:
    """Return (address, name, kind, number of members, size or referred type) of a type of the running kernel."""
    at = int(_libbpf().btf__type_by_id(_vmlinux(), number))
    name, info, other = _TYPE.unpack(ctypes.string_at(at, _TYPE.size))
    return at, _libbpf().btf__name_by_offset(_vmlinux(), name).decode(), info >> 24 & 0x1F, info & 0xFFFF, other


def function_prototype(name: str) -> int:
    """Return the number of a kernel function's prototype in the kernel's BTF; 0 when it has no such function."""
    return _type(_type_number(name, BTF_FUNC))[4] if kernel_has_type(name, BTF_FUNC) else 0


def pointers(prototype: int) -> tuple[str, ...]:
    """Return what each parameter of a prototype points to: the name of a structure that the kernel's BTF describes, `void`,
    `?` for anything else that is pointed to; empty = it is no pointer."""
    at, _, _, parameters, _ = _type(prototype)
    return tuple(
        _pointed(_PARAMETER.unpack(ctypes.string_at(at + _TYPE.size + _PARAMETER.size * index, _PARAMETER.size))[1])
        for index in range(parameters)
    )


def _pointed(number: int) -> str:
    through = False
    while number:
        _, name, kind, _, other = _type(number)
        if kind not in _QUALIFIERS and (through or kind != BTF_POINTER):
            return (name if kind == BTF_STRUCT else "?") if through else ""
        through |= kind == BTF_POINTER
        number = other
    return "void" if through else ""


@cache
def tracepoint_pointers(name: str) -> tuple[str, ...]:
    """Return the `pointers` of what a tracepoint passes; empty when the running kernel has no such tracepoint."""
    if not has_tracepoint(name):
        return ()
    pointer = _type(_type_number(f"btf_trace_{name}", BTF_TYPEDEF))[4]
    return pointers(_type(pointer)[4])[1:]


@cache
def enum_value(enumeration: str, name: str) -> int | None:
    """Return the value of `name` in an enumeration of the running kernel; None when there is no such name or no BTF."""
    if not _vmlinux():
        return None
    library = _libbpf()
    number = library.btf__find_by_name_kind(_vmlinux(), enumeration.encode(), BTF_ENUM)
    if number <= 0:
        return None
    at, _, _, members, _ = _type(number)
    for index in range(members):
        row = ctypes.string_at(at + _TYPE.size + _ENUMERATOR.size * index, _ENUMERATOR.size)
        offset, value = _ENUMERATOR.unpack(row)
        if library.btf__name_by_offset(_vmlinux(), offset) == name.encode():
            return int(value)
    return None


def has_tracepoint(name: str) -> bool:
    """Whether a program can be attached to `tp_btf/<name>`."""
    return kernel_has_type(f"btf_trace_{name}", BTF_TYPEDEF)


class Map:
    """A map by its descriptor: keys and values as bytes in the kernel's layout."""

    def __init__(self, name: str, fd: int, key_bytes: int, value_bytes: int, max_entries: int) -> None:
        self.name, self.fd = name, fd
        self.key_bytes, self.value_bytes, self.max_entries = key_bytes, value_bytes, max_entries

    def __setitem__(self, key: bytes, value: bytes) -> None:
        if len(key) != self.key_bytes or len(value) != self.value_bytes:
            raise ValueError(
                f"{self.name}: {self.key_bytes} and {self.value_bytes} bytes, got {len(key)}, {len(value)}"
            )
        if _libbpf().bpf_map_update_elem(self.fd, key, value, 0):
            raise _failed(f"map {self.name}")

    def get(self, key: bytes, *, per_cpu: bool = False) -> bytes | None:
        """Return the value, for a per-CPU map those of all possible processors, each rounded up to 8 bytes."""
        size = (self.value_bytes + 7) // 8 * 8 * possible_cpus() if per_cpu else self.value_bytes
        value = ctypes.create_string_buffer(size)
        return None if _libbpf().bpf_map_lookup_elem(self.fd, key, value) else value.raw

    def discard(self, key: bytes) -> None:
        """Remove the key if it is there."""
        _libbpf().bpf_map_delete_elem(self.fd, key)

    def keys(self) -> Iterator[bytes]:
        """Yield the keys; entries that come or go meanwhile may be missed. At most `max_entries`."""
        following = ctypes.create_string_buffer(self.key_bytes)
        key: bytes | None = None
        for _ in range(self.max_entries):
            if _libbpf().bpf_map_get_next_key(self.fd, key, following):
                return
            key = following.raw
            yield key

    def mapped(self) -> mmap.mmap:
        """Return the values of an array map (made with BPF_F_MMAPABLE) as shared memory."""
        size = -(-((self.value_bytes + 7) // 8 * 8 * self.max_entries) // mmap.PAGESIZE) * mmap.PAGESIZE
        return mmap.mmap(self.fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)


class BpfObject:
    """One object file: open, choose and configure, `load`, `attach`; `close` detaches everything."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lib = _libbpf()
        _printed.clear()
        self._object = self._lib.bpf_object__open_file(os.fsencode(path), None)
        if not self._object:
            raise _failed(f"open {path.name}")
        self._programs: dict[str, int] = {}
        program = None
        while program := self._lib.bpf_object__next_program(self._object, program):
            self._programs[self._lib.bpf_program__name(program).decode()] = program
        self._maps: dict[str, int] = {}
        found = None
        while found := self._lib.bpf_object__next_map(self._object, found):
            self._maps[self._lib.bpf_map__name(found).decode()] = found
        self._links: list[int] = []

    def programs(self) -> dict[str, str]:
        """Name of every program: its section, such as `tp_btf/sys_exit`."""
        return {name: self._lib.bpf_program__section_name(program).decode() for name, program in self._programs.items()}

    def has_map(self, name: str) -> bool:
        """Whether the object declares a map of that name."""
        return name in self._maps

    def leave_out(self, program: str) -> None:
        """Do not load this program."""
        self._lib.bpf_program__set_autoload(self._programs[program], False)

    def at_end_of(self, program: str, function: str) -> None:
        """Load a program as one for the end of a kernel function, whatever its section says."""
        handle = self._programs[program]
        if self._lib.bpf_program__set_expected_attach_type(handle, BPF_TRACE_FEXIT) or (
            self._lib.bpf_program__set_attach_target(handle, 0, function.encode())
        ):
            raise _failed(f"end of {function}")

    def share(self, other: Map) -> None:
        """Use a map that another object made, if this one declares it."""
        if other.name in self._maps and self._lib.bpf_map__reuse_fd(self._maps[other.name], other.fd):
            raise _failed(f"share map {other.name}")

    def resize(self, name: str, entries: int) -> None:
        """Set the number of entries (of a ring: bytes, a power of two) before loading."""
        if self._lib.bpf_map__set_max_entries(self._maps[name], entries):
            raise _failed(f"resize {name}")

    def set_constants(self, section: str, data: bytes) -> None:
        """Set the `const volatile` variable that lies alone in `section`; only before `load`."""
        size = c_size_t()
        address = self._lib.bpf_map__initial_value(self._maps[section], ctypes.byref(size))
        if len(data) != size.value:
            raise ConfigError(
                f"{section} of {self.path.name} has {size.value} bytes, not {len(data)}", hint="run `make sensor`"
            )
        ctypes.memmove(address, data, len(data))

    def constants(self, section: str) -> bytes:
        """Return what the variable that lies alone in `section` holds; empty when there is none."""
        if section not in self._maps:
            return b""
        size = c_size_t()
        address = self._lib.bpf_map__initial_value(self._maps[section], ctypes.byref(size))
        return ctypes.string_at(address, size.value)

    def load(self) -> None:
        """Load what was not left out.

        Raises:
            BpfError: the kernel or its verifier refused; `log` says why.
        """
        _printed.clear()
        if self._lib.bpf_object__load(self._object):
            raise _failed(f"load {self.path.name}")

    def map(self, name: str) -> Map:
        """Return a map of the loaded object."""
        found = self._maps[name]
        lib = self._lib
        return Map(
            name,
            lib.bpf_map__fd(found),
            lib.bpf_map__key_size(found),
            lib.bpf_map__value_size(found),
            lib.bpf_map__max_entries(found),
        )

    def program_fd(self, name: str) -> int:
        """Return the descriptor of a loaded program."""
        return int(self._lib.bpf_program__fd(self._programs[name]))

    def attach(self, program: str, *, cgroup_fd: int | None = None) -> None:
        """Attach by the section's name, or a cgroup program to a folder of the cgroup2 file system."""
        handle = self._programs[program]
        if cgroup_fd is None:
            link = self._lib.bpf_program__attach(handle)
        else:
            link = self._lib.bpf_program__attach_cgroup(handle, cgroup_fd)
        if not link:
            raise _failed(f"attach {program}")
        self._links.append(link)

    def close(self) -> None:
        """Detach and unload."""
        while self._links:
            self._lib.bpf_link__destroy(self._links.pop())
        if self._object:
            self._lib.bpf_object__close(self._object)
            self._object = None
