"""The decoder never raises, whatever a record holds; what it cannot read it counts."""

from __future__ import annotations

import os
import subprocess

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from seawall.domain.runtime_events import FileChmod, FileOpen, ProcessExec
from seawall_sensor import records
from seawall_sensor.containers import ContainerIndex
from seawall_sensor.decode import Decoder
from seawall_sensor.host import Host
from seawall_sensor.processes import ProcessCache
from seawall_sensor.records import HEAD, TAIL_AT, Kind

HOST = Host.here("node")
OWN, OTHER = HOST.mount_namespace, 4026532999


def decoder(**options) -> Decoder:
    processes = ProcessCache(proc="/nonexistent")
    return Decoder(HOST, processes, ContainerIndex(HOST, processes, root="/nonexistent"), **options)


def head(kind: int, *, namespace: int = OTHER, cgroup: int = 77, ts_ns: int = 5, pid: int = 4_000_000) -> bytes:
    return HEAD.pack(ts_ns, 3, cgroup, 0, pid, pid, 1, 0, 0, 0, 1, 1, b"sh", 0, 0, kind, namespace, 200)


def file(
    kind: int, path: str, *, mode: int = 0o100644, namespace: int = OWN, ts_ns: int = 5, sizes: tuple[int, ...] = ()
) -> bytes:
    raw = b"".join(part.encode() + b"\0" for part in reversed(path.strip("/").split("/")))
    sizes = sizes or (len(raw), 0, 0, 0, 0)
    return (
        head(kind, namespace=namespace, ts_ns=ts_ns)
        + records.FILE.pack(9, 1, records.OPEN_WRITES, mode, 0, *sizes, 0, 0, 0)
        + raw
    )


@pytest.mark.parametrize("kind", [*Kind, 0, 40, 4711, 65535])
@given(body=st.binary(max_size=700))
@example(body=b"")
@example(body=b"\xff" * 400)
@example(body=b"\0" * 400)
def test_any_bytes_are_events_or_counted(kind, body):
    found = decoder()
    found.foresee(found.sift([head(kind, namespace=OWN) + body]))
    events = found.decode(head(kind) + body)
    assert len(events) < 8
    assert all(msgspec.json.encode(event) for event in events)
    if kind not in list(Kind) or len(body) < 8:
        assert found.malformed == 1


@given(st.binary(max_size=120))
def test_heads_that_are_none_are_counted(raw):
    found = decoder()
    found.foresee(found.sift([raw]))
    found.decode(raw)
    assert len(raw) >= HEAD.size or found.malformed == 2


@pytest.mark.parametrize("sizes", [(65535,) * 5, (3, 65535, 1, 1, 1)])
def test_texts_end_with_their_record(sizes):
    (event,) = decoder().decode(file(Kind.OPEN, "/etc/cron.d/x", sizes=sizes))
    assert isinstance(event, FileOpen)
    assert len(event.path) < 100


def test_text_that_is_not_utf8_is_replaced():
    raw = b"\xff\xfe.conf\0etc\0"
    data = head(Kind.OPEN, namespace=OWN) + records.FILE.pack(
        9, 1, records.OPEN_WRITES, 0, 0, len(raw), 0, 0, 0, 0, 0, 0, 0
    )
    (event,) = decoder().decode(data + raw)
    assert event.path == "/etc/\ufffd\ufffd.conf"


def test_the_nodes_own_meaningless_files_are_sifted_and_known_afterwards():
    found = decoder()
    plain, watched = file(Kind.OPEN, "/var/lib/db/1.dat"), file(Kind.OPEN, "/etc/cron.d/x")
    assert found.sift([plain, watched]) == [watched]
    assert found.quiet == {plain[TAIL_AT:]}
    assert found.filtered == 1
    # Who did it and when make no difference to the tail; another mode, kind or namespace does.
    assert file(Kind.OPEN, "/var/lib/db/1.dat", ts_ns=99)[TAIL_AT:] in found.quiet
    for other in (
        file(Kind.CHMOD, "/var/lib/db/1.dat"),
        file(Kind.OPEN, "/var/lib/db/1.dat", namespace=OTHER),
        file(Kind.OPEN, "/var/lib/db/1.dat", mode=0o104755),
    ):
        assert other[TAIL_AT:] not in found.quiet


def test_setuid_given_to_any_file_is_told():
    found = decoder()
    kept = found.sift([file(Kind.CHMOD, "/var/lib/db/1.dat"), file(Kind.CHMOD, "/var/lib/db/1.dat", mode=0o104755)])
    assert [type(event) for data in kept for event in found.decode(data)] == [FileChmod]


def test_files_of_containers_are_never_quiet():
    found = decoder()
    data = file(Kind.OPEN, "/var/lib/db/1.dat", namespace=OTHER)
    assert found.sift([data]) == [data]
    assert not found.quiet


def test_what_is_remembered_is_bounded():
    found = decoder()
    for number in range(20_000):
        found.sift([file(Kind.OPEN, f"/var/lib/db/{number}")])
    assert len(found.quiet) <= 8192
    assert found.filtered == 20_000


def test_a_step_of_the_clock_shows_in_the_next_event(monkeypatch):
    found = decoder()
    data = file(Kind.OPEN, "/etc/cron.d/x")
    (before,) = found.decode(data)
    monkeypatch.setattr("seawall_sensor.decode.decoder.boot_offset_ns", lambda: found.enricher.offset_ns + 10**12)
    found.tick()
    (after,) = found.decode(data)
    assert after.ts_ns - before.ts_ns == 10**12
    assert after.seq == before.seq + 1


def test_an_exec_is_decoded():
    path, args = b"true\0bin\0", b"true\0-x\0"
    fields = [0] * 15
    fields[14] = b"\0\0\0"
    data = head(Kind.EXEC) + records.EXEC.pack(*fields, 0, len(path), 0, 0, len(args), 0, b"", 0, 0, b"", 0)
    (event,) = decoder().decode(data + bytes(8 * records.ANCESTOR.size) + path + args)
    assert isinstance(event, ProcessExec)
    assert (event.process.exe, event.process.args) == ("/bin/true", ("true", "-x"))


def test_a_folder_whose_name_is_no_text_can_be_told(tmp_path):
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    with subprocess.Popen(["sleep", "60"], cwd=folder) as running:
        try:
            processes = ProcessCache()
            processes.rebuild()
            entry = processes.peek(running.pid)
            assert msgspec.json.encode(entry.cwd).endswith('/\ufffd"'.encode())
        finally:
            running.kill()
