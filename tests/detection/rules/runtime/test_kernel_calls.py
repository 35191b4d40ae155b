"""Calls that few programs make."""

from __future__ import annotations

import pytest
from seawall.detection.engine import Engine
from seawall.domain.runtime_events import KernelCall
from seawall.domain.severity import Severity

from tests.detection.runtime_events import HOST, POD, RULES, Case, Cases, caps, event, raised, read, rows


def call(name: str, command: str = "x", **more) -> KernelCall:
    return event(KernelCall, command, call=name, **more)


CASES: Cases = {
    "RT-0918": (
        [read("/etc/shadow", "x", by_handle=True), read("/srv/a", "x", by_handle=True)],
        [read("/etc/shadow", "x"), read("/srv/a", "ganesha.nfsd", by_handle=True), read("/srv/a", "x", by_handle=True, where=HOST)],
    ),
    "RT-0919": (
        [call("kexec_load"), call("kexec_file_load", result=1), call("kexec_file_load", where=HOST)],
        [call("kexec_file_load", "kexec -p x", where=HOST), call("userfaultfd", flags=1)],
    ),
    "RT-0920": (
        [call("userfaultfd"), call("userfaultfd", result=1)],
        [
            call("userfaultfd", flags=1), call("userfaultfd", "qemu-system-x86_64"), call("userfaultfd", where=HOST),
            call("userfaultfd", caps=caps("sys_ptrace")),
        ],
    ),
    "RT-0921": (
        [call("pidfd_getfd"), call("pidfd_getfd", target_pid=7, target_exe="/usr/sbin/sshd")],
        [call("pidfd_getfd", result=1), call("pidfd_getfd", "gdb"), call("pidfd_getfd", where=HOST)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "case", "fires"), rows(CASES))
def test_kernel_calls(rule: str, case: Case, fires: bool) -> None:
    assert raised(rule, case) is fires


@pytest.mark.parametrize(
    ("where", "severity"),
    [
        pytest.param(POD.id, Severity.LOW, id="of the same container"),
        pytest.param("", Severity.HIGH, id="of the node"),
        pytest.param("d" * 64, Severity.HIGH, id="of another container"),
    ],
)
def test_whose_descriptor_is_taken(where, severity):
    taken = call("pidfd_getfd", target_pid=7, target_exe="/usr/sbin/sshd", target_container=where)
    assert [alert.severity for alert in Engine([RULES["RT-0921"]]).process(taken)] == [severity]
