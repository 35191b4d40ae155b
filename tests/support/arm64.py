"""Debian's arm64 cloud kernel under `qemu-system-aarch64`, with Debian's arm64 Python and libbpf and our own code.

Packages are downloaded with apt, whose lists for arm64 are kept apart from this machine's, and unpacked, never installed;
wheels come with uv for that platform. The VM's whole user space is an initramfs, as in `tests.support.vm`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.vm import CACHE, ROOT

FOLDER = CACHE / "arm64"
NOT_RUN = ("dpkg", "tar", "readline-common", "media-types", "libtirpc-common", "perl-base", "debconf")
"""What the packages need to be installed, not to run."""


def _apt(*words: str, cwd: Path | None = None) -> str:
    state = FOLDER / "apt"
    for each in ("state/lists/partial", "cache/archives/partial"):
        (state / each).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    options = {
        "APT::Architecture": "arm64", "APT::Architectures": "arm64", "Dir::State": state / "state", "Debug::NoLocking": 1,
        "Dir::State::status": state / "status", "Dir::Cache": state / "cache", "APT::Install-Recommends": "false",
    }  # fmt: skip
    command = [words[0], *(word for name, value in options.items() for word in ("-o", f"{name}={value}")), *words[1:]]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def prepare() -> Path:
    """Download and unpack kernel, Python, libbpf, busybox and wheels, once; return the folder."""
    if (FOLDER / "ready").exists():
        return FOLDER
    _apt("apt-get", "update", "-qq")
    found = re.search(r"Depends: (linux-image-\S+)", _apt("apt-cache", "depends", "linux-image-cloud-arm64"))
    assert found, "no cloud kernel is known to apt"
    _apt("apt-get", "install", "-y", "-qq", "--download-only", "python3", "libbpf1", "busybox-static")
    archives = FOLDER / "apt/cache/archives"
    for tree, files in (("root", sorted(archives.glob("*.deb"))), ("kernel", [])):
        shutil.rmtree(FOLDER / tree, ignore_errors=True)
        (FOLDER / tree).mkdir()
        if tree == "kernel":
            _apt("apt-get", "download", "-q", found[1], cwd=FOLDER / tree)
            files = list((FOLDER / tree).glob("*.deb"))
        for file in files:
            if file.name.partition("_")[0] not in NOT_RUN:
                subprocess.run(["dpkg-deb", "-x", str(file), str(FOLDER / tree)], check=True)
    python = next((FOLDER / "root/usr/bin").glob("python3.*")).name.removeprefix("python")
    shutil.rmtree(FOLDER / "site", ignore_errors=True)
    subprocess.run(
        [Path(sys.executable).parent / "uv", "pip", "install", "-q", "--target", FOLDER / "site", "--only-binary", ":all:",
         "--python-platform", "aarch64-manylinux_2_28", "--python-version", python, "--require-hashes", "-r",
         ROOT / "requirements/sensor.lock"],
        check=True,
    )  # fmt: skip
    (FOLDER / "ready").touch()
    return FOLDER


def initramfs(work: Path, init: str) -> Path:
    """Return a compressed archive with everything the sensor needs and `init` as process 1."""
    prepared, root = prepare(), work / "root"
    leave = shutil.ignore_patterns(
        "test", "tests", "doc", "man", "locale", "idlelib", "lib2to3", "pydoc_data", "__pycache__"
    )
    shutil.copytree(prepared / "root", root, symlinks=True, ignore=leave)
    shutil.copytree(prepared / "site", root / "site", ignore=shutil.ignore_patterns("tests", "__pycache__"))
    for package in ("shared/seawall", "sensor/seawall_sensor"):
        left = shutil.ignore_patterns("console", "*.x86_64.*", "__pycache__")
        shutil.copytree(ROOT / package, root / "site" / Path(package).name, ignore=left)
    for each in ("proc", "sys", "dev", "run", "tmp", "var/lib"):
        (root / each).mkdir(parents=True, exist_ok=True)
    shutil.copy(next(prepared.glob("kernel/lib/modules/*/kernel/fs/overlayfs/overlay.ko")), root / "overlay.ko")
    (root / "init").write_text(init)
    (root / "init").chmod(0o755)
    archive = work / "initramfs.gz"
    subprocess.run(f"cd {root} && find . | cpio -o -H newc --quiet | gzip -1 > {archive}", shell=True, check=True)
    return archive


def boot(archive: Path, *, timeout_s: int = 900) -> str:
    """Boot it and return what the serial console said until the VM switched itself off."""
    image = next((prepare() / "kernel/boot").glob("vmlinuz-*"))
    done = subprocess.run(
        [
            "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "2048", "-nographic",
            "-no-reboot", "-nic", "none", "-kernel", str(image), "-initrd", str(archive),
            "-append", "console=ttyAMA0 quiet panic=-1 lsm=capability,bpf",
        ],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False,
    )  # fmt: skip
    return re.sub(r"\x1b[^a-zA-Z]*[a-zA-Z]", "", done.stdout.decode(errors="replace").replace("\r", ""))
