"""Whole images, from every kind of target, layer upon layer."""

import dataclasses
import json
import tarfile
from pathlib import Path

import pytest
from seawall.adapters.images.cache import FolderCache
from seawall.adapters.images.sources import Sources
from seawall.app.inventory_image import inventory_image, inventory_platforms
from seawall.domain.errors import InputError, NotFound, SeawallError, UnsupportedImage
from seawall.domain.inventory import Inventory
from seawall.oci.limits import Limits
from seawall.ports.images import LayerBlob

from tests.support.images import (
    Layout,
    Link,
    Program,
    compress,
    docker_archive,
    inline_build_info,
    stripped_elf,
    tar_of,
)

OS_RELEASE = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
STATUS = """Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.0.11-1~deb12u2

Package: python3-yaml
Status: install ok installed
Architecture: amd64
Source: pyyaml (6.0-3)
Version: 6.0-3+b2

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
BASE = tar_of(
    {
        "etc/os-release": OS_RELEASE,
        "lib": Link("usr/lib"),
        "usr/lib": None,
        "var/lib/dpkg/status": STATUS,
        "var/lib/dpkg/info/python3-yaml.list": "/.\n/lib\n/lib/python3/dist-packages/PyYAML-6.0.egg-info/PKG-INFO\n",
        "usr/lib/python3/dist-packages/PyYAML-6.0.egg-info/PKG-INFO": "Name: PyYAML\nVersion: 6.0\n",
    }
)
APP = tar_of(
    {
        "app/venv/lib/python3.11/site-packages/requests-2.20.0.dist-info/METADATA": "Name: requests\nVersion: 2.20.0\n",
        "app/node_modules/lodash/package.json": '{"name": "lodash", "version": "4.17.4", "license": "MIT"}',
        "app/node_modules/@a/b/package.json": '{"name": "@a/b", "version": "1.0.0"}',
    }
)


def scan(target: str, **options) -> Inventory:
    def no_registry():
        raise AssertionError("no registry is needed")

    return inventory_image(target, sources=Sources(no_registry), **options)


def purls(inventory: Inventory) -> set[str]:
    return {package.purl for package in inventory.packages}


def layout(folder: Path, *layers: bytes, **options) -> str:
    made = Layout()
    made.image(layers, **options)
    return f"oci:{made.write(folder)}"


EXPECTED = {
    "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12&upstream=openssl",
    "pkg:deb/debian/python3-yaml@6.0-3%2Bb2?arch=amd64&distro=debian-12&upstream=pyyaml%406.0-3",
    "pkg:pypi/requests@2.20.0",
    "pkg:npm/lodash@4.17.4",
    "pkg:npm/%40a/b@1.0.0",
}


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_layout(tmp_path, compression):
    history = [
        {"created_by": "COPY rootfs /"},
        {"created_by": "ENV A=b", "empty_layer": True},
        {"created_by": "RUN make app"},
    ]
    inventory = scan(layout(tmp_path, BASE, APP, compression=compression, history=history))
    assert inventory.gaps == ()
    assert purls(inventory) == EXPECTED
    assert inventory.distro.pretty_name == "Debian GNU/Linux 12 (bookworm)"
    assert inventory.distro.end_of_life == "2028-06-30"
    by_name = {package.name: package for package in inventory.packages}
    assert by_name["libssl3"].ecosystem == "Debian:12"
    assert by_name["libssl3"].source == "openssl"
    assert by_name["python3-yaml"].source_version == "6.0-3"
    assert by_name["lodash"].created_by == "RUN make app"
    assert by_name["lodash"].layer == inventory.layers[1].digest
    assert by_name["lodash"].path == "app/node_modules/lodash/package.json"
    assert by_name["lodash"].licenses == ("MIT",)
    assert by_name["libssl3"].created_by == "COPY rootfs /"


def test_archives_say_the_same(tmp_path):
    made = Layout()
    made.image([BASE, APP])
    targets = [f"oci-archive:{made.archive(tmp_path / 'oci.tar')}"]
    targets.append(f"docker-archive:{docker_archive(tmp_path / 'docker.tar', [BASE, APP])}")
    packed = tmp_path / "oci.tar.gz"
    packed.write_bytes(compress((tmp_path / "oci.tar").read_bytes(), "gzip"))
    targets.append(f"oci-archive:{packed}")
    for target in targets:
        inventory = scan(target)
        assert purls(inventory) == EXPECTED, target
        assert inventory.gaps == ()


def test_a_package_is_listed_once_a_file(tmp_path):
    """PDM locks a package again for each of its extras; a second lock is another place."""
    again = '[[package]]\nname = "requests"\nversion = "2.28.0"\n'
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "pdm.lock").write_text(again + 'extras = ["socks"]\n\n' + again)
    inventory = scan(f"dir:{tmp_path}")
    assert [(package.purl, package.path) for package in inventory.packages] == [
        ("pkg:pypi/requests@2.28.0", "a/pdm.lock"),
        ("pkg:pypi/requests@2.28.0", "b/pdm.lock"),
    ]


def test_folder(tmp_path):
    for number, layer in enumerate((BASE, APP)):
        archive = tmp_path / f"{number}.tar"
        archive.write_bytes(layer)
        with tarfile.open(archive) as opened:
            opened.extractall(tmp_path / "root", filter="fully_trusted")
    (tmp_path / "root/outside").symlink_to("/etc")
    inventory = scan(f"dir:{tmp_path / 'root'}")
    assert purls(inventory) == EXPECTED
    assert inventory.gaps == ()


YAML = "usr/lib/python3/dist-packages/yaml-1.dist-info/METADATA"
YAML_TEXT = "Name: yaml\nVersion: 1\n"


@pytest.mark.parametrize(
    ("layers", "kept"),
    [
        pytest.param([{"usr/lib/python3/dist-packages/.wh.yaml-1.dist-info": ""}], False, id="whiteout-of-a-folder"),
        pytest.param([{"usr/lib/python3/dist-packages/yaml-1.dist-info/.wh.METADATA": ""}], False, id="whiteout-of-a-file"),
        pytest.param([{"usr/lib/python3/dist-packages/.wh.yaml": ""}], True, id="whiteout-of-a-near-name"),
        pytest.param([{"usr/lib/python3/.wh..wh..opq": ""}], False, id="opaque-folder"),
        pytest.param([{"usr/lib/python2/.wh..wh..opq": ""}], True, id="opaque-folder-beside"),
        pytest.param([{"lib/python3/dist-packages/.wh.yaml-1.dist-info": ""}], False, id="whiteout-through-usr-merge"),
        pytest.param([{"lib/python3/.wh..wh..opq": ""}], False, id="opaque-through-usr-merge"),
        pytest.param([{"usr/lib/python3": "a file now"}], False, id="file-takes-the-place-of-a-folder"),
        pytest.param([{"usr/lib/python3": Link("/opt")}], False, id="link-takes-the-place-of-a-folder"),
        pytest.param([{"usr/lib/python3": None}], True, id="folder-again"),
        pytest.param([{YAML: None}], False, id="folder-takes-the-place-of-a-file"),
        pytest.param([{YAML: "Name: other\nVersion: 2\n"}], False, id="replaced"),
        pytest.param([{f"lib/{YAML.removeprefix('usr/lib/')}": "Name: other\nVersion: 2\n"}], False, id="replaced-usr-merge"),
        pytest.param(
            [{"usr/lib/python3/dist-packages/.wh.yaml-1.dist-info": ""}, {YAML: YAML_TEXT}], True, id="removed-and-back"
        ),
        pytest.param(
            [{"lib": None, "lib/python3/dist-packages/.wh.yaml-1.dist-info": ""}], True, id="folder-in-place-of-the-link"
        ),
    ],
)  # fmt: skip
def test_what_a_layer_hides(tmp_path, layers, kept):
    base = tar_of({"lib": Link("usr/lib"), YAML: YAML_TEXT})
    inventory = scan(layout(tmp_path, base, *[tar_of(layer) for layer in layers]))
    assert ("pkg:pypi/yaml@1" in purls(inventory)) is kept
    assert inventory.gaps == ()


def test_a_layer_that_holds_its_own_whiteout_and_file(tmp_path):
    """Tools write `rm -rf x && make x` as a whiteout and the new file in one layer."""
    inventory = scan(
        layout(
            tmp_path,
            tar_of({"a/node_modules/x/package.json": '{"name":"x","version":"1.0.0"}'}),
            tar_of({"a/node_modules/x/package.json": '{"name":"x","version":"2.0.0"}', "a/node_modules/.wh.x": ""}),
        )
    )
    assert purls(inventory) == {"pkg:npm/x@2.0.0"}


def test_hard_links(tmp_path):
    """pnpm's store: the content lies under a hash, the package's name is a hard link to it."""
    inventory = scan(
        layout(
            tmp_path,
            tar_of(
                {
                    "root/store/ab12": '{"name": "left-pad", "version": "1.3.0"}',
                    "app/node_modules/left-pad/package.json": Link("root/store/ab12", hard=True),
                    "app/node_modules/ms/package.json": '{"name": "ms", "version": "2.0.0"}',
                    "b/node_modules/ms/package.json": Link("./app/node_modules/ms/package.json", hard=True),
                    "c/node_modules/ms/package.json": Link("nowhere", hard=True),
                    "d/node_modules/ms/package.json": Link("../../etc/passwd", hard=True),
                }
            ),
        )
    )
    assert {(package.name, package.path) for package in inventory.packages} == {
        ("left-pad", "app/node_modules/left-pad/package.json"),
        ("ms", "app/node_modules/ms/package.json"),
        ("ms", "b/node_modules/ms/package.json"),
    }
    assert {(gap.where, gap.reason) for gap in inventory.gaps} == {
        ("c/node_modules/ms/package.json", "hard link to a file that is not in this layer"),
        ("d/node_modules/ms/package.json", "hard link leaves the image (..)"),
    }


def test_link_cycles_end(tmp_path):
    inventory = scan(
        layout(
            tmp_path,
            tar_of({"a": Link("b"), "b": Link("a"), "c": Link("/c/d"), "ok": Link("usr")}),
            tar_of({"a/node_modules/x/package.json": '{"name":"x","version":"1.0.0"}', "c/.wh.x": ""}),
        )
    )
    assert {gap.reason for gap in inventory.gaps} == {"over 40 symbolic links, or a cycle of them"}
    assert purls(inventory) == {"pkg:npm/x@1.0.0"}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(lambda raw: raw[:-20], "ends early", id="cut-off-gzip"),
        pytest.param(lambda raw: raw[:40] + b"\xff" * 30 + raw[70:], "damaged", id="damaged-gzip"),
        pytest.param(lambda raw: b"BZh9" + raw, "bzip2", id="bzip2"),
        pytest.param(lambda raw: compress(b"not a tar archive" * 100, "gzip"), "damaged", id="no-tar"),
        pytest.param(lambda raw: compress(APP[:520], "gzip"), "cut off", id="cut-off-tar"),
    ],
)
def test_a_damaged_layer_is_a_gap_and_the_rest_counts(tmp_path, spoil, reason):
    target = layout(tmp_path, compress(BASE, "gzip"), spoil(compress(APP, "gzip")), compression="as-is")
    inventory = scan(target)
    assert len([purl for purl in purls(inventory) if purl.startswith("pkg:deb")]) == 2
    assert any(reason in gap.reason for gap in inventory.gaps), inventory.gaps
    assert all(gap.layer == inventory.layers[1].digest for gap in inventory.gaps)


def test_a_layer_of_another_digest_counts_for_nothing(tmp_path):
    made = Layout()
    made.image([BASE, APP])
    folder = made.write(tmp_path)
    (digest,) = [item for item in made.blobs if made.blobs[item] == compress(APP, "gzip")]
    (folder / "blobs" / digest.replace(":", "/")).write_bytes(
        compress(tar_of({"a/node_modules/evil/package.json": '{"name":"evil","version":"1.0.0"}'}), "gzip")
    )
    inventory = scan(f"oci:{folder}")
    assert "pkg:npm/evil@1.0.0" not in purls(inventory)
    assert [gap.where for gap in inventory.gaps] == [digest]
    assert "expected" in inventory.gaps[0].reason


def test_cached_layers_are_not_read_again(tmp_path):
    cache = FolderCache(tmp_path / "cache")
    target = layout(tmp_path / "image", BASE, APP)
    first = scan(target, cache=cache)
    for layer in first.layers:
        (tmp_path / "image/blobs" / layer.digest.replace(":", "/")).unlink()
    second = scan(target, cache=cache)
    assert [layer.cached for layer in second.layers] == [True, True]
    assert dataclasses.replace(second, layers=first.layers) == first


def test_a_damaged_cache_entry_costs_nothing_but_time(tmp_path):
    cache = FolderCache(tmp_path / "cache")
    target = layout(tmp_path / "image", BASE)
    first = scan(target, cache=cache)
    for path in (tmp_path / "cache").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:10])
    assert purls(scan(target, cache=cache)) == purls(first)


def test_platforms(tmp_path):
    made = Layout()
    entries = [
        made.image(
            [tar_of({"etc/os-release": f"ID=alpine\nVERSION_ID=3.19.{number}\n"})], platform=platform, list_it=False
        )
        for number, platform in enumerate(
            [
                {"os": "linux", "architecture": "amd64"},
                {"os": "linux", "architecture": "arm", "variant": "v6"},
                {"os": "linux", "architecture": "arm", "variant": "v7"},
            ]
        )
    ]
    attestation = made.image([], platform={"os": "unknown", "architecture": "unknown"}, list_it=False)
    attestation["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
    index = made.index([*entries, attestation])
    target = f"oci:{made.write(tmp_path)}"
    assert scan(target).distro.version == "3.19.0"
    arm = scan(target, platform="linux/arm/v7")
    assert (arm.distro.version, arm.digest, arm.index_digest) == ("3.19.2", entries[2]["digest"], index["digest"])
    assert str(arm.platform) == "linux/arm/v7"
    every = inventory_platforms(target, sources=Sources(lambda: None), platform="all")
    assert [item.distro.version for item in every] == ["3.19.0", "3.19.1", "3.19.2"]
    with pytest.raises(UnsupportedImage, match=r"linux/s390x.*linux/amd64, linux/arm/v6, linux/arm/v7"):
        scan(target, platform="linux/s390x")


def test_tags_of_a_layout(tmp_path):
    made = Layout()
    made.image([BASE], tag="one")
    made.image([APP], tag="two")
    folder = made.write(tmp_path)
    assert "pkg:npm/lodash@4.17.4" in purls(scan(f"oci:{folder}:two"))
    with pytest.raises(InputError, match="one, two"):
        scan(f"oci:{folder}")
    with pytest.raises(InputError, match="one, two"):
        scan(f"oci:{folder}:three")


def test_empty_images(tmp_path):
    inventory = scan(layout(tmp_path / "scratch"))
    assert (inventory.packages, inventory.gaps, inventory.distro.id) == ((), (), "")
    inventory = scan(layout(tmp_path / "empty", tar_of({})))
    assert (inventory.packages, inventory.gaps) == ((), ())


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("oci:", InputError),
        ("oci:/nowhere-at-all", NotFound),
        ("oci-archive:/nowhere-at-all.tar", NotFound),
        ("dir:/nowhere-at-all", NotFound),
        ("/nowhere-at-all", InputError),
    ],
)
def test_targets_that_are_not_there(target, error):
    with pytest.raises(error):
        scan(target)


def test_files_that_are_no_image(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"\x1f\x8b not really")
    for scheme in ("oci-archive", "docker-archive", "oci", "dir"):
        with pytest.raises(SeawallError):
            scan(f"{scheme}:{file}")
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(InputError):
        scan(f"oci:{tmp_path}")


def test_limits_are_gaps(tmp_path):
    target = layout(tmp_path, APP, BASE)
    inventory = scan(target, limits=Limits(entries=2))
    assert {gap.reason for gap in inventory.gaps} == {"layer has over 2 entries"}
    assert {package.name for package in inventory.packages} == {"requests", "lodash"}
    inventory = scan(target, limits=Limits(layer_bytes=2048))
    assert all("over 2048 bytes uncompressed" in gap.reason for gap in inventory.gaps)


class ZerosImage:
    """One layer: a file of 10 GB of zeros, as gzip members made while they are read."""

    target = "zeros"
    digest = index_digest = config_digest = ""
    config = b""
    layers = (LayerBlob("", "zeros"),)

    def read_layer(self, _layer):
        first = tar_of({"etc/os-release": OS_RELEASE})[:1024]
        member = tarfile.TarInfo("zeros")
        member.size = 10 * 1024**3
        yield compress(first + member.tobuf(), "gzip")
        block = compress(bytes(8 * 1024 * 1024), "gzip")
        for _ in range(10 * 128):
            yield block

    def close(self):
        pass


class OneSource:
    def __init__(self, image):
        self.image = image

    def open(self, _target, _platform):
        return [self.image]


def test_ten_gigabytes_of_zeros():
    inventory = inventory_image("zeros", sources=OneSource(ZerosImage()))
    (gap,) = inventory.gaps
    assert "decompression bomb" in gap.reason
    assert inventory.distro.id == "debian", "what came before the bomb counts"


def test_language_packages_of_os_packages_are_folded(tmp_path):
    """Through the merged /usr, for all three databases' ways to list files; one installed by hand beside them stays."""
    apk = "P:py3-six\nV:1.16.0-r8\nF:usr/lib/python3.11/site-packages/six-1.16.0-py3.11.egg-info\nR:PKG-INFO\n\n"
    inventory = scan(
        layout(
            tmp_path,
            tar_of(
                {
                    "etc/os-release": "ID=alpine\nVERSION_ID=3.19.1\n",
                    "lib/apk/db/installed": apk,
                    "usr/lib/python3.11/site-packages/six-1.16.0-py3.11.egg-info/PKG-INFO": "Name: six\nVersion: 1.16.0\n",
                }
            ),
            tar_of({"usr/lib/python3.11/site-packages/flask-1.0.dist-info/METADATA": "Name: Flask\nVersion: 1.0\n"}),
        )
    )
    assert purls(inventory) == {"pkg:apk/alpine/py3-six@1.16.0-r8?distro=alpine-3.19.1", "pkg:pypi/flask@1.0"}


def test_programs_of_bitnami_components_are_named_once(tmp_path):
    """By the component's SPDX document; a program of another name, or outside its folder, is not of the component."""
    redis = Program(b"\x7fELF" + b"\0redis_version:7.2.4\0" + bytes(8_192))
    openssl = Program(b"\x7fELF" + b"\0OpenSSL 3.0.11 19 Sep 2023\0" + bytes(8_192))
    reference = {"referenceLocator": "pkg:bitnami/redis@7.2.4-1?arch=amd64"}
    spdx = json.dumps({"packages": [{"name": "redis", "versionInfo": "7.2.4", "externalRefs": [reference]}]})
    files = {
        "opt/bitnami/redis/.spdx-redis.spdx": spdx,
        "opt/bitnami/redis/bin/redis-server": redis,
        "opt/bitnami/redis/bin/openssl": openssl,
        "usr/local/bin/redis-server": redis,
    }
    found = {(package.purl, package.path) for package in scan(layout(tmp_path, tar_of(files))).packages}
    assert found == {
        ("pkg:bitnami/redis@7.2.4?arch=amd64", "opt/bitnami/redis/.spdx-redis.spdx"),
        ("pkg:generic/openssl@3.0.11", "opt/bitnami/redis/bin/openssl"),
        ("pkg:generic/redis@7.2.4", "usr/local/bin/redis-server"),
    }


def test_programs_too_large_to_hold(tmp_path):
    """Node by its version string, a Go program by its build info, both found in the stream."""
    node = b"\x7fELF" + bytes(300_000) + b"\0node.js/v20.11.1\0" + bytes(300_000)
    go = stripped_elf(
        bytes(300_000) + inline_build_info(b"go1.21.3", b"mod\tgithub.com/a/b\tv1.0.0\t\n") + bytes(300_000)
    )
    limits = Limits(file_bytes=200_000, program_bytes=200_000)
    files = {"usr/local/bin/node": Program(node), "usr/bin/tool": Program(go), "a.jar": bytes(300_000)}
    for target in (layout(tmp_path / "oci", tar_of(files)), f"dir:{_unpacked(tmp_path / 'root', files)}"):
        inventory = scan(target, limits=limits)
        assert purls(inventory) == {
            "pkg:generic/node@20.11.1",
            "pkg:golang/stdlib@1.21.3",
            "pkg:golang/github.com/a/b@v1.0.0",
        }
        assert [(gap.where, gap.reason) for gap in inventory.gaps] == [
            ("a.jar", "file of 300000 bytes, at most 200000 are read")
        ]


def test_go_libraries_have_no_execute_bit(tmp_path):
    """`go build -buildmode=c-shared` writes them so; those in the distribution's folders belong to its packages."""
    library = stripped_elf(inline_build_info(b"go1.21.3", b"mod\tgithub.com/a/b\tv1.0.0\t\n") + bytes(8_192))
    files = {"fluent-bit/bin/out_x.so": library, "opt/x/libx.so.1.2": library}
    ignored = {"usr/lib/x86_64-linux-gnu/libx.so": library, "opt/x/notes.so.txt": library}
    for target in (
        layout(tmp_path / "oci", tar_of(files | ignored)),
        f"dir:{_unpacked(tmp_path / 'root', files | ignored)}",
    ):
        found = {(package.purl, package.path) for package in scan(target).packages}
        assert found == {
            (purl, path) for path in files for purl in ("pkg:golang/stdlib@1.21.3", "pkg:golang/github.com/a/b@v1.0.0")
        }


def _unpacked(root, files):
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content.content if isinstance(content, Program) else content)
        (root / path).chmod(0o755 if isinstance(content, Program) else 0o644)
    return root
