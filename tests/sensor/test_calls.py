"""Which functions are looked at for which system calls, on kernels that have them, have some, or have none."""

from __future__ import annotations

import pytest
from seawall.catalog import collect
from seawall.detection.declaration import Detection
from seawall.domain.runtime_events import Connect, Mount, ProcessExec
from seawall_sensor.calls import CALLS, HANDLERS, call_of_function, call_table, ends
from seawall_sensor.check import kinds_of
from seawall_sensor.files import script_of
from seawall_sensor.host import Host
from seawall_sensor.libbpf import BTF_FUNC, function_prototype, has_tracepoint, kernel_has_type
from seawall_sensor.loader import ALTERNATIVES, Options, Programs
from seawall_sensor.records import Kind

ALL = frozenset(call for calls in HANDLERS.values() for call in calls)
FUNCTIONS = [
    f"__{form}_sys_{ {'umount2': 'umount'}.get(name, name) }"
    for name in CALLS
    for form in ("x64", "ia32", "ia32_compat")
    if not name.endswith(("64", "32"))
]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("__x64_sys_openat", "openat"),
        ("__x64_sys_umount", "umount2"),
        ("__ia32_sys_setuid16", "setuid"),
        ("__ia32_sys_ia32_truncate64", "truncate64"),
        ("__ia32_compat_sys_ia32_clone", "clone"),
        ("__arm64_sys_unlinkat", "unlinkat"),
    ],
)
def test_the_call_of_a_function(function, name):
    assert call_of_function(function) == CALLS[name][0]


def test_others_are_none_of_ours():
    assert call_of_function("__x64_sys_read") == 0
    assert call_of_function("security_file_open") == 0


def test_all_calls_natively_and_for_32_bit():
    found = ends(FUNCTIONS, ALL, lambda _: True, "x86_64")
    assert found is not None
    assert {call_of_function(each) for each in found if each.startswith("__x64")} == ALL
    assert "__ia32_compat_sys_openat" in found
    assert "__ia32_sys_openat" not in found  # the compat form is the one that 32-bit programs reach


def test_a_function_that_is_missing_means_the_tracepoint():
    assert ends(FUNCTIONS, ALL, lambda each: each != "__x64_sys_openat", "x86_64") is None
    assert ends(FUNCTIONS, ALL, lambda _: False, "x86_64") is None


def test_a_call_that_an_old_kernel_lacks_does_not():
    assert ends(FUNCTIONS, ALL, lambda each: "fchmodat2" not in each, "x86_64")


def test_only_what_is_needed():
    found = ends(FUNCTIONS, frozenset(HANDLERS["exit_connect"]), lambda _: True, "x86_64")
    assert found == ["__ia32_compat_sys_connect", "__x64_sys_connect"]
    assert sum(map(bool, call_table("x86_64", frozenset(HANDLERS["exit_connect"])))) == 2


@pytest.mark.parametrize(
    ("args", "program"),
    [
        (("/lib64/ld-linux-x86-64.so.2", "/dev/shm/x", "y"), "/dev/shm/x"),
        (("ld.so", "--library-path", "/l", "--argv0", "sshd", "x"), "/srv/x"),
        (("ld.so", "--list"), ""),
    ],
)
def test_what_the_loader_was_told_to_run(args, program):
    assert script_of("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", args, "/srv") == program


@pytest.mark.parametrize(
    ("args", "script"),
    [
        (("busybox", "sh", "a.sh"), "/srv/a.sh"),
        (("sh", "/x/a.sh"), "/x/a.sh"),
        (("busybox", "ip", "addr"), ""),
        (("busybox",), ""),
        (("ip", "addr"), ""),
    ],
)
def test_the_script_of_a_multi_call_shell(args, script):
    assert script_of("/bin/busybox", args, "/srv") == script


@pytest.mark.real("ebpf")
@pytest.mark.bpf
def test_both_ways_of_reading_the_kernel_s_objects_load_here(programs):
    attached = []
    for direct in (True, False):
        loaded = Programs(Host.here(), Options(direct=direct, enforce=True))
        try:
            loaded.start()
            attached.append(set(loaded.hooks.attached))
        finally:
            loaded.close()
        assert loaded.hooks.direct is (direct and kernel_has_type("bpf_rdonly_cast", BTF_FUNC))
    assert attached[0] == attached[1] > {"on_exec"}


@pytest.mark.real("ebpf")
@pytest.mark.bpf
@pytest.mark.parametrize("direct", [True, False])
def test_a_program_that_the_kernel_refuses_costs_no_other_one(programs, monkeypatch, direct):
    absent = next(each for each in ALTERNATIVES if not has_tracepoint(each.replace("on_", "io_uring_", 1)))
    reasons = Programs._reason_against
    monkeypatch.setattr(
        Programs,
        "_reason_against",
        lambda self, program, section: (
            None if program == absent and program not in self._refused else reasons(self, program, section)
        ),
    )
    loaded = Programs(Host.here(), Options(direct=direct))
    try:
        loaded.start()
        attached, missing, reads = set(loaded.hooks.attached), loaded.hooks.missing, loaded.hooks.direct
    finally:
        loaded.close()
    assert absent in missing
    assert "iouring" in missing[absent]
    assert {"on_ring_create", "on_exec"} <= attached
    assert reads is (direct and kernel_has_type("bpf_rdonly_cast", BTF_FUNC)), "its neighbours are read as before"


@pytest.mark.real("ebpf")
@pytest.mark.bpf
def test_functions_of_one_prototype_are_known(programs):
    prototypes = {function_prototype(f"__x64_sys_{each}") for each in ("openat", "unlinkat", "connect", "mount")}
    assert 0 not in prototypes
    assert function_prototype("no_such_function") == 0


@pytest.mark.real("ebpf")
@pytest.mark.bpf
@pytest.mark.parametrize(
    ("on", "handlers"),
    [
        pytest.param(ProcessExec, set(), id="programs only"),
        pytest.param(Connect, {"exit_connect"}, id="connections"),
        pytest.param(Mount, {"exit_mount"}, id="mounts"),
    ],
)
def test_hooks_that_no_rule_needs_are_not_attached(programs, on, handlers):
    rules = [rule for rule in collect("seawall.detection.rules.runtime", Detection) if rule.on is on]
    loaded = Programs(Host.here(), Options(kinds=kinds_of(rules[:1]) - {Kind.IN_USE}))
    try:
        loaded.start()
        attached = set(loaded.hooks.attached)
    finally:
        loaded.close()
    assert attached & set(HANDLERS) == handlers
    assert bool(attached & {"on_sys_exit", "call_ends"}) is bool(handlers)
    assert not attached & {"dns_questions", "on_fork", "on_signal", "on_ring_create", "may_exec"}
