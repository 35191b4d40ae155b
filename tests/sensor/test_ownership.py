"""Whose a file is: by the real databases of real images, and by whatever hostile content stands in their place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seawall_sensor.inside import Root
from seawall_sensor.ownership import Index, Owners, normal


class Folder:
    """A folder that stands for the root of process 1."""

    def __init__(self, tmp_path: Path, root: Path | None = None) -> None:
        self.proc, self.root = tmp_path / "proc", root or tmp_path / "root"
        self.root.mkdir(exist_ok=True)
        (self.proc / "1").mkdir(parents=True)
        (self.proc / "1/root").symlink_to(self.root)

    def write(self, path: str, content: str | bytes) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    def owners(self, *paths: str) -> list[list[str]]:
        with Root.of(1, str(self.proc)) as root:
            found = Owners(root)
            return [sorted(set(found.of(path, root))) for path in paths]


def test_dpkg_with_and_without_merged_usr(tmp_path):
    folder = Folder(tmp_path)
    folder.write(
        "/var/lib/dpkg/info/libc6:amd64.list", "/.\n/lib\n/lib/x86_64-linux-gnu\n/lib/x86_64-linux-gnu/libc.so.6\n"
    )
    folder.write("/var/lib/dpkg/info/bash.list", "/bin\n/bin/bash\n")
    assert folder.owners("/usr/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6", "/usr/bin/bash") == [
        ["deb/libc6"], ["deb/libc6"], ["deb/bash"],
    ]  # fmt: skip
    assert folder.owners("/usr/lib/x86_64-linux-gnu", "/usr/bin/nobash") == [[], []]


def test_distroless(tmp_path):
    folder = Folder(tmp_path)
    folder.write("/var/lib/dpkg/status.d/libssl3.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/lib/libssl.so.3\n")
    assert folder.owners("/usr/lib/libssl.so.3") == [["deb/libssl3"]]


def test_apk(tmp_path):
    folder = Folder(tmp_path)
    folder.write(
        "/lib/apk/db/installed", "P:musl\nV:1\nF:lib\nR:ld-musl-x86_64.so.1\nZ:x\n\nP:busybox\nF:bin\nR:busybox\n\n"
    )
    assert folder.owners("/lib/ld-musl-x86_64.so.1", "/bin/busybox", "/bin/ls") == [["apk/musl"], ["apk/busybox"], []]


@pytest.mark.shared
@pytest.mark.parametrize("form", ["ndb-sle15-bci", "sqlite-cbl-mariner-2.0"])
def test_rpm(tmp_path, shared_data, form):
    folder = Folder(tmp_path, shared_data / "fixtures/vuln/os/rpm" / form)
    assert folder.owners("/usr/bin/bash", "/usr/lib64/libc.so.6", "/usr/lib64/none") == [
        ["rpm/bash"],
        ["rpm/glibc"],
        [],
    ]


def test_python_of_this_very_environment(tmp_path):
    site = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    folder = Folder(tmp_path)
    target = folder.root / "app/site-packages"
    target.parent.mkdir(parents=True)
    target.symlink_to(site)  # leads out of the root: nothing of it may be read
    assert folder.owners("/app/site-packages/httpx/__init__.py") == [[]]
    with Root.of("self") as root:
        found = Owners(root)
        version = f"cpython-{sys.version_info[0]}{sys.version_info[1]}"
        assert found.of(f"{site}/httpx/_client.py", root) == ["pypi/httpx"]
        assert found.of(f"{site}/httpx/__pycache__/_client.{version}.pyc", root) == ["pypi/httpx"]


def test_distributions_without_a_record(tmp_path):
    folder = Folder(tmp_path)
    site = "/usr/lib/python3/dist-packages"
    folder.write(f"{site}/PyYAML-6.0.egg-info/top_level.txt", "_yaml\nyaml\n")
    folder.write(f"{site}/six-1.16.egg-info/PKG-INFO", "Name: six\n")
    assert folder.owners(f"{site}/yaml/loader.py", f"{site}/six.py", f"{site}/other.py") == [
        ["pypi/pyyaml"],
        ["pypi/six"],
        [],
    ]


def test_packages_that_their_path_names(tmp_path):
    assert Folder(tmp_path).owners(
        "/app/node_modules/@babel/core/node_modules/semver/index.js",
        "/app/node_modules/@babel/core/lib/index.js",
        "/app/node_modules/.package-lock.json",
        "/usr/lib/ruby/gems/3.1.0/gems/net-http-0.3.2/lib/net.rb",
        "/usr/lib/ruby/gems/3.1.0/gems/nokogiri-1.18.2-x86_64-linux/lib/n.rb",
    ) == [["npm/semver"], ["npm/@babel/core"], [], ["gem/net-http"], ["gem/nokogiri"]]


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_any_content_owns_or_not_but_raises_nothing(tmp_path_factory, first, second):
    folder = Folder(tmp_path_factory.mktemp("r"))
    folder.write("/lib/apk/db/installed", first)
    folder.write("/var/lib/dpkg/info/x.list", second)
    folder.write("/var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0" + first + second)
    folder.write("/a/site-packages/x-1.dist-info/RECORD", first)
    folder.owners("/a/site-packages/x.py", "/x")


def test_an_index_finds_what_it_was_given():
    rows = [(f"/usr/share/f{number}", f"deb/p{number % 7}") for number in range(5000)]
    index = Index(rows)
    assert all(index.owners(path) == [owner] for path, owner in rows)
    assert index.owners("/usr/share/f5000") == []


@pytest.mark.parametrize(
    ("path", "spelt"), [("/lib64/x", "/usr/lib64/x"), ("/libexec/x", "/libexec/x"), ("/bin", "/bin")]
)
def test_normal(path, spelt):
    assert normal(path) == spelt
