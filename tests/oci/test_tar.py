"""The tar reader against Python's own, and against archives that lie."""

import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seawall.domain.errors import InputError, SeawallError, TooLarge
from seawall.oci.limits import Limits
from seawall.oci.tar import DIRECTORY, FILE, HARDLINK, OTHER, SYMLINK, TarReader

from tests.support.images import Link, tar_of


def entries(content: bytes, *, limits: Limits = Limits(), chunk: int = 1 << 20):  # noqa: B008 - frozen
    refused: list[tuple[str, str]] = []
    chunks = (content[at : at + chunk] for at in range(0, len(content), chunk))
    reader = TarReader(chunks, limits, lambda path, reason: refused.append((path, reason)))
    found = [(entry, reader.read() if entry.kind is FILE else b"") for entry in reader]
    return found, refused


LONG = "a-folder-of-some-length/" * 12 + "file.txt"
NAMES = st.text(st.characters(exclude_characters="\0/\\", codec="utf-8"), min_size=1, max_size=120).filter(
    lambda name: name not in (".", "..") and name.strip() == name
)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("chunk", [1, 511, 512, 513, 1 << 20])
def test_forms(form, chunk):
    path = "x/" * 40 + "file.txt" if form == tarfile.USTAR_FORMAT else LONG
    content = tar_of({"d": None, path: "content" * 200, "l": Link("../up"), "h": Link(path, hard=True)}, form)
    found, refused = entries(content, chunk=chunk)
    assert [(entry.path, entry.kind, entry.link, data) for entry, data in found] == [
        ("d", DIRECTORY, "", b""),
        (path, FILE, "", b"content" * 200),
        ("l", SYMLINK, "../up", b""),
        ("h", HARDLINK, path, b""),
    ]
    assert refused == []


@settings(max_examples=60)
@given(
    st.dictionaries(NAMES, st.binary(max_size=2000), max_size=8),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.integers(1, 3000),
)
def test_what_tarfile_writes_we_read(files, form, chunk):
    found, refused = entries(tar_of(files, form), chunk=chunk)
    assert {entry.path: data for entry, data in found} == {name.rstrip("/"): data for name, data in files.items()}
    assert refused == []


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("./a//b/./c", "a/b/c"),
        ("/etc/passwd", "etc/passwd"),
        ("a/../../etc/passwd", None),
        ("../x", None),
        ("..", None),
        ("a/..b/c", "a/..b/c"),
        ("d/" * 300 + "deep", None),
    ],
)
def test_paths(written, read):
    member = tarfile.TarInfo(written)
    content = member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    found, refused = entries(content)
    assert [entry.path for entry, _ in found] == ([read] if read else [])
    assert len(refused) == (read is None)


def header(**fields: object) -> bytearray:
    member = tarfile.TarInfo("file")
    for name, value in fields.items():
        setattr(member, name, value)
    return bytearray(member.tobuf(tarfile.GNU_FORMAT))


def resealed(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def test_headers_that_lie():
    damaged = header()
    damaged[10] ^= 0xFF
    with pytest.raises(InputError, match="checksum"):
        entries(bytes(damaged) + bytes(1024))
    negative = header()
    negative[124:136] = b"-7777777777\0"
    with pytest.raises(InputError, match="negative"):
        entries(resealed(negative))
    huge = header()
    huge[124:136] = b"\x80" + b"\xff" * 11
    with pytest.raises(InputError, match="negative"):
        entries(resealed(huge))
    with pytest.raises(InputError, match="cut off"):
        entries(bytes(header(size=1 << 40)) + b"short")
    with pytest.raises(InputError, match="within a header"):
        entries(bytes(header())[:300])


def test_an_absurd_extended_header_is_passed_over():
    member = header(size=4 << 20, type=b"x")
    content = bytes(member) + b"9" * (4 << 20) + tar_of({"after": "x"})
    found, refused = entries(content)
    assert [entry.path for entry, _ in found] == ["after"]
    assert refused == [("", "extended header of 4194304 bytes, at most 1048576 are read")]


def test_large_numbers_and_special_files():
    content = bytes(header(type=tarfile.FIFOTYPE, name="pipe")) + bytes(header(type=tarfile.CHRTYPE, name="dev"))
    found, _ = entries(content + bytes(1024))
    assert [(entry.path, entry.kind) for entry, _ in found] == [("pipe", OTHER), ("dev", OTHER)]
    base_256 = header()
    base_256[124:136] = b"\x80" + (700).to_bytes(11, "big")
    found, _ = entries(resealed(base_256) + b"y" * 700 + bytes(324) + bytes(1024))
    assert found[0][1] == b"y" * 700


def test_sparse_files_are_passed_over():
    content = (
        tar_of({"a": "1"})[:1024]
        + bytes(header(type=tarfile.GNUTYPE_SPARSE, size=512))
        + bytes(512)
        + tar_of({"b": "2"})
    )
    reader = TarReader(iter([content]), Limits(), lambda *_: None)
    read = {}
    for entry in reader:
        try:
            read[entry.path] = reader.read()
        except InputError as error:
            read[entry.path] = error.message
    assert read == {"a": b"1", "file": "sparse file", "b": b"2"}


def test_a_million_entries_stop_at_the_limit():
    content = tar_of({f"f{number}": "" for number in range(50)})
    with pytest.raises(TooLarge, match="over 49 entries"):
        entries(content, limits=Limits(entries=49))


@settings(max_examples=300)
@given(st.binary(max_size=3000), st.integers(1, 1000))
def test_arbitrary_bytes(content, chunk):
    try:
        entries(content, chunk=chunk)
    except SeawallError:
        return


@settings(max_examples=200)
@given(st.data())
def test_damaged_archives(data):
    content = bytearray(tar_of({LONG: "x" * 600, "b": Link("c"), "d/e": "y" * 10, "é" * 80: "z"}))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        entries(bytes(content[: data.draw(st.integers(0, len(content)))]))
    except SeawallError:
        return


@pytest.mark.parametrize("chunk", [1, 7, 512, 1 << 20])
@pytest.mark.parametrize("kept", [0, 1, 511], ids=lambda kept: f"{kept}-bytes-of-padding")
def test_an_archive_may_end_behind_its_last_file(kept, chunk):
    content = tar_of({"a": "1" * 600, "b": "xyz"})
    end = content.index(b"xyz") + 3
    found, refused = entries(content[: end + kept], chunk=chunk)
    assert [(entry.path, data) for entry, data in found] == [("a", b"1" * 600), ("b", b"xyz")]
    assert refused == []
    with pytest.raises(InputError, match="cut off"):
        entries(content[: end - 1], chunk=chunk)


def test_empty():
    assert entries(b"") == ([], [])
    assert entries(bytes(10240)) == ([], [])
