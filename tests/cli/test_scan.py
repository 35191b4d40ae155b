"""`seawall scan`, `db`, `verify`, `rescan`, `affected` as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.advisories import affected, record
from tests.support.images import Layout, tar_of
from tests.support.registry import running_registry

STATUS = """Package: libssl3
Status: install ok installed
Version: 3.0.8-1
Architecture: amd64
Source: openssl

Package: tar
Status: install ok installed
Version: 1.34
Architecture: amd64
"""
FILES = {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "var/lib/dpkg/status": STATUS,
    "usr/lib/python3/dist-packages/flask-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: Flask\nVersion: 1.0\n",
    "app/node_modules/lodash/package.json": '{"name": "lodash", "version": "4.17.20"}',
}
CRITICAL = [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]
RECORDS = [
    record("DEBIAN-CVE-2026-10001", affected("Debian:12", "openssl", ("introduced", "0"), ("fixed", "3.0.9-1")), upstream=["CVE-2026-10001"], severity=CRITICAL),
    record("DEBIAN-CVE-2026-2", affected("Debian:12", "tar", ("introduced", "0"), ecosystem_specific={"urgency": "unimportant"}), upstream=["CVE-2026-2"]),
    record("GHSA-1111-2222-3333", affected("npm", "lodash", ("introduced", "0"), ("fixed", "4.17.21")), aliases=["CVE-2026-3"], database_specific={"severity": "MODERATE"}),
]  # fmt: skip


def seawall(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "seawall.cli.main", *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, timeout=120,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "SEAWALL_DATA_DIR": str(cwd / "data"), **environment},
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with an image and an advisory file built by the command."""
    folder = tmp_path_factory.mktemp("cli")
    layout = Layout()
    layout.image([tar_of(FILES)], tag="1")
    layout.write(folder / "image")
    (folder / "osv.jsonl").write_text("\n".join(map(json.dumps, RECORDS)))
    (folder / "kev.json").write_text(
        json.dumps({"catalogVersion": "1", "vulnerabilities": [{"cveID": "CVE-2026-3", "dateAdded": "2026-01-01"}]})
    )
    run = seawall(
        "db", "build", "--from", "osv.jsonl", "--from", "kev.json", "--output", "data/advisories.db", cwd=folder
    )
    assert run.returncode == 0, run.stderr
    assert "3 new" in run.stdout
    return folder


def test_json_is_what_was_promised(place):
    run = seawall("scan", "oci:image", "--format", "json", cwd=place)
    assert (run.returncode, run.stderr) == (0, "")
    body = json.loads(run.stdout)
    assert list(body) == ["image", "packages", "findings", "gaps", "not_judged"]
    assert {"pkg:npm/lodash@4.17.20", "pkg:pypi/flask@1.0"} <= {item["purl"] for item in body["packages"]}
    findings = {item["id"]: item for item in body["findings"]}
    assert set(findings) == {"CVE-2026-10001", "CVE-2026-2", "CVE-2026-3"}
    assert findings["CVE-2026-10001"]["purl"].startswith("pkg:deb/debian/libssl3@3.0.8-1?")
    assert (
        findings["CVE-2026-10001"]["fixed_version"],
        findings["CVE-2026-10001"]["severity"],
        findings["CVE-2026-10001"]["cvss"],
    ) == ("3.0.9-1", "critical", 9.8)
    assert (findings["CVE-2026-3"]["in_kev"], findings["CVE-2026-3"]["aliases"]) == (True, ["GHSA-1111-2222-3333"])
    assert findings["CVE-2026-2"]["status"] == "wont_fix"
    assert body["gaps"] == []
    assert body["not_judged"] == [{"ecosystem": "PyPI", "packages": 1}], "no record is about PyPI"


@pytest.mark.parametrize(("level", "code"), [("low", 3), ("high", 3), ("critical", 3), ("CRITICAL", 3)])
def test_fail_on(place, level, code):
    assert seawall("scan", "oci:image", "--fail-on", level, cwd=place).returncode == code


def test_what_is_excepted_does_not_fail(place):
    (place / "policy.yaml").write_text(
        "ignore:\n  - {id: CVE-2026-10001, reason: not reachable, expires: 2999-01-01}\n"
    )
    run = seawall(
        "scan", "oci:image", "--fail-on", "high", "--ignore-file", "policy.yaml", "--format", "json", cwd=place
    )
    assert run.returncode == 0
    [suppressed] = [item for item in json.loads(run.stdout)["findings"] if item["id"] == "CVE-2026-10001"]
    assert (suppressed["status"], suppressed["status_reason"]) == ("suppressed", "not reachable (until 2999-01-01)")


@pytest.mark.parametrize("form", ["cyclonedx", "spdx", "sarif", "openvex", "cyclonedx-vex"])
def test_other_formats_go_to_a_file(place, form):
    run = seawall("scan", "oci:image", "-f", form, "-o", f"{form}.json", cwd=place)
    assert (run.returncode, run.stdout) == (0, "")
    assert json.loads((place / f"{form}.json").read_text())


@pytest.mark.parametrize("width", [60, 100, 160, 200])
def test_the_table_fits_and_says_what_matters(place, width):
    run = seawall("scan", "oci:image", cwd=place, COLUMNS=str(width))
    assert run.returncode == 0
    assert max(map(len, run.stdout.splitlines())) <= width
    for word in ("CVE-2026-10001", "libssl3", "3.0.9-1", "critical", "will not be fixed", "1 of PyPI"):
        assert word in " ".join(run.stdout.split()), word


def test_what_cannot_be_judged_is_not_called_clean(place):
    """An Alpine image, of which the advisory file holds nothing: no finding is no verdict."""
    layout = Layout()
    apk = "P:openssl\nV:1.1.1b-r1\nA:x86_64\no:openssl\n\n"
    layout.image([tar_of({"etc/os-release": "ID=alpine\nVERSION_ID=3.22.1\n", "lib/apk/db/installed": apk})], tag="1")
    layout.write(place / "alpine")
    text = " ".join(seawall("scan", "oci:alpine", cwd=place).stdout.split())
    assert "1 of Alpine:v3.22" in text
    assert "No open findings" not in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("scan", "./kev.json"), ("scan", "./nowhere"), ("scan", "oci:nowhere"), ("scan", "oci:image", "--format", "xml"), ("scan", "oci:image", "--fail-on", "bad"),
        ("scan", "oci:image", "--db", "none.db"), ("scan", "oci:image", "--db", "kev.json"), ("scan", "oci:image", "--vex", "kev.json"),
        ("scan", "oci:image", "--ignore-file", "none.yaml"), ("scan", "127.0.0.1:9/x/y:1"), ("scan", "oci:image", "--attest"),
        ("db", "build", "--from", "nothing", "--output", "x.db"), ("db", "info", "kev.json"), ("affected", "CVE-1999-0001"),
        ("verify", "127.0.0.1:9/x/y:1", "--key", "none.pub"),
    ],
    ids=lambda arguments: " ".join(arguments),
)  # fmt: skip
def test_errors_are_one_clear_line_and_exit_2(place, arguments):
    run = seawall(*arguments, cwd=place)
    assert run.returncode == 2, run.stdout + run.stderr
    assert run.stdout == ""
    assert run.stderr.startswith("seawall: ")
    assert len(run.stderr.strip().splitlines()) == 1
    assert "Traceback" not in run.stderr


def test_only_the_severities_that_were_asked_for(place):
    run = seawall("scan", "./image", "--severity", "low,medium", "--fail-on", "critical", "-f", "json", cwd=place)
    assert run.returncode == 3
    assert {item["severity"] for item in json.loads(run.stdout)["findings"]} == {"medium"}
    assert "2 findings of other severities are not shown" in run.stderr
    assert seawall("scan", "./image", "--severity", "worst", cwd=place).returncode == 2


def test_a_bill_of_materials_needs_no_advisories(place, tmp_path):
    run = seawall("scan", place / "image", "-f", "cyclonedx", cwd=tmp_path)
    body = json.loads(run.stdout)
    assert run.returncode == 0
    assert "packages only" in run.stderr
    assert {item["name"] for item in body["components"]} >= {"libssl3", "lodash"}
    assert not body.get("vulnerabilities")
    refused = seawall("scan", place / "image", "-f", "cyclonedx", "--fail-on", "high", cwd=tmp_path)
    assert (refused.returncode, "no advisory file" in refused.stderr) == (2, True)


def test_info_says_what_a_file_holds(place):
    run = seawall("db", "info", "--format", "json", "--verify", cwd=place)
    facts = json.loads(run.stdout)
    assert (facts["advisories"], facts["ecosystems"], facts["kev"]) == (3, {"Debian": 2, "npm": 1}, 1)


def test_update_takes_a_folder_as_a_mirror_and_says_what_changed(place, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "a.jsonl").write_text(json.dumps(RECORDS[0]))
    first = seawall("db", "update", "--mirror", mirror, cwd=tmp_path)
    assert "1 new, 0 changed, 0 gone" in first.stdout, first.stderr
    (mirror / "a.jsonl").write_text("\n".join(map(json.dumps, RECORDS[1:])))
    assert "2 new, 0 changed, 1 gone" in seawall("db", "update", "--mirror", mirror, cwd=tmp_path).stdout


@pytest.mark.real("registry")
def test_attest_verify_and_rescan(place, tmp_path):
    """The whole way of an image in a registry: scanned and signed, verified, stored, touched by a new advisory."""
    from contextlib import closing

    from seawall.adapters.registry.client import HttpRegistry
    from seawall.adapters.registry.transport import HostSettings
    from seawall.domain.images import ImageReference

    with running_registry(tmp_path / "registry") as running:
        layout = Layout()
        entry = layout.image([tar_of(FILES)])
        reference = ImageReference(running.host, "team/app", tag="1")
        with closing(HttpRegistry(lambda _host: None, {running.host: HostSettings(plain_http=True)})) as registry:
            for content in layout.blobs.values():
                registry.push_blob(reference, content)
            registry.push_manifest(reference, layout.blobs[entry["digest"]], entry["mediaType"])
        config = tmp_path / "seawall.yaml"
        config.write_text(
            json.dumps({"data_dir": str(place / "data"), "registries": {running.host: {"plain_http": True}}})
        )
        subprocess.run(
            ["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", tmp_path / "key.pem"], check=True
        )
        subprocess.run(
            ["openssl", "ec", "-in", tmp_path / "key.pem", "-pubout", "-out", tmp_path / "key.pub"],
            check=True,
            capture_output=True,
        )
        target, key = f"{running.host}/team/app:1", tmp_path / "key.pub"
        environment = {"SEAWALL_CONFIG": str(config)}
        before = seawall("verify", target, "--key", key, cwd=tmp_path, **environment)
        assert (before.returncode, "no signed findings" in before.stderr) == (2, True), before.stderr
        scanned = seawall(
            "scan",
            target,
            "--attest",
            "--key",
            tmp_path / "key.pem",
            "-f",
            "json",
            cwd=tmp_path,
            SEAWALL_CONFIG=str(config),
            SEAWALL_DATA_DIR=str(place / "data"),
        )
        assert scanned.returncode == 0, scanned.stderr
        assert "attached as sha256:" in scanned.stderr
        verified = seawall("verify", target, "--key", key, "-f", "json", cwd=tmp_path, **environment)
        assert verified.returncode == 0, verified.stderr
        facts = json.loads(verified.stdout)
        assert (facts["digest"], facts["summary"]["critical"]) == (entry["digest"], 1)
        assert (
            seawall("verify", target, "--key", key, "--fail-on", "critical", cwd=tmp_path, **environment).returncode
            == 3
        )


def test_what_an_image_says_cannot_command_the_terminal(place, tmp_path):
    layout = Layout()
    layout.image(
        [
            tar_of(
                {
                    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Deb\x1b]0;title\x07ian"\n',
                    "var/lib/dpkg/status": STATUS
                    + "\nPackage: bash\nStatus: install ok installed\nVersion: 1\x1b[2J\n",
                    "app/node_modules/p1/package.json": '{"name": "lod\u202eash", "version": "4.17.20"}',
                    "app\x1b[31m\u202e/node_modules/lodash/package.json": '{"name": "lodash", "version": "4.17.20"}',
                }
            )
        ],
        tag="1",
    )
    layout.write(tmp_path / "image")
    target, database = f"oci:{tmp_path / 'image'}:1", place / "data/advisories.db"
    shown = seawall("scan", target, "--db", database, cwd=tmp_path, COLUMNS="200")
    assert shown.returncode == 0, shown.stderr
    assert [char for char in shown.stdout if not char.isprintable() and char != "\n"] == []
    assert "Deb\ufffd]0;title" in shown.stdout
    assert "app\ufffd[31m\ufffd/node_modules" in shown.stdout
    body = json.loads(seawall("scan", target, "--db", database, "--format", "json", cwd=tmp_path).stdout)
    assert {item["name"] for item in body["packages"]} == {"libssl3", "tar", "lodash"}
    assert {gap["where"] for gap in body["gaps"]} == {"var/lib/dpkg/status", "app/node_modules/p1/package.json"}
