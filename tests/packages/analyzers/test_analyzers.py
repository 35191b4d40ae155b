"""Every analyzer: what it reads out of small real-form files, and that no bytes break it."""

import gzip
import io
import json
import struct
import time
import zipfile
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seawall.catalog import collect
from seawall.domain.packages import Distro, Gap
from seawall.packages.analyzer import Analyzer, Found, ImageFile, Owned
from seawall.packages.distros import normalized, osv_ecosystem
from seawall.packages.router import default_router

from tests.support.images import inline_build_info, stripped_elf

ANALYZERS = {item.id: item for item in collect("seawall.packages.analyzers", Analyzer)}


def read(analyzer: str, path: str, content: bytes | str, **options) -> list:
    raw = content.encode() if isinstance(content, str) else content
    return list(ANALYZERS[analyzer](ImageFile(path, raw, **options)))


def names(found: list) -> set[str]:
    return {
        f"{item.namespace}/{item.name}@{item.version}" if item.namespace else f"{item.name}@{item.version}"
        for item in found
        if isinstance(item, Found)
    }


def jar(**members: bytes | str) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return output.getvalue()


def pom(group: str, artifact: str, version: str) -> dict[str, str]:
    return {
        f"META-INF/maven/{group}/{artifact}/pom.properties": f"groupId={group}\nartifactId={artifact}\nversion={version}\n"
    }


CONDA = json.dumps({"name": "numpy", "version": "1.26.4", "build": "py311_0", "license": "BSD-3-Clause"})
DEPS = json.dumps(
    {
        "runtimeTarget": {"name": ".NETCoreApp,Version=v8.0"},
        "targets": {
            ".NETCoreApp,Version=v8.0": {
                "App/1.0.0": {"runtime": {"App.dll": {}}},
                "Newtonsoft.Json/12.0.1": {"runtime": {"lib/x.dll": {}}},
                "OnlyReference/1.0.0": {"compile": {"ref/x.dll": {}}},
            }
        },
        "libraries": {
            "App/1.0.0": {"type": "project"},
            "Newtonsoft.Json/12.0.1": {"type": "package"},
            "OnlyReference/1.0.0": {"type": "package"},
        },
    }
)
COMPOSER = json.dumps(
    {
        "packages": [{"name": "symfony/yaml", "version": "v5.4.1", "license": ["MIT"]}],
        "dev": True,
        "dev-package-names": [],
    }
)
SPDX = json.dumps(
    {
        "packages": [
            {
                "name": "redis",
                "versionInfo": "7.2.4-3",
                "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:bitnami/redis@7.2.4-3?arch=amd64"}],
            }
        ]
    }
)
GEM = 'Gem::Specification.new do |s|\n  s.name = "rack".freeze\n  s.version = "2.2.3"\n  s.licenses = ["MIT".freeze]\nend\n'
YARN = """# yarn lockfile v1

"@babel/core@^7.0.0", "@babel/core@^7.1.0":
  version "7.23.0"
  resolved "https://registry.example.org/x"

"mine@npm:lodash@^4.17.0":
  version "4.17.21"
"""
BERRY = """__metadata:
  version: 8

"is-odd@npm:^3.0.1":
  version: 3.0.1
  resolution: "is-odd@npm:3.0.1"

"here@workspace:.":
  version: 0.0.0-use.local
  resolution: "here@workspace:."
"""
PNPM_9 = "lockfileVersion: '9.0'\n\npackages:\n\n  '@a/b@1.0.0':\n    resolution: {}\n\n  c@2.0.0:\n    resolution: {}\n\nsnapshots:\n\n  c@2.0.0: {}\n"
PNPM_5 = "lockfileVersion: 5.4\n\npackages:\n\n  /@a/b/1.0.0:\n    dev: false\n\n  /c/2.0.0_x@1.0.0:\n    dev: true\n\n  /d/3.0.0:\n    dev: false\n"
LOCK_1 = json.dumps({"lockfileVersion": 1, "dependencies": {"a": {"version": "1.0.0", "dependencies": {"b": {"version": "2.0.0"}}}, "c": {"version": "3.0.0", "dev": True}}})  # fmt: skip
LOCK_3 = json.dumps({"lockfileVersion": 3, "packages": {"": {"name": "x"}, "node_modules/a": {"version": "1.0.0"}, "node_modules/a/node_modules/@b/c": {"version": "2.0.0"}, "node_modules/d": {"version": "1.0.0", "dev": True}, "packages/w": {"version": "1.0.0"}}})  # fmt: skip
POM = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<project><parent><groupId>com.acme</groupId><version>7</version></parent><artifactId>app</artifactId>
<properties><spring.version>5.3.1</spring.version></properties>
<dependencyManagement><dependencies><dependency><groupId>g</groupId><artifactId>m</artifactId><version>9</version></dependency></dependencies></dependencyManagement>
<dependencies><dependency><groupId>org.springframework</groupId><artifactId>spring-core</artifactId><version>${spring.version}</version></dependency>
<dependency><groupId>g</groupId><artifactId>m</artifactId></dependency>
<dependency><groupId>junit</groupId><artifactId>junit</artifactId><version>4</version><scope>test</scope></dependency></dependencies></project>"""
SPRING = jar(
    **pom("com.acme", "app", "1.0.0"),
    **{
        "META-INF/MANIFEST.MF": "Manifest-Version: 1.0\nImplementation-Title: app\nImplementation-Version: 1.0.0\n",
        "BOOT-INF/lib/log4j-core-2.14.1.jar": jar(**pom("org.apache.logging.log4j", "log4j-core", "2.14.1")),
        "BOOT-INF/lib/guava-31.0-jre.jar": jar(
            **{"META-INF/MANIFEST.MF": "Bundle-SymbolicName: com.google.guava\nBundle-Version: 31.0.0.jre\n"}
        ),
        "WEB-INF/deep.war": jar(**{"WEB-INF/lib/x.jar": jar(**pom("g", "x", "1"))}),
    },
)


UV_GROUPS = """version = 1
[[package]]
name = "shop"
version = "0.1.0"
source = { virtual = "." }
dependencies = [{ name = "flask" }, { name = "both", version = "2.0" }]
[package.optional-dependencies]
img = [{ name = "pillow" }]
[package.dev-dependencies]
dev = [{ name = "pytest" }]
[[package]]
name = "flask"
version = "2.0.1"
[[package]]
name = "pillow"
version = "9.0.0"
[[package]]
name = "pytest"
version = "7.0.0"
dependencies = [{ name = "iniconfig" }, { name = "both", version = "1.0" }]
[[package]]
name = "iniconfig"
version = "2.3.1"
[[package]]
name = "both"
version = "1.0"
[[package]]
name = "both"
version = "2.0"
"""
POETRY_GROUPS = """[[package]]
name = "flask"
version = "2.0.1"
groups = ["main", "dev"]
[[package]]
name = "pytest"
version = "7.0.0"
groups = ["dev", "test"]
[[package]]
name = "gunicorn"
version = "20.0.4"
groups = ["server"]
"""
DENO_5 = json.dumps(
    {"version": "5", "jsr": {"@std/path@1.0.0": {}}, "npm": {"@a/b@1.0.0": {}, "react-dom@18.2.0_react@18.2.0": {}}}
)
DENO_3 = json.dumps(
    {"version": "3", "packages": {"specifiers": {"npm:chalk": "npm:chalk@5.3.0"}, "npm": {"chalk@5.3.0": {}}}}
)
DENO_2 = json.dumps({"version": "2", "npm": {"specifiers": {"chalk": "chalk@5.3.0"}, "packages": {"chalk@5.3.0": {}}}})
SWIFT_1 = json.dumps(
    {
        "object": {
            "pins": [
                {
                    "package": "nio",
                    "repositoryURL": "https://GitHub.com/apple/swift-nio.git",
                    "state": {"branch": None, "version": "2.39.0"},
                }
            ]
        },
        "version": 1,
    }
)
SWIFT_3 = json.dumps(
    {
        "pins": [
            {
                "identity": "vapor",
                "location": "git@github.com:vapor/vapor.git",
                "state": {"revision": "c", "version": "4.1.0"},
            },
            {"identity": "main", "location": "https://github.com/a/b", "state": {"branch": "main", "revision": "c"}},
            {"identity": "nio", "location": "ssh://git@github.com:22/apple/swift-nio/", "state": {"version": "2.39.0"}},
        ],
        "version": 3,
    }
)
MIX = """%{
  "plug": {:hex, :plug, "1.7.1", "8516", [:mix], [{:mime, "~> 1.0", [hex: :mime, optional: false]}], "hexpm", "d"},
  "own": {:hex, :"renamed", "1.2.0-rc.1", "h"},
  "x": {:git, "https://git.example/x.git", "abc", []},
}
"""
REBAR = """{"1.2.0",
[{<<"cowboy">>,{pkg,<<"cowboy">>,<<"2.8.0">>},0},
 {<<"g">>,{git,"https://git.example/g",{ref,"a"}},1}]}.
"""
PUBSPEC = """# Generated by pub
packages:
  http:
    dependency: "direct main"
    description:
      name: http
      version: "9.9.9"
    source: hosted
    version: "0.13.2"
  lints:
    dependency: "direct dev"
    source: hosted
    version: "2.0.0"
  flutter:
    dependency: "direct main"
    description: flutter
    source: sdk
    version: "0.0.0"
  meta:
    dependency: transitive
    source: hosted
    version: "1.8.0"
sdks:
  dart: ">=2.12.0"
"""


@pytest.mark.parametrize(
    ("analyzer", "path", "content", "expected"),
    [
        ("conda", "opt/conda/conda-meta/numpy-1.26.4-py311_0.json", CONDA, {"numpy@1.26.4"}),
        ("dotnet-deps", "app/App.deps.json", DEPS, {"Newtonsoft.Json@12.0.1"}),
        ("composer", "app/vendor/composer/installed.json", COMPOSER, {"symfony/yaml@v5.4.1"}),
        ("bitnami", "opt/bitnami/redis/.spdx-redis.spdx", SPDX, {"redis@7.2.4"}),
        ("bitnami", "opt/other/redis/.spdx-redis.spdx", SPDX, set()),
        ("gem", "usr/lib/ruby/gems/3.0.0/specifications/rack-2.2.3.gemspec", GEM, {"rack@2.2.3"}),
        ("gem", "a/specifications/x-y-1.2.gemspec", "Gem::Specification.load(x)", {"x-y@1.2"}),
        ("node-installed", "opt/yarn-v1.22.22/package.json", '{"name": "yarn", "version": "1.22.22", "license": "BSD-2-Clause", "repository": "yarnpkg/yarn"}', {"yarn@1.22.22"}),
        ("node-installed", "app/package.json", '{"name": "shop", "version": "1.0.0", "license": "MIT"}', set()),
        ("node-installed", "app/package.json", '{"name": "shop", "version": "1.0.0", "license": "MIT", "repository": "x", "private": true}', set()),
        ("node-installed", "app/node_modules/a/test/package.json", '{"name": "b", "version": "1.0.0", "license": "MIT", "repository": "x"}', set()),
        ("python-lock", "pylock.prod.toml", 'lock-version = "1.0"\n[[packages]]\nname="a"\nversion="1"\n', {"a@1"}),
        ("python-lock", "app/uv.lock", UV_GROUPS, {"flask@2.0.1", "pillow@9.0.0", "both@2.0"}),
        ("python-lock", "app/poetry.lock", POETRY_GROUPS, {"flask@2.0.1", "pytest@7.0.0", "gunicorn@20.0.4"}),
        ("deno-lock", "app/deno.lock", DENO_5, {"@a/b@1.0.0", "react-dom@18.2.0"}),
        ("deno-lock", "app/deno.lock", DENO_3, {"chalk@5.3.0"}),
        ("deno-lock", "app/deno.lock", DENO_2, {"chalk@5.3.0"}),
        ("swift-resolved", "app/Package.resolved", SWIFT_1, {"github.com/apple/swift-nio@2.39.0"}),
        ("swift-resolved", "app/Package.resolved", SWIFT_3, {"github.com/vapor/vapor@4.1.0", "github.com/apple/swift-nio@2.39.0"}),
        ("hex-lock", "app/mix.lock", MIX, {"plug@1.7.1", "renamed@1.2.0-rc.1"}),
        ("hex-lock", "app/rebar.lock", REBAR, {"cowboy@2.8.0"}),
        ("pub-lock", "app/pubspec.lock", PUBSPEC, {"http@0.13.2", "meta@1.8.0"}),
        ("yarn-lock", "app/yarn.lock", YARN, {"@babel/core@7.23.0", "lodash@4.17.21"}),
        ("yarn-lock", "app/yarn.lock", BERRY, {"is-odd@3.0.1"}),
        ("pnpm-lock", "app/pnpm-lock.yaml", PNPM_9, {"@a/b@1.0.0", "c@2.0.0"}),
        ("pnpm-lock", "app/pnpm-lock.yaml", PNPM_5, {"@a/b@1.0.0", "d@3.0.0"}),
        ("npm-lock", "app/package-lock.json", LOCK_1, {"a@1.0.0", "b@2.0.0"}),
        ("npm-lock", "app/package-lock.json", LOCK_3, {"a@1.0.0", "@b/c@2.0.0"}),
        ("npm-lock", "app/node_modules/x/package-lock.json", LOCK_3, set()),
        ("pom", "pom.xml", POM, {"com.acme/app@7", "org.springframework/spring-core@5.3.1", "g/m@9"}),
        ("gradle-lock", "gradle.lockfile", "a:b:1=compile\nc:d:2=testRuntime\nempty=x\n", {"a/b@1"}),
        ("requirements", "requirements.txt", "a==1.0 # x\nb>=2\nc[x]==3.1 ; python_version>'3'\n-r x\n", {"a@1.0", "c@3.1"}),
        ("python-lock", "uv.lock", '[[package]]\nname="a"\nversion="1"\n[[package]]\nname="me"\nversion="0"\nsource={virtual="."}\n', {"a@1"}),
        ("go-mod", "go.mod", "module x\nrequire a.b/c v1.0.0\nrequire (\n d.e/f v2.0.0 // indirect\n)\nreplace a.b/c => g.h/i v3.0.0\n", {"g.h/i@v3.0.0", "d.e/f@v2.0.0"}),
        ("cargo-lock", "Cargo.lock", '[[package]]\nname = "serde"\nversion = "1.0.0"\n', {"serde@1.0.0"}),
        ("conan-lock", "conan.lock", '{"requires": ["zlib/1.2.11#abc%1"], "build_requires": ["cmake/3.1"]}', {"zlib@1.2.11"}),
        ("gemfile-lock", "Gemfile.lock", "GEM\n  remote: x\n  specs:\n    rack (2.2.3)\n      a (>= 1)\n\nDEPENDENCIES\n  rack\n", {"rack@2.2.3"}),
        ("nuget-config", "packages.config", '<packages><package id="A" version="1.0" /></packages>', {"A@1.0"}),
        ("java", "app.jar", SPRING, {"com.acme/app@1.0.0", "org.apache.logging.log4j/log4j-core@2.14.1", "com.google.guava/guava@31.0-jre", "g/x@1"}),
        ("rpm-manifest", "var/lib/rpmmanifest/container-manifest-2", "zlib\t1.2.13-1.azl3\t1\t2\tMicrosoft\t(none)\t3\tx86_64\t0\tzlib-1.2.13-1.azl3.src.rpm\n", {"zlib@1.2.13-1.azl3"}),
        ("python-wheel", "x/a-1.0-py3-none-any.whl", jar(**{"a-1.0.dist-info/METADATA": "Name: a\nVersion: 1.0\n"}), {"a@1.0"}),
        ("program-nginx", "usr/sbin/nginx", b"\x7fELF" + b"x" * 50 + b"nginx version: \0nginx/1.25.3\0", {"nginx@1.25.3"}),
        ("program-openssl", "usr/lib/libcrypto.so.3", b"\x7fELF\0OpenSSL 3.0.11 19 Sep 2023\0", {"openssl@3.0.11"}),
        ("program-openssl", "usr/lib/libcrypto.so.1.1", b"\x7fELF\0OpenSSL 1.1.1w  11 Sep 2023\0", {"openssl@1.1.1w"}),
        ("program-node", "usr/local/bin/node", b"\x7fELF\0node.js/v20.11.1\0", {"node@20.11.1"}),
        ("program-python", "usr/local/lib/libpython3.12.so.1.0", b"\x7fELF\0" + b"3.12.1\0", {"python@3.12.1"}),
        ("program-redis", "usr/local/bin/redis-server", b"\x7fELF\0redis_version:%s\0" + b"7.2.4\0", {"redis@7.2.4"}),
        (
            "program-redis",
            "usr/local/bin/redis-server",
            b"\x7fELF\0APPEND\x002.0.0\0TLS\x009.4.0\0" + b"8.2.3\x0014.2.1\0c11-builtin\0" + b"8.0.0\0",
            {"redis@8.2.3"},
        ),
        ("program-redis", "usr/bin/redis-cli", b"\x7fELF\0ACL\x006.0.0\x007.0.15\0 (git:%s\0" + b"7.2.0\0", {"redis@7.0.15"}),
        ("program-redis", "usr/bin/redis-cli", b"\x7fELF\0ACL\x006.0.0\x006.2.14\0GET\x001.0.0\0", {"redis@6.2.14"}),
        ("program-python", "opt/p/bin/python3.11", b"\x7fELF\0/opt/p/versions/3.11.7\0", {"python@3.11.7"}),
        ("program-python", "opt/p/lib/libpython3.6m.so.1.0", b"\x7fELF\x003.11.0\0" + b"3.6.15\0", {"python@3.6.15"}),
        ("program-python", "opt/p/bin/python3.11", b"\x7fELF\x003.7.0\0", set()),
        ("program-busybox", "bin/busybox", b"\x7fELF\0BusyBox v1.36.1 (2023)\0", {"busybox@1.36.1"}),
        ("program-busybox", "bin/busybox", b"#!/bin/sh\nBusyBox v1.36.1", set()),
    ],
)  # fmt: skip
def test_what_is_read(analyzer, path, content, expected):
    assert ANALYZERS[analyzer] in default_router().route(path) or path.startswith("opt/other")
    found = read(analyzer, path, content)
    assert names(found) == expected
    assert not [item for item in found if isinstance(item, Gap)]


GO_INFO = b'path\tx\nmod\tgithub.com/acme/tool\t(devel)\t\ndep\tgolang.org/x/net\tv0.17.0\th1:x\ndep\ta.b/c\tv1.0.0\n=>\td.e/f\tv2.0.0\th1:y\ndep\tg.h/local\tv1.0.0\n=>\t./local\t(devel)\t\nbuild\t-ldflags="-s -w -X main.version=v1.4.2"\n'
GO_EXPECTED = {"stdlib@1.21.3", "github.com/acme/tool@v1.4.2", "golang.org/x/net@v0.17.0", "d.e/f@v2.0.0"}


def test_go_stripped():
    content = stripped_elf(b"\0" * 32 + inline_build_info(b"go1.21.3", GO_INFO))
    assert names(read("go-binary", "app", content)) == GO_EXPECTED


def test_go_piece_of_a_large_program():
    assert (
        names(read("go-binary", "app", inline_build_info(b"go1.21.3", GO_INFO) + b"x" * 99, partial=True))
        == GO_EXPECTED
    )


def test_apk_and_its_files():
    text = "P:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\nF:usr/share/doc\nR:readme\n\nV:1\n\n"
    found = read("apk", "lib/apk/db/installed", text, may_matter=default_router().may_matter)
    assert found[0] == Found(
        "apk", "musl", "1.2.4-r2", source="musl", source_version="1.2.4-r2", arch="x86_64", licenses=("MIT",),
        files=("lib/ld-musl-x86_64.so.1",),
    )  # fmt: skip
    assert isinstance(found[1], Gap)
    assert found[1].line == 11


def test_dpkg_states_and_gaps():
    text = (
        "Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: b\nStatus: deinstall ok config-files\nVersion: 1\n\n"
        "Package: c\nStatus: install ok half-configured\nSource: src (2.0)\nVersion: 2.0+b1\n\nVersion: 9\n\nPackage: d\nVersion: 1 2\n"
    )
    found = read("dpkg", "var/lib/dpkg/status", text)
    assert names(found) == {"a@1", "c@2.0+b1"}
    assert [(item.source, item.source_version) for item in found if isinstance(item, Found)] == [
        ("a", "1"),
        ("src", "2.0"),
    ]
    assert [item.line for item in found if isinstance(item, Gap)] == [14, 16]


def test_distroless_file_lists():
    found = read("dpkg", "var/lib/dpkg/status.d/libc6.md5sums", "abc  ./usr/lib/x86_64-linux-gnu/libc.so.6\n")
    assert found == [Owned("libc6", ("usr/lib/x86_64-linux-gnu/libc.so.6",))]


@pytest.mark.parametrize(
    ("text", "ecosystem", "kind"),
    [
        ("ID=debian\nVERSION_ID=12\n", "Debian:12", "deb"),
        ("ID=ubuntu\nVERSION_ID='22.04'\n", "Ubuntu:22.04:LTS", "deb"),
        ("ID=ubuntu\nVERSION_ID=23.10\n", "Ubuntu:23.10", "deb"),
        ("ID=alpine\nVERSION_ID=3.19.1\n", "Alpine:v3.19", "apk"),
        ("ID=alpine\nVERSION_ID=3.20_alpha20240329\n", "Alpine:edge", "apk"),
        ("ID=wolfi\nVERSION_ID=20230201\n", "Wolfi", "apk"),
        ("ID=chainguard\n", "Chainguard", "apk"),
        ('ID="almalinux"\nVERSION_ID="9.3"\n', "AlmaLinux:9", "rpm"),
        ('ID="rocky"\nVERSION_ID="8.9"\n', "Rocky Linux:8", "rpm"),
        ('ID="rhel"\nVERSION_ID="9.3"\n', "Red Hat:enterprise_linux:9", "rpm"),
        ("ID=mariner\nVERSION_ID=2.0\n", "CBL-Mariner:2.0", "rpm"),
        ("ID=azurelinux\nVERSION_ID=3.0\n", "Azure Linux:3", "rpm"),
        ("ID=photon\nVERSION_ID=4.0\n", "Photon OS:4.0", "rpm"),
        ('ID="sles"\nVERSION_ID="15.5"\n', "SUSE:Linux Enterprise Server 15 SP5", "rpm"),
        ('ID="opensuse-leap"\nVERSION_ID="15.5"\n', "openSUSE:Leap 15.5", "rpm"),
        ("ID=amzn\nVERSION_ID=2023\n", "Amazon Linux:2023", "rpm"),
        ('ID="ol"\nVERSION_ID="8.10"\n', "Oracle Linux:8", "rpm"),
        ("ID=fedora\nVERSION_ID=42\n", "Fedora:42", "rpm"),
        (
            'ID="openEuler"\nVERSION_ID="24.03"\nPRETTY_NAME="openEuler 24.03 (LTS-SP1)"\n',
            "openEuler:24.03-LTS-SP1",
            "rpm",
        ),
        ('ID="openEuler"\nVERSION_ID="23.09"\nPRETTY_NAME="openEuler 23.09"\n', "openEuler:23.09", "rpm"),
        ('ID="sle-micro-rancher"\nVERSION_ID="5.4"\n', "SUSE:Linux Enterprise Micro 5.4", "rpm"),
        ("ID=alpaquita\nVERSION_ID=stream\n", "Alpaquita:stream", "apk"),
        ("ID=minimos\nVERSION_ID=20241031\n", "MinimOS", "apk"),
        ("ID=linuxmint\nVERSION_ID=21\nID_LIKE='ubuntu debian'\n", "", "deb"),
        ("ID=mystery\nVERSION_ID=1\n", "", "deb"),
        ("ID=debian\nVERSION_ID=12\n", "", "apk"),
    ],
)
def test_distributions(text, ecosystem, kind):
    (distro,) = read("os-release", "etc/os-release", text)
    assert isinstance(distro, Distro)
    assert osv_ecosystem(normalized(distro), kind) == ecosystem


def test_end_of_life():
    assert normalized(Distro("debian", "9")).end_of_life == "2022-06-30"
    assert normalized(Distro("alpine", "3.19.1")).end_of_life == "2025-11-01"
    assert normalized(Distro("mystery", "1")).end_of_life == ""


def test_nested_archives_end():
    """A jar in a jar in a jar, and a bomb of zeros."""
    content = jar(**pom("g", "deepest", "1"))
    for depth in range(12):
        content = jar(**{f"level{depth}.jar": content})
    found = read("java", "app.jar", content)
    assert [item.reason for item in found if isinstance(item, Gap)] == ["archives nested over 6 deep"]
    bomb = jar(**{"bomb.jar": jar(**{"zeros.jar": bytes(300_000_000)})})
    start = time.monotonic()
    found = read("java", "app.jar", bomb)
    assert any("over the limit" in item.reason for item in found if isinstance(item, Gap))
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("name", "manifest", "purl"),
    [
        ("spring-beans-5.3.17.jar", "Implementation-Title: spring-beans\nAutomatic-Module-Name: spring.beans\n", "org.springframework/spring-beans@5.3.17"),
        ("spring-boot-2.6.3.jar", "Implementation-Title: Spring Boot\n", "org.springframework.boot/spring-boot@2.6.3"),
        ("commons-collections4-4.0.jar", "Bundle-SymbolicName: org.apache.commons.collections4\n", "org.apache.commons/commons-collections4@4.0"),
        ("a.jar", "Implementation-Vendor-Id: com.acme\nImplementation-Title: thing\nImplementation-Version: 1.2\n", "com.acme/thing@1.2"),
        ("jackson-xyz-1.0.jar", "Bundle-SymbolicName: com.fasterxml.jackson-xyz;singleton:=true\n", "com.fasterxml/jackson-xyz@1.0"),
        ("plain-1.0-SNAPSHOT.jar", "", "plain@1.0-SNAPSHOT"),
    ],
)  # fmt: skip
def test_jars_without_pom_properties(name, manifest, purl):
    found = read("java", f"app/{name}", jar(**{"META-INF/MANIFEST.MF": f"Manifest-Version: 1.0\n{manifest}"}))
    assert names(found) == {purl}


@pytest.mark.parametrize(
    ("name", "purls"),
    [
        ("geronimo-annotation_1.3_spec-1.3.jar", {"g/geronimo-annotation_1.3_spec@1.3"}),
        ("geronimo-annotation-1.3-spec-1.3.jar", {"g/geronimo-annotation_1.3_spec@1.3"}),  # as Debian renames it
        ("tool-2.0-uber.jar", {"g/geronimo-annotation_1.3_spec@1.3", "tool@2.0"}),
    ],
)
def test_a_jar_is_named_once(name, purls):
    """A `pom.properties` that the file's name agrees with is the jar's own; in another jar it is that of a part."""
    content = jar(
        **{"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n"}, **pom("g", "geronimo-annotation_1.3_spec", "1.3")
    )
    assert names(read("java", f"app/{name}", content)) == purls


@pytest.mark.parametrize(
    ("name", "manifest", "folders", "purl"),
    [
        pytest.param("kafka-clients-2.1.0.jar", "", ("org/apache/kafka/clients", "org/apache/kafka/common"), "org.apache.kafka/kafka-clients@2.1.0", id="none said"),
        pytest.param("solr-core-8.5.2.jar", "Implementation-Vendor-Id: org.apache\n", ("org/apache/solr/core",), "org.apache.solr/solr-core@8.5.2", id="said too widely"),
        pytest.param("micronaut-http-netty-1.2.6.jar", "Automatic-Module-Name: io.micronaut.http_netty\n", ("io/micronaut/http/netty",), "io.micronaut/micronaut-http-netty@1.2.6", id="a module's name"),
        pytest.param("spark-launcher_2.11-2.4.5.jar", "", ("org/apache/spark/launcher",), "org.apache.spark/spark-launcher_2.11@2.4.5", id="Scala's version in the name"),
        pytest.param("acme-tool-1.0.jar", "", ("org/other/a", "org/other/b"), "acme-tool@1.0", id="classes of another name"),
        pytest.param("acme-tool-1.0.jar", "", ("com/acme/a", "org/other/b"), "acme-tool@1.0", id="no folder holds most of them"),
        pytest.param("junit-jupiter-api-5.9.0.jar", "Bundle-SymbolicName: org.junit.jupiter.junit-jupiter-api\n", ("org/junit/x",), "org.junit.jupiter/junit-jupiter-api@5.9.0", id="the bundle's name goes first"),
    ],
)  # fmt: skip
def test_groups_by_the_folders_of_classes(name, manifest, folders, purl):
    classes = {f"{folder}/{letter}.class": b"" for folder in folders for letter in "ABC"}
    found = read(
        "java", f"app/{name}", jar(**{"META-INF/MANIFEST.MF": f"Manifest-Version: 1.0\n{manifest}"}, **classes)
    )
    assert names(found) == {purl}


def test_rust_list_bomb():
    section = zlib.compress(bytes(50_000_000))
    names_table = b"\0.dep-v0\0.shstrtab\0"
    body = section + names_table
    header = struct.pack(
        "<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 2, 62, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, 3, 2
    )
    table = bytes(64)
    table += struct.pack("<IIQQQQIIQQ", 1, 1, 0, 0, 64, len(section), 0, 0, 0, 0)
    table += struct.pack("<IIQQQQIIQQ", 9, 3, 0, 0, 64 + len(section), len(names_table), 0, 0, 0, 0)
    (gap,) = read("rust-binary", "app", header + body + table)
    assert "over 16777216 bytes" in gap.reason


SEEDS = [b"", b"\x7fELF" + b"\xff" * 90, b"\x7fELF\x02\x01" + b"\xff" * 90,  b"\0" * 600, b"SQLite format 3\0", b"RpmP" + b"\0" * 5000, b"\x7fELF\x02\x01\x01", b"PK\x03\x04", b"{}", b"[]", b'{"packages": [1, null, {}]}', SPRING[:400], DEPS.encode(), gzip.compress(b"x")]  # fmt: skip
PATHS = {
    "dpkg": "var/lib/dpkg/status.d/x.md5sums",
    "bitnami": "opt/bitnami/x/.spdx-x.spdx",
    "gem": "x/specifications/a-1.gemspec",
    "node-installed": "node_modules/a/package.json",
    "python-installed": "a-1.dist-info/METADATA",
}


@pytest.mark.parametrize("analyzer", sorted(ANALYZERS))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.binary(max_size=3000), st.text(max_size=800).map(lambda text: text.encode("utf-8", "replace")), st.sampled_from(SEEDS)), st.binary(max_size=800), st.integers(0, 4000))  # fmt: skip
def test_arbitrary_bytes_give_packages_or_gaps(analyzer, head, tail, at):
    item = ANALYZERS[analyzer]
    path = PATHS.get(analyzer) or (item.reads[0].replace("**/", "a/").replace("*", "x") if item.reads else "usr/bin/x")
    content = head[:at] + tail + head[at:]
    for raw in (content, b"\x7fELF\x02\x01\x01" + content if item.executables else head):
        for found in item(ImageFile(path, raw)):
            assert isinstance(found, Found | Gap | Owned | Distro)


RPM_FORMS = ["os/rpm/ndb-sle15-bci/usr/lib/sysimage/rpm/Packages.db", "os/rpm/sqlite-cbl-mariner-2.0/var/lib/rpm/rpmdb.sqlite", "os/rpm/bdb-libuuid/var/lib/rpm/Packages"]  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize("form", RPM_FORMS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_rpm_databases(shared_data, form, data):
    content = bytearray((shared_data / "fixtures/vuln" / form).read_bytes())
    for _ in range(data.draw(st.integers(1, 40))):
        content[data.draw(st.integers(0, min(len(content), 40_000) - 1))] = data.draw(st.integers(0, 255))
    for item in ANALYZERS["rpm"](ImageFile("var/lib/rpm/Packages", bytes(content))):
        assert isinstance(item, Found | Gap)


@pytest.mark.shared
@pytest.mark.parametrize(("form", "count"), list(zip(RPM_FORMS, (35, 129, 1), strict=True)))
def test_rpm_databases(shared_data, form, count):
    found = read("rpm", "var/lib/rpm/Packages", (shared_data / "fixtures/vuln" / form).read_bytes())
    assert len(found) == count
    assert all(isinstance(item, Found) and item.source and item.arch for item in found)


def test_analyzers_are_documented():
    assert all(item.read.__doc__ or item.id.startswith("program-") for item in ANALYZERS.values())


@pytest.mark.parametrize("start", [b"MZ", b"\xcf\xfa\xed\xfe"], ids=["windows", "macos"])
def test_go_programs_of_other_systems(start):
    info = inline_build_info(
        b"go1.22.1", b"path\tx\nmod\texample.com/app\tv1.2.3\t\ndep\tgolang.org/x/net\tv0.7.0\th1:x\n"
    )
    decoy = inline_build_info(b"go1.1", b"mod\texample.com/decoy\tv1.0.0\t\n")
    head = start.ljust(16, b"\0") + b"text" + decoy
    content = head.ljust(len(head) + -len(head) % 16, b"\0") + info
    expected = {"stdlib@1.22.1", "example.com/app@v1.2.3", "golang.org/x/net@v0.7.0"}
    assert names(read("go-binary", "srv/tool.exe", content, mode=0o755)) == expected
    assert names(read("go-binary", "srv/tool.exe", head, mode=0o755)) == set()
