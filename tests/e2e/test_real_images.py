"""Real images: Debian by debootstrap, Python by pip, Node by npm; packed by umoci, built on by podman, in a real registry.

What is installed is asked of the package managers themselves.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from seawall.adapters.images.sources import Sources
from seawall.adapters.registry.client import HttpRegistry
from seawall.adapters.registry.transport import HostSettings
from seawall.app.inventory_image import inventory_image
from seawall.domain.inventory import Inventory

from tests.support.registry import running_registry

pytestmark = [
    pytest.mark.timeout(900),  # debootstrap alone takes a minute on an idle machine
    pytest.mark.real("registry"), pytest.mark.real("skopeo"), pytest.mark.real("podman"), pytest.mark.real("debootstrap"),
]  # fmt: skip


def run(*command: object, cwd: Path | None = None, ok: Sequence[int] = (0,)) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=900)
    assert done.returncode in ok, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def trees(tmp_path_factory) -> dict[str, Path]:
    """Three trees as their package managers install them."""
    folder = tmp_path_factory.mktemp("trees")
    run("debootstrap", "--variant=minbase", "--include=python3-yaml", "bookworm", folder / "debian")
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-compile",
        "--target",
        folder / "pip",
        "flask==2.2.2",
        "PyYAML==6.0.1",
    )
    (folder / "npm").mkdir()
    run(
        "npm",
        "install",
        "--silent",
        "--ignore-scripts",
        "--no-audit",
        "--prefix",
        folder / "npm",
        "express@4.18.2",
        "lodash@4.17.20",
    )
    return {name: folder / name for name in ("debian", "pip", "npm")}


@pytest.fixture(scope="module")
def images(trees, tmp_path_factory):
    """The registry with `base` (three layers, by umoci) and `built` (on top of it, by podman): their references."""
    folder = tmp_path_factory.mktemp("images")
    layout = folder / "layout"
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:base")
    for name, place in (("debian", "/"), ("pip", "/opt/app"), ("npm", "/srv")):
        run(
            "umoci",
            "insert",
            "--image",
            f"{layout}:base",
            "--history.created_by",
            f"install {name}",
            trees[name],
            place,
        )
    with running_registry(folder / "registry") as registry:
        base, built = f"{registry.host}/shop/base:1", f"{registry.host}/shop/built:1"
        run("skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}:base", f"docker://{base}")
        (folder / "Containerfile").write_text(
            f"FROM {base}\nRUN rm -r /srv/node_modules/express && dpkg --remove --force-depends --force-remove-essential tzdata\n"
        )
        (folder / "context").mkdir()
        with tempfile.TemporaryDirectory() as state:  # podman takes no path of over 50 characters for it
            storage = ("--storage-driver", "vfs", "--root", folder / "storage", "--runroot", state)
            run(
                "podman",
                *storage,
                "build",
                "--quiet",
                "--isolation=chroot",
                "--tls-verify=false",
                "--format=docker",
                "-t",
                built,
                "-f",
                folder / "Containerfile",
                folder / "context",
            )
            run("podman", *storage, "push", "--quiet", "--tls-verify=false", built)
        yield {"base": base, "built": built}


def scanned(reference: str) -> Inventory:
    host = reference.partition("/")[0]
    registry = HttpRegistry(lambda _host: None, {host: HostSettings(plain_http=True)})
    with closing(registry):
        return inventory_image(reference, sources=Sources(lambda: registry))


def of_kind(inventory: Inventory, kind: str) -> set[tuple[str, str]]:
    return {(item.name, item.version) for item in inventory.packages if item.purl.startswith(f"pkg:{kind}/")}


def test_what_the_package_managers_say(trees, images):
    inventory = scanned(images["base"])
    assert (inventory.distro.id, inventory.distro.version, inventory.gaps) == ("debian", "12", ())
    query = ("dpkg-query", f"--admindir={trees['debian']}/var/lib/dpkg", "-W", "-f")
    rows = [
        line.split()
        for line in run(
            *query, "${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\\n"
        ).splitlines()
    ]
    ours = {
        (item.name, item.version, item.arch, item.source, item.source_version)
        for item in inventory.packages
        if item.purl.startswith("pkg:deb/")
    }
    assert ours == {tuple(row) for row in rows}
    listed = json.loads(run(sys.executable, "-m", "pip", "list", "--path", trees["pip"], "--format", "json"))
    normal = {(re.sub(r"[-_.]+", "-", item["name"]).lower(), item["version"]) for item in listed}
    assert of_kind(inventory, "pypi") == normal, (
        "python3-yaml of Debian is reported as Debian's, PyYAML of pip as pip's"
    )
    lines = run("npm", "ls", "--all", "--parseable", "--long", "--prefix", trees["npm"]).splitlines()[1:]
    wanted = {tuple(line.split(":")[1].rsplit("@", 1)) for line in lines}
    assert of_kind(inventory, "npm") == wanted


def test_every_package_says_which_layer_and_command_brought_it(images):
    inventory = scanned(images["base"])
    brought = {item.purl.partition("/")[0]: (item.created_by, item.layer) for item in inventory.packages}
    assert {kind: command for kind, (command, _) in brought.items()} == {
        "pkg:deb": "install debian", "pkg:pypi": "install pip", "pkg:npm": "install npm",
    }  # fmt: skip
    assert len({layer for _, layer in brought.values()}) == 3


def test_what_a_later_layer_removes_is_gone(images):
    base, built = scanned(images["base"]), scanned(images["built"])
    assert of_kind(base, "npm") - of_kind(built, "npm") == {("express", "4.18.2")}
    assert {name for name, _ in of_kind(base, "deb") - of_kind(built, "deb")} == {"tzdata"}
    assert of_kind(built, "pypi") == of_kind(base, "pypi")
    status = next(item for item in built.packages if item.name == "dpkg")
    assert "rm -r /srv/node_modules/express" in status.created_by
