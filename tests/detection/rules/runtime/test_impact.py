"""Data held to ransom or destroyed."""

from __future__ import annotations

import pytest
from seawall.domain.runtime_events import FileRename

from tests.detection.runtime_events import BUILD, HOST, Case, Cases, event, raised, ran, rows, wrote


def renamed(number: int, ending: str, *, pid: int = 4000) -> FileRename:
    path = f"/data/report{number}.docx"
    return event(FileRename, "mv a b", path=path, target=path + ending, at=number / 10, pid=pid)


CASES: Cases = {
    "RT-1201": (
        [wrote("/data/README_RESTORE_FILES.txt"), wrote("/data/HOW_TO_DECRYPT.html"), wrote("/srv/akira_readme.txt")],
        [wrote("/data/README.md"), wrote("/data/README.txt"), wrote("/data/HOW_TO_DECRYPT.html", where=BUILD)],
    ),
    "RT-1202": (
        [[renamed(n, ".locked") for n in range(30)], [renamed(n, ".akira", pid=5000 + n) for n in range(30)],
         [wrote(f"/data/{n}.doc.locked", "openssl enc", pid=5000 + n, at=n / 10) for n in range(30)]],
        [
            [renamed(n, ".1") for n in range(30)], [renamed(n, ".locked") for n in range(10)],
            [wrote(f"/data/{n}.json.lock", at=n / 10) for n in range(30)], [wrote(f"/dist/{n}.js.0a1b2c3d", at=n / 10) for n in range(30)],
            [wrote(f"/data/{n}.locked", at=n / 10) for n in range(30)],
            [event(FileRename, "uv sync", path=f"/p/.tmpAb{n}", target=f"/p/{n}.lock", at=n / 10) for n in range(30)],
        ],
    ),
    "RT-1203": (
        [ran("shred -u /data/a"), ran("mkfs.ext4 /dev/sdb"), ran("sh -c 'rm -rf /data/*'"), ran("dd if=/dev/zero of=/dev/sda")],
        [ran("rm -rf /tmp/x"), ran("mkfs.ext4 /dev/loop0"), ran("shred -u /data/a", where=HOST), ran("dd if=/dev/zero of=/data/x")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "case", "fires"), rows(CASES))
def test_impact(rule: str, case: Case, fires: bool) -> None:
    assert raised(rule, case) is fires
