"""The programs of the sensor: which of them this kernel takes, loaded together with shared maps, attached, detached.

Every hook is tried on its own terms: one that the kernel does not have is left out and named, the rest go on. The reader
of the missing names (`check`, the heartbeat) says in words what that costs.
"""

from __future__ import annotations

import errno
import logging
import os
import platform
import re
import struct
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path

from seawall.domain.errors import ConfigError

from seawall_sensor.calls import BY_OBJECT, HANDLERS, RENAMED, call_of_function, call_table, ends
from seawall_sensor.host import Host
from seawall_sensor.libbpf import (
    BTF_FUNC,
    BpfError,
    BpfObject,
    Map,
    function_prototype,
    has_tracepoint,
    kernel_has_type,
    pointers,
    tracepoint_pointers,
)
from seawall_sensor.records import CONTROL, KINDS, OPTIONS, Kind, layout
from seawall_sensor.ring import RingBuffer

log = logging.getLogger(__name__)

OBJECTS = ("process", "calls", "cgroups", "iouring", "lsm")
"""`calls` is two: see `Programs._load_calls`."""

END = "end_"
"""How the programs of ends.bpf.c begin; the function follows."""

PROGRAM_KINDS: dict[str, frozenset[Kind]] = {
    "on_sys_exit": frozenset(Kind) - {
        Kind.EXEC, Kind.EXIT, Kind.FORK, Kind.DNS, Kind.UDP_SEND, Kind.SIGNAL, Kind.CGROUP, Kind.ENFORCED, Kind.BLOCKED,
    },
    "on_exec": frozenset({Kind.EXEC}),
    "on_exit": frozenset({Kind.EXIT}),
    "on_fork": frozenset({Kind.FORK}),
    "on_signal": frozenset({Kind.SIGNAL}),
    "exit_open": frozenset({Kind.OPEN, Kind.READ, Kind.IN_USE}),
    "exit_path": frozenset({Kind.RENAME, Kind.UNLINK, Kind.CHMOD, Kind.LINK, Kind.OPEN, Kind.TIMES, Kind.FILE_CAPS}),
    "exit_mount": frozenset({Kind.MOUNT}),
    "exit_connect": frozenset({Kind.CONNECT, Kind.FLOW}),
    "exit_accept": frozenset({Kind.ACCEPT}),
    "exit_listen": frozenset({Kind.LISTEN}),
    "exit_socket": frozenset({Kind.SOCKET}),
    "exit_kernel": frozenset({
        Kind.PTRACE, Kind.NAMESPACE, Kind.MODULE, Kind.BPF, Kind.IO_URING, Kind.VM_WRITE, Kind.KERNEL_CALL,
    }),
    "exit_credentials": frozenset({Kind.CREDENTIALS}),
    "on_module_load": frozenset({Kind.MODULE}),
    "on_ring_create": frozenset({Kind.IO_URING}),
    "on_submit_req": frozenset({Kind.IO_URING}),
    "on_submit_sqe": frozenset({Kind.IO_URING}),
    "on_submit_to_ring": frozenset({Kind.IO_URING}),
    "dns_questions": frozenset({Kind.DNS}),
    "dns_answers": frozenset({Kind.DNS}),
    "on_sendmsg4": frozenset({Kind.UDP_SEND}),
    "on_sendmsg6": frozenset({Kind.UDP_SEND}),
    "may_connect4": frozenset(),
    "may_connect6": frozenset(),
    "on_socket_state": frozenset({Kind.FLOW, Kind.CONNECT}),
    "on_cgroup_mkdir": frozenset({Kind.CGROUP}),
    "on_cgroup_rmdir": frozenset({Kind.CGROUP}),
    "may_exec": frozenset(),
}  # fmt: skip
"""Program: the kinds of records that it gives. Those with none only enforce."""

_REFUSED = re.compile(r"prog '(\w+)': failed to (?:load|attach)")
_MAX_REFUSED = 3
_NO_TRAMPOLINES = frozenset({errno.EPERM, 524})
"""Errors of a kernel that has none at all; 524 is ENOTSUPP, which user space has no name for."""

INDISPENSABLE = frozenset({"on_exec", "on_exit"})
"""Programs without which there is no sensor."""

ENFORCING = frozenset({"may_connect4", "may_connect6", "may_exec"})

ENDS = "call_ends"
"""What `Hooks.attached` calls all the programs of ends.bpf.c together."""

ALTERNATIVES = ("on_submit_req", "on_submit_sqe", "on_submit_to_ring")
"""One hook in the forms that it has in different kernels: one of them is enough."""

PASSES = {"on_submit_sqe": ("io_kiocb",), "on_submit_to_ring": ("void", "void")}
"""Program: what its tracepoint's first arguments have to point to; others come under that name in other kernels."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is set before the programs load.

    `fold_s`: equal events within this time are counted, not sent (0 = all are sent). `flow_bytes`: connections that moved
    less give no flow. `tracepoints`: system calls are seen by their tracepoint even where the kernel has something cheaper. `direct`: the
    kernel's objects are read by plain loads where it allows that (6.2 and later). Ring sizes are bytes, powers of two.
    """

    kinds: frozenset[Kind] = frozenset(Kind)
    enforce: bool = False
    tracepoints: bool = False
    direct: bool = True
    fold_s: float = 5.0
    flow_bytes: int = 16384
    process_ring_bytes: int = 4 << 20
    event_ring_bytes: int = 8 << 20


@dataclass(slots=True)
class Hooks:
    """What became of the programs. `missing` maps a program to the reason in the kernel's words."""

    attached: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    trampolines: str = "not tried"
    """Why system calls are seen by their tracepoint, in the kernel's words; empty = they are not."""
    direct: bool = False
    """Whether the kernel's objects are read by plain loads."""
    by_object: frozenset[int] = frozenset()
    """Calls whose files are taken from the kernel's objects, not from the caller's names (`enum call`)."""

    def blind_kinds(self) -> set[Kind]:
        """Return the kinds of records that no attached program gives."""
        seen: set[Kind] = set()
        for program in self.attached:
            if program in ("on_sys_exit", ENDS):
                continue
            seen |= PROGRAM_KINDS.get(program, frozenset())
        wanted: set[Kind] = set()
        for program in self.missing:
            wanted |= PROGRAM_KINDS.get(program, frozenset())
        return wanted - seen


def objects_folder() -> Path:
    """Return where the compiled programs lie.

    Raises:
        ConfigError: they were not built.
    """
    folder = Path(__file__).parent / "_bpf"
    if not (folder / f"process.{platform.machine()}.bpf.o").is_file():
        raise ConfigError(
            f"the eBPF programs for {platform.machine()} are not in {folder}",
            hint="run `make sensor` in the source tree",
        )
    return folder


def takes_registers(function: str) -> bool:
    """Whether the running kernel has such a function of a system call and says where its arguments lie. 5.10 leaves
    `pt_regs` open in some; its verifier then refuses to look at them."""
    return kernel_has_type(function, BTF_FUNC) and pointers(function_prototype(function))[:1] == ("pt_regs",)


class Programs:
    """The loaded programs and their maps, from `start` to `close`."""

    def __init__(self, host: Host, options: Options) -> None:
        self.host, self.options = host, options
        self.hooks = Hooks()
        self.maps: dict[str, Map] = {}
        self._objects: dict[str, BpfObject] = {}
        self._sections: dict[str, str] = {}
        self._programs_by_object: dict[str, tuple[str, ...]] = {}
        self._loaded: dict[str, tuple[str, ...]] = {}
        self._direct = options.direct and kernel_has_type("bpf_rdonly_cast", BTF_FUNC)
        self._by_helper: set[str] = set()
        """Objects whose plain loads the kernel refused."""
        self._refused: dict[str, str] = {}
        """Programs that the kernel refused in any form, and why."""

    def start(self) -> None:
        """Load what the options need, then attach it, most important first.

        Raises:
            ConfigError: nothing can work here: no BTF, no privileges, or the kernel refuses the process programs.
        """
        if not kernel_has_type("task_struct"):
            raise ConfigError(
                "this kernel has no BTF (/sys/kernel/btf/vmlinux)", hint="CONFIG_DEBUG_INFO_BTF=y, Linux 5.8 or later"
            )
        folder = objects_folder()
        for name in OBJECTS:
            try:
                if name == "calls":
                    name = "syscalls"
                    self._load_calls(folder)
                else:
                    self._load(name, folder)
            except BpfError as error:
                if name == "process":
                    raise
                log.debug("kernel refused", extra={"object": name, "log": error.log})
                for program in self._programs_by_object.get(name, ()):
                    if self._reason_against(program, self._sections[program]) is None:
                        self.hooks.missing[program] = error.message
        self.hooks.direct = self._direct and not self._by_helper
        self._attach()

    def _load_calls(self, folder: Path) -> None:
        """Load what looks at system calls: at the end of the functions behind them where this kernel has trampolines, else
        behind the tracepoint that every call passes."""
        refused: set[str] = set()
        while not self.options.tracepoints and len(refused) <= _MAX_REFUSED:
            try:
                if "names" not in self._objects:
                    self.hooks.by_object = self._load_names(folder)
                source = self._open("ends", folder)
                functions = [program.removeprefix(END) for program in source.programs()]
                source.close()
                calls = self._calls() - self.hooks.by_object
                chosen = ends(functions, calls, lambda each: each not in refused and takes_registers(each))
                if not chosen:
                    if not refused:
                        self.hooks.trampolines = "this kernel does not describe the functions behind all of the calls"
                    break
                # A program calls another only when both are for functions of one prototype (6.12), and a kernel's types
                # can hold that of system calls twice.
                groups: dict[int, list[str]] = {}
                for function in chosen:
                    groups.setdefault(function_prototype(function), []).append(function)
                for number, group in enumerate(groups.values()):
                    self._load_ends(folder, number, group)
            except BpfError as error:
                self._forget()
                self.hooks.trampolines = error.message
                one = _REFUSED.search(error.log)
                if one is None or not one[1].startswith(END):
                    break
                # One function that can not be had, or tracing of functions as a whole: the next turn says which.
                refused.add(one[1].removeprefix(END))
            else:
                self.hooks.attached += self._loaded.get("names", ())
                self.hooks.trampolines = ""
                loaded = {each for name in self._loaded if name.startswith("syscalls") for each in self._loaded[name]}
                self.hooks.attached += [ENDS, *sorted(loaded & set(HANDLERS))]
                return
        self._forget()
        self._load("syscalls", folder)

    def _load_names(self, folder: Path) -> frozenset[int]:
        """Load and attach what takes files from the kernel's objects; return the calls that need nothing else then.

        Raises:
            BpfError: this kernel has no trampolines at all.
        """
        found = self._open("names", folder)
        programs = {section.partition("/")[2]: program for program, section in found.programs().items()}
        wanted, calls = [], frozenset[int]()
        for kind, covered, functions in BY_OBJECT:
            here = [each if kernel_has_type(each, BTF_FUNC) else RENAMED.get(each, each) for each in functions]
            if kind in self.options.kinds and all(kernel_has_type(each, BTF_FUNC) for each in here):
                wanted += [programs[each] for each in functions]
                calls |= frozenset(covered)
                for function, name in zip(functions, here, strict=True):
                    if name != function:
                        found.at_end_of(programs[function], name)
        for program in programs.values():
            if program not in wanted:
                found.leave_out(program)
        if not wanted:
            found.close()
            return calls
        try:
            self._finish("names", found, wanted)
            for program in wanted:
                found.attach(program)
        except BpfError as error:
            log.debug("kernel refused", extra={"object": "names", "log": error.log})
            found.close()
            self._forget()
            if error.errno in _NO_TRAMPOLINES:
                raise
            return frozenset()
        return calls

    def _load_ends(self, folder: Path, number: int, functions: list[str]) -> None:
        """Load and attach the programs at the ends of functions of one prototype, with handlers of their own."""
        self.maps.pop("handlers", None)
        calls = frozenset(call_of_function(each) for each in functions)
        self._load("syscalls", folder, group=f"syscalls {number}", at_end_of=functions[0], calls=calls)
        found = self._open("ends", folder)
        wanted = [END + each for each in functions]
        for program in found.programs():
            if program not in wanted:
                found.leave_out(program)
        self._finish(f"ends {number}", found, wanted)
        self._fill_handlers(f"syscalls {number}")
        for program in wanted:
            found.attach(program)

    def _forget(self) -> None:
        """Take back what was loaded for system calls."""
        for name in [each for each in self._objects if each.startswith(("ends", "syscalls", "names"))]:
            self._objects.pop(name).close()
            self._loaded.pop(name, None)
        self.maps.pop("handlers", None)
        self.hooks.by_object = frozenset()

    def _calls(self) -> frozenset[int]:
        """The calls that the wanted kinds of records come from."""
        return frozenset(
            call for program, calls in HANDLERS.items() if PROGRAM_KINDS[program] & self.options.kinds for call in calls
        )

    def _load(
        self,
        name: str,
        folder: Path,
        *,
        group: str = "",
        at_end_of: str = "",
        calls: frozenset[int] = frozenset(),
    ) -> None:
        """Load what is wanted of one object; its programs at the tracepoint of all calls for `at_end_of` a function instead,
        as far as `calls` need them (then kept as `group`)."""
        found = self._open(name, folder)
        programs = found.programs()
        self._programs_by_object[name] = tuple(programs)
        self._sections.update(programs)
        wanted = []
        for program, section in programs.items():
            reason = self._reason_against(program, section)
            if at_end_of and (program == "on_sys_exit" or self._elsewhere(program, calls)):
                reason = ""
            if reason is None:
                wanted.append(program)
                if at_end_of and program in HANDLERS:
                    found.at_end_of(program, at_end_of)
            else:
                found.leave_out(program)
                if reason:
                    self.hooks.missing[program] = reason
        if not wanted:
            found.close()
            return
        try:
            self._finish(group or name, found, wanted)
        except BpfError as error:
            if at_end_of:
                raise
            one = _REFUSED.search(error.log)
            if self._reads_directly(name):
                log.warning(
                    "kernel refused plain loads; reading by helper", extra={"object": name, "reason": error.message}
                )
                self._by_helper.add(name)
            elif one is not None and one[1] in wanted and one[1] not in INDISPENSABLE:
                # The rest may do without helpers too.
                self._by_helper.discard(name)
                self._refused[one[1]] = error.message
            else:
                raise
            self._load(name, folder)

    def _reads_directly(self, name: str) -> bool:
        return self._direct and name not in self._by_helper

    def _elsewhere(self, program: str, calls: frozenset[int]) -> bool:
        """Whether a program of a group of handlers is one that another group has, or that its `calls` do not need."""
        if program in HANDLERS:
            return not calls.intersection(HANDLERS[program])
        return any(program in loaded for loaded in self._loaded.values())

    def _open(self, name: str, folder: Path) -> BpfObject:
        machine = platform.machine()
        form = "direct." if self._reads_directly(name) else ""
        found = BpfObject(folder / f"{name}.{form}{machine}.bpf.o")
        if found.constants(".rodata.layout") != layout():
            found.close()
            raise ConfigError(
                f"{found.path.name} is of another version than this program: its records could not be read",
                hint="run `make sensor` in the source tree, or install both from one package",
            )
        return found

    def _finish(self, name: str, found: BpfObject, wanted: list[str]) -> None:
        for shared in self.maps.values():
            found.share(shared)
        if not self.maps:
            found.resize("process_ring", self.options.process_ring_bytes)
            found.resize("event_ring", self.options.event_ring_bytes)
        found.set_constants(".rodata.options", self._constants())
        if found.has_map(".rodata.calls"):
            found.set_constants(".rodata.calls", call_table(calls=self._calls()))
        try:
            found.load()
        except BpfError:
            found.close()
            raise
        self._objects[name] = found
        for shared_name in SHARED_MAPS:
            if shared_name not in self.maps and found.has_map(shared_name):
                self.maps[shared_name] = found.map(shared_name)
        self._loaded[name] = tuple(wanted)

    def _reason_against(self, program: str, section: str) -> str | None:
        """Return why a program is left out: empty = not needed, None = it is not."""
        if program in self._refused:
            return self._refused[program]
        if program in ENFORCING:
            if not self.options.enforce:
                return ""
        elif not PROGRAM_KINDS[program] & self.options.kinds:
            return ""
        kind, _, target = section.partition("/")
        if kind == "tp_btf" and not self._passes(program, target):
            if program in ALTERNATIVES and (
                program != ALTERNATIVES[0]
                or any(self._passes(each, self._sections[each].partition("/")[2]) for each in ALTERNATIVES)
            ):
                return ""
            return f"this kernel has no tracepoint {target} that says what is needed"
        if kind.startswith("cgroup") and self.host.cgroup2 is None:
            return "no cgroup v2 hierarchy is mounted"
        if kind == "lsm" and not self.host.has_bpf_lsm():
            if not self.host.security_modules():
                return "securityfs is not mounted (/sys/kernel/security), which says whether bpf is among the security modules"
            return "bpf is not among the security modules (lsm= on the kernel's command line)"
        return None

    @staticmethod
    def _passes(program: str, tracepoint: str) -> bool:
        """Whether the kernel has the tracepoint, with the arguments that the program reads."""
        wanted = PASSES.get(program, ())
        return has_tracepoint(tracepoint) and tracepoint_pointers(tracepoint)[: len(wanted)] == wanted

    def _constants(self) -> bytes:
        mask = 0
        for kind in self.options.kinds:
            mask |= 1 << kind
        if self.options.enforce:
            mask |= 1 << Kind.ENFORCED | 1 << Kind.BLOCKED
        return OPTIONS.pack(
            mask,
            int(self.options.fold_s * 1e9),
            self.options.flow_bytes,
            os.getpid(),
            self.host.mount_namespace,
            self.host.cgroup_subsystem,
            0,
        )

    def _attach(self) -> None:
        if "syscalls" in self._objects:
            self._fill_handlers("syscalls")
        for name, found in self._objects.items():
            for program in self._loaded[name]:
                if program in HANDLERS or name.startswith(("ends", "names")) or program in self.hooks.attached:
                    continue
                try:
                    if self._sections[program].startswith("cgroup"):
                        self._attach_cgroup(found, program)
                    else:
                        found.attach(program)
                except BpfError as error:
                    self.hooks.missing[program] = error.message
                    if program == "on_exec":
                        raise
                else:
                    self.hooks.attached.append(program)
                    if program == "on_sys_exit":
                        self.hooks.attached += [each for each in self._loaded[name] if each in HANDLERS]

    def _fill_handlers(self, name: str) -> None:
        syscalls = self._objects[name]
        handlers = syscalls.map("handlers")
        for program in self._loaded[name]:
            for call in HANDLERS.get(program, ()):
                handlers[struct.pack("<I", call)] = struct.pack("<I", syscalls.program_fd(program))

    def _attach_cgroup(self, found: BpfObject, program: str) -> None:
        fd = os.open(self.host.cgroup2 or "/", os.O_RDONLY | os.O_DIRECTORY)
        try:
            found.attach(program, cgroup_fd=fd)
        finally:
            os.close(fd)

    def ring(self, name: str, *, quiet: Container[bytes] = frozenset(), tail_at: int = 0) -> RingBuffer:
        """Return the reader of `process_ring` or `event_ring`; `quiet` and `tail_at` are `RingBuffer`'s."""
        found = self.maps[name]
        return RingBuffer(found.fd, found.max_entries, quiet=quiet, tail_at=tail_at)

    def losses(self) -> dict[tuple[str, int], int]:
        """Return what could not be sent since the start: (stage, kind) to number; stage is "ring" or "shed"."""
        found: dict[tuple[str, int], int] = {}
        for index in range(2 * KINDS):
            values = self.maps["losses"].get(struct.pack("<I", index), per_cpu=True)
            total = sum(value for (value,) in struct.iter_unpack("<Q", values or b""))
            if total:
                found["shed" if index >= KINDS else "ring", index % KINDS] = total
        return found

    def control(self, *, shed: frozenset[Kind] = frozenset()) -> None:
        """Switch kinds off while running; enforcement is on when the options say so."""
        mask = 0
        for kind in shed:
            mask |= 1 << kind
        self.maps["control"][struct.pack("<I", 0)] = CONTROL.pack(mask, self.options.enforce, 0)

    def close(self) -> None:
        """Detach and unload everything."""
        for found in reversed(self._objects.values()):
            found.close()
        self._objects.clear()


SHARED_MAPS = (
    "process_ring", "event_ring", "control", "losses", "cgroup_kinds", "folds", "scratches", "sensitive_names",
    "sensitive_folders", "socket_owners", "known_credentials", "policies", "listed_names", "blocked_networks",
    "used_files", "interpreters", "script_readers", "handlers",
)  # fmt: skip
"""Maps that every object declares (maps.h); the first object makes them, the others use them."""
