"""A real container from an image with a real package database: what it really used is said, what lies there unused is not."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from .conftest import HIDE_V2, PODMAN, Running

pytestmark = [pytest.mark.real("ebpf"), pytest.mark.real("podman"), pytest.mark.bpf]

IMAGE = "seawall-test-debian"
INFO = Path("/var/lib/dpkg/info")


def _package_of(path: Path) -> str:
    done = subprocess.run(["dpkg", "-S", str(path)], capture_output=True, text=True, check=False)
    if done.returncode:  # the database knows it by its name before /usr was merged
        done = subprocess.run(
            ["dpkg", "-S", str(path).removeprefix("/usr")], capture_output=True, text=True, check=True
        )
    return done.stdout.partition(": ")[0]


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> str:
    """busybox for a shell; coreutils' cat with its libraries, gzip that nobody runs, and their rows of dpkg's database."""
    root = tmp_path_factory.mktemp("debian") / "root"
    files = {Path("/usr/bin/cat"), Path("/usr/bin/gzip")}
    shown = subprocess.run(["ldd", "/usr/bin/cat"], check=True, capture_output=True, text=True).stdout
    files |= {Path(word) for word in shown.split() if word.startswith("/")}
    packages = set()
    for file in files:
        target = root / str(file).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file.resolve(), target)
        packages.add(_package_of(file.resolve()))
    for name in packages:
        list_file = next(
            each for each in (INFO / f"{name}.list", INFO / f"{name.partition(':')[0]}.list") if each.exists()
        )
        (root / "var/lib/dpkg/info").mkdir(parents=True, exist_ok=True)
        shutil.copy(list_file, root / "var/lib/dpkg/info")
    (root / "bin").mkdir(exist_ok=True)
    shutil.copy("/bin/busybox", root / "bin/sh")
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    for name in ("proc", "sys", "dev", "tmp"):
        (root / name).mkdir()
    with tarfile.open(root.parent / "root.tar", "w") as tar:
        tar.add(root, ".")
    subprocess.run(["podman", "import", "-q", str(root.parent / "root.tar"), IMAGE], check=True, capture_output=True)
    return IMAGE


@pytest.fixture
def held(debian):
    """Start containers that stay, and remove them."""
    names: list[str] = []

    def start(name: str, line: str) -> str:
        command = ["podman", "run", "-d", *PODMAN, "--network", "none", "--name", name, debian, "/bin/sh", "-c", line]
        names.append(name)
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", HIDE_V2, "sh", *command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    yield start
    for name in names:
        subprocess.run(["podman", "rm", "-f", "-t", "0", name], capture_output=True, check=False)


def used_of(line: dict, identity: str) -> dict:
    """What a line says of one container: an inventory of the node, or a change of the container itself."""
    if line.get("event") == "node_inventory":
        return next((each for each in line.get("containers", []) if each["container"]["id"] == identity), {})
    return line if line.get("event") == "image_in_use" and line["container"]["id"] == identity else {}


def test_packages_in_use(programs, held):
    before = held(
        "seawall-test-before", "mkfifo /tmp/p; exec /usr/bin/cat /tmp/p"
    )  # its libraries are mapped before the sensor starts
    running = Running()
    try:
        running.wait_for(lambda line: line["kind"] == "heartbeat" and line["state"] == "ready", 30)
        older = used_of(running.wait_for(lambda line: bool(used_of(line, before).get("packages")), 60), before)
        beside = held("seawall-test-after", "/usr/bin/cat /etc/passwd; sleep 60")
        used = used_of(running.wait_for(lambda line: bool(used_of(line, beside).get("packages")), 90), beside)
    finally:
        running.stop()
    for use in (older, used):
        assert {"deb/coreutils", "deb/libc6"} <= set(use["packages"])
        assert "deb/gzip" not in use["packages"]
        assert use["container"]["image"].startswith(f"localhost/{IMAGE}")
        assert use["container"]["image_digest"].startswith("sha256:")
    assert used["executed"] == ["/bin/sh"]
