"""Debian's cloud kernel under QEMU, without KVM: another kernel than this machine's, with the BPF security module.

The kernel package is downloaded with apt and unpacked, never installed; SEAWALL_VM_KERNEL names the folder of another one that was
unpacked so (`dpkg-deb -x`), such as that of an older or newer Debian. The VM's whole user space is an initramfs: static
busybox, this Python with the modules that the sensor loads, libbpf, and one script that runs as process 1.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "seawall" / "vm"
LEFT_OUT = shutil.ignore_patterns(
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "lib2to3",
    "pydoc_data",
    "config-*",
    "*.a",
    "site-packages",
    "_bpf",
)


def kernel() -> Path:
    """Return the folder of the newest cloud kernel of this Debian release, downloaded once, or of the one that was asked for."""
    if chosen := os.environ.get("SEAWALL_VM_KERNEL"):
        return Path(chosen)
    depends = _apt("apt-cache", "depends", "linux-image-cloud-amd64")
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    assert found, f"no cloud kernel is known to apt: {depends}"
    package = found[1]
    folder = CACHE / package
    if not (folder / "boot").is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as place:
            _apt("apt-get", "download", "-q", package, cwd=place)
            unpacked = Path(place) / "unpacked"
            subprocess.run(["dpkg-deb", "-x", str(next(Path(place).glob("*.deb"))), str(unpacked)], check=True)
            unpacked.rename(folder)
    return folder


def _apt(*command: str, cwd: str | None = None) -> str:
    """Return what apt printed; a machine without package lists, or with lists that are too old, reads them first."""
    for last in (False, True):
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=last)
        if done.returncode == 0:
            return done.stdout
        subprocess.run(["apt-get", "update", "-qq"], capture_output=True, timeout=300, check=True)
    raise AssertionError


def loaded() -> set[Path]:
    """Return the entries of site-packages that the sensor loads, whatever it is asked to do."""
    modules = " ".join(
        f"seawall_sensor.{each}" for each in ("cli", "check", "running", "receiving", "enforcement", "policy", "sensor")
    )
    code = (
        f"import importlib, sys\nfor name in {modules!r}.split(): importlib.import_module(name)\n"
        "from seawall.catalog import collect\nfrom seawall.detection.declaration import Detection\n"
        "collect('seawall.detection.rules.runtime', Detection)\n"
        "print('\\n'.join(getattr(each, '__file__', None) or '' for each in list(sys.modules.values())))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    site = Path(sysconfig.get_path("purelib"))
    paths = [Path(line) for line in done.stdout.splitlines()]
    return {site / path.relative_to(site).parts[0] for path in paths if path.is_relative_to(site)}


def initramfs(
    work: Path, init: str, *, modules: tuple[str, ...] = (), programs: Mapping[str, Path] | None = None
) -> Path:
    """Return a compressed archive with everything the sensor needs, `programs` in /bin by name, and `init` as process 1."""
    root = work / "root"
    for each in ("bin", "proc", "sys", "dev", "run", "tmp", "etc", "var/lib", "lib/modules"):
        (root / each).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name, program in (programs or {}).items():
        shutil.copy(program, root / "bin" / name)
    (root / "init").write_text(init)
    (root / "init").chmod(0o755)
    for name in modules:
        # Compressed since Debian 13.
        module = next(kernel().glob(f"**/lib/modules/*/kernel/{name}*"))
        if module.suffix == ".xz":
            (root / "lib/modules" / Path(name).name).write_bytes(lzma.decompress(module.read_bytes()))
        else:
            shutil.copy(module, root / "lib/modules")
    # Python where it expects itself to be.
    base = Path(sys.base_prefix)
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    into = root / str(base).lstrip("/")
    (into / "bin").mkdir(parents=True)
    shutil.copy(Path(sys.executable).resolve(), into / "bin" / python)
    shutil.copytree(base / "lib" / python, into / "lib" / python, ignore=LEFT_OUT, symlinks=False)
    (root / "bin/python").symlink_to(f"{base}/bin/{python}")
    site = root / "site"
    site.mkdir()
    for module in loaded():
        if module.is_dir():
            shutil.copytree(module, site / module.name, ignore=LEFT_OUT)
        else:
            shutil.copy(module, site)
    for package in ("shared/seawall", "sensor/seawall_sensor"):
        shutil.copytree(
            ROOT / package, site / Path(package).name, ignore=shutil.ignore_patterns("console", "*.aarch64.*")
        )
    shutil.copytree(ROOT / "sensor/seawall_sensor/_bpf", site / "seawall_sensor/_bpf", dirs_exist_ok=True)
    for info in Path(sysconfig.get_path("purelib")).glob("seawall*.dist-info"):
        shutil.copytree(info, site / info.name)
    _libraries(root)
    archive = work / "initramfs.gz"
    subprocess.run(f"cd {root} && find . | cpio -o -H newc --quiet | gzip -1 > {archive}", shell=True, check=True)
    return archive


def _libraries(root: Path) -> None:
    """Copy the shared libraries that programs and modules in the tree name, and libbpf."""
    files = [
        path
        for path in root.rglob("*")
        if path.is_file() and (path.suffix == ".so" or ".so." in path.name or os.access(path, os.X_OK))
    ]
    named = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    wanted = set(re.findall(r"libbpf\.so\.1 .*=> (\S+)", named))
    files += [Path(each) for each in wanted]
    for start in range(0, len(files), 200):
        listed = subprocess.run(
            ["ldd", *files[start : start + 200]], capture_output=True, text=True, check=False
        ).stdout
        wanted |= set(re.findall(r"(/\S+\.so\S*) \(0x", listed))
    for library in wanted:
        to = root / library.lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        if not to.exists():
            shutil.copy(library, to)


def boot(archive: Path, *, lsm: str = "capability,bpf", memory_mb: int = 1536, timeout_s: int = 600) -> str:
    """Boot it and return what the serial console said until the VM switched itself off."""
    # no_timer_check: an emulator that is short of processor time fails the kernel's test of its timer now and then.
    image = next((kernel() / "boot").glob("vmlinuz-*"))
    done = subprocess.run(
        [
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", str(memory_mb), "-nographic",
            "-no-reboot", "-nic", "none", "-kernel", str(image), "-initrd", str(archive),
            "-append", f"console=ttyS0 quiet panic=-1 no_timer_check lsm={lsm}",
        ],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False,
    )  # fmt: skip
    return re.sub(r"\x1b[^a-zA-Z]*[a-zA-Z]", "", done.stdout.decode(errors="replace").replace("\r", ""))
