"""The records in C and in Python have the same sizes and offsets, for both architectures."""

from __future__ import annotations

import pytest
from seawall.domain.errors import ConfigError
from seawall_sensor import records
from seawall_sensor.btf import section, structures
from seawall_sensor.calls import CALLS, HANDLERS, NUMBERS, call_table
from seawall_sensor.host import Host
from seawall_sensor.loader import Options, Programs, objects_folder

HEAD = records.HEAD.size


@pytest.mark.real("ebpf")
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_layout(programs, machine):
    found: dict[str, tuple[int, dict[str, int]]] = {}
    for name in ("process", "syscalls", "cgroups"):
        found |= structures(section(objects_folder() / f"{name}.{machine}.bpf.o", ".BTF"))
    assert found["head"][0] == HEAD
    places = {
        "start_ns": records.START_AT, "cgroup": records.CGROUP_AT, "pid": records.PID_AT, "ppid": records.PPID_AT,
        "comm": records.COMM_AT, "cpu": records.CPU_AT, "kind": records.KIND_AT, "mnt_ns": records.NAMESPACE_AT,
    }  # fmt: skip
    assert {name: found["head"][1][name] for name in places} == places
    assert found["exec_record"][1]["ns_pid"] == records.NS_PID_AT
    assert found["exec_record"][0] == records.EXEC_BYTES
    assert found["exec_record"][1]["ancestors"] == HEAD + records.EXEC.size
    # The other records are local to functions and have no BTF: the compiler holds them to these sizes (records.h).
    sizes = [records.EXIT.size, records.FILE.size, records.NET.size, records.KERNEL.size, records.DNS.size]
    assert [HEAD + size for size in sizes] == [112, 136, 168, 144, 128]
    assert found["options"][0] == records.OPTIONS.size
    assert found["policy"][0] == records.POLICY.size
    assert found["network_key"][0] == records.NETWORK_KEY.size


@pytest.mark.real("ebpf")
def test_objects_of_another_version_are_refused_at_start(programs, tmp_path, monkeypatch):
    built = objects_folder()
    for each in built.iterdir():
        content = each.read_bytes()
        assert content.count(records.layout()) == 1
        (tmp_path / each.name).write_bytes(content.replace(records.layout(), records.layout()[:-2] + b"\x88\0"))
    monkeypatch.setattr("seawall_sensor.loader.objects_folder", lambda: tmp_path)
    with pytest.raises(ConfigError, match="of another version") as caught:
        Programs(Host.here(), Options()).start()
    assert "make sensor" in caught.value.hint


def test_every_call_has_a_handler():
    handled = {call for calls in HANDLERS.values() for call in calls}
    assert {row[0] for row in CALLS.values()} == handled


def test_call_tables_have_no_two_calls_at_one_number():
    for column in range(1, 5):
        numbers = [row[column] for row in CALLS.values() if row[column] >= 0]
        assert len(numbers) == len(set(numbers))
        assert max(numbers) < NUMBERS
    assert call_table("x86_64")[257] == CALLS["openat"][0]
