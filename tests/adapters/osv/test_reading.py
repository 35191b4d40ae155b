"""Sources in every form, told apart by content; what cannot be read is counted, not fatal."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seawall.adapters.osv.file import mark_rescanned, open_file, open_rescanned, write_file
from seawall.adapters.osv.reading import read_source
from seawall.adapters.signers.local import LocalSigner
from seawall.domain.errors import ConfigError, InputError, Unauthenticated
from seawall.vulnerability.advisory_build import Builder
from seawall.vulnerability.advisory_format import CorruptAdvisoryFile

from tests.support.advisories import affected, build, record

ONE = record("GHSA-1", affected("PyPI", "a", ("introduced", "0")))
TWO = record("GHSA-2", affected("PyPI", "b", ("introduced", "0")))
LINES = "\n".join(json.dumps(item) for item in (ONE, TWO)).encode()
KEV = json.dumps(
    {
        "catalogVersion": "2026.11.01",
        "vulnerabilities": [{"cveID": "CVE-2026-1", "dateAdded": "2026-01-01"}, {"bad": 1}],
    }
).encode()
EPSS = b"#model_version:v2025.03.14,score_date:2026-03-28T12:55:00Z\ncve,epss,percentile\nCVE-2026-1,0.5,0.9\nCVE-2026-2,broken,0\nCVE-2026-3,7,0\n"
FACTS = b'{"cve":"CVE-2026-1","cvss":[{"source":"cna","vector":"CVSS:3.1/AV:N","score":7.5}],"ssvc":{"exploitation":"poc"},"exploitdb":[1]}\n{"cve":"CVE-2026-2"}\n'


def zipped(*documents: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, document in enumerate(documents):
            archive.writestr(f"{number}.json", document)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "records", "facts"),
    [
        pytest.param(json.dumps(ONE).encode(), 1, 0, id="one-document"),
        pytest.param(json.dumps(ONE, indent=2).encode(), 1, 0, id="one-indented-document"),
        pytest.param(LINES, 2, 0, id="json-lines"),
        pytest.param(b"\n\n" + LINES + b"\n\n", 2, 0, id="json-lines-with-empty-lines"),
        pytest.param(json.dumps([ONE, TWO]).encode(), 2, 0, id="list"),
        pytest.param(json.dumps({"vulns": [ONE, TWO]}, indent=1).encode(), 2, 0, id="api-answer"),
        pytest.param(gzip.compress(LINES), 2, 0, id="gzip"),
        pytest.param(zstandard.compress(LINES), 2, 0, id="zstandard"),
        pytest.param(zipped(json.dumps(ONE).encode(), json.dumps(TWO, indent=1).encode()), 2, 0, id="zip"),
        pytest.param(KEV, 0, 1, id="kev"),
        pytest.param(gzip.compress(EPSS), 0, 1, id="epss"),
        pytest.param(EPSS + b"CVE-2026-4,0.1\r1,0\nCVE-2026-5,0.1,0\n", 0, 2, id="epss-with-a-line-that-is-no-csv"),
        pytest.param(FACTS, 0, 2, id="facts"),
        pytest.param(FACTS + b'{"cve":"CVE-2026-\xd3"}\n' + FACTS, 0, 4, id="facts-with-a-line-that-is-not-utf-8"),
    ],
)
def test_forms(tmp_path, content, records, facts):
    path = tmp_path / "source"
    path.write_bytes(content)
    report = read_source(path, Builder())
    assert (report.records, report.facts) == (records, facts)


def test_a_folder_is_read_whole_and_a_bad_record_costs_only_itself(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.json").write_text(json.dumps(ONE))
    (tmp_path / "two.jsonl").write_bytes(LINES + b'\n{"id": 5}\nnot json\n{"no": "id"}\n')
    (tmp_path / "broken.gz").write_bytes(gzip.compress(LINES)[:-20])
    (tmp_path / "README.md").write_text("not data")
    builder = Builder()
    report = read_source(tmp_path, builder)
    assert report.records >= 3
    assert report.rejected >= 4
    assert any("two.jsonl:3" in reason for reason in report.reasons)


@pytest.mark.parametrize(
    ("at", "why"),
    [pytest.param(30, "name", id="name"), pytest.param(60, "contents", id="contents")],
)
def test_a_member_of_an_archive_that_is_damaged_costs_only_itself(tmp_path, at, why):
    """Of its local header, which is read last: the name in another encoding, the contents cut."""
    content = bytearray(zipped(json.dumps(ONE).encode(), json.dumps(TWO).encode()))
    content[at] = 0xEE
    if why == "name":
        content[6:8] = (0x800).to_bytes(2, "little")  # "the name is UTF-8"
    path = tmp_path / "all.zip"
    path.write_bytes(content)
    report = read_source(path, Builder())
    assert (report.records, report.rejected) == (1, 1)
    assert report.reasons[0].startswith("0.json")


def test_enrichment_lands_on_its_cve(tmp_path):
    for name, content in (("kev", KEV), ("epss", EPSS), ("facts", FACTS)):
        (tmp_path / name).write_bytes(content)
    builder = Builder()
    read_source(tmp_path, builder)
    fact = builder.enrichment.by_cve["CVE-2026-1"]
    assert (fact.kev, fact.epss, fact.cvss, fact.exploitation, fact.exploits) == ("2026-01-01", 0.5, 7.5, "poc", 1)
    assert builder.enrichment.dates == {"kev": "2026.11.01", "epss": "2026-03-28"}
    assert "CVE-2026-3" not in builder.enrichment.by_cve


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\x1f\x8b",
        b"PK\x03\x04",
        b"\x28\xb5\x2f\xfd",
        b"[" * 50_000,
        b"{}",
        b'{"id":"\xd3"}',
        b'{"\xd3":1}\n',
    ],
)
def test_what_holds_no_advisories_is_an_error(tmp_path, content):
    path = tmp_path / "source"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no advisories"):
        read_source(path, Builder())


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300) | st.sampled_from([LINES, KEV, EPSS, FACTS, gzip.compress(LINES), zipped(LINES)]).flatmap(lambda raw: st.integers(0, len(raw)).map(lambda at: raw[:at])))  # fmt: skip
def test_arbitrary_bytes_give_records_or_an_input_error(tmp_path, content):
    path = tmp_path / "source"
    path.write_bytes(content)
    try:
        read_source(path, Builder())
    except InputError:
        return


def test_the_file_on_disk_is_replaced_atomically_and_checked(tmp_path):
    path = tmp_path / "deep" / "advisories.db"
    write_file(path, build(ONE))
    held = open_file(path)
    write_file(path, build(ONE, TWO))
    assert len(list(held.packages())) == 1
    assert len(list(open_file(path).packages())) == 2
    assert [item.name for item in path.parent.iterdir()] == ["advisories.db"]


def test_files_that_are_not_there_or_not_ours_say_so(tmp_path):
    with pytest.raises(ConfigError, match="no advisory file"):
        open_file(tmp_path / "none")
    for content, message in ((b"", "empty"), (b"\0" * 4096, "not an advisory file")):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(CorruptAdvisoryFile, match=message):
            open_file(tmp_path / "x")


def test_signatures_are_checked_where_a_key_is_given(tmp_path):
    import base64

    signer = LocalSigner.from_file(tmp_path / "key.pem", create=True)
    other = LocalSigner.from_file(tmp_path / "other.pem", create=True)
    signed = build(
        ONE,
        sign=lambda payload: {"key_id": signer.key_id, "signature": base64.b64encode(signer.sign(payload)).decode()},
    )
    write_file(tmp_path / "signed.db", signed)
    write_file(tmp_path / "plain.db", build(ONE))
    assert (
        open_file(tmp_path / "signed.db", public_key_pem=signer.public_key_pem()).id
        == open_file(tmp_path / "plain.db").id
    )
    for path, key in (("signed.db", other), ("plain.db", signer)):
        with pytest.raises(Unauthenticated, match="not signed by the expected key"):
            open_file(tmp_path / path, public_key_pem=key.public_key_pem())


def test_what_was_rescanned_is_remembered(tmp_path):
    path = tmp_path / "advisories.db"
    assert open_rescanned(path) is None
    write_file(path, build(ONE))
    mark_rescanned(path)
    write_file(path, build(ONE, TWO))
    before = open_rescanned(path)
    assert before is not None
    assert open_file(path).changed_since(before).added == ("GHSA-2",)
