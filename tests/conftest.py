"""Real parts: a test marked `real("x")` skips when x is missing, and fails when `SEAWALL_REQUIRE` names x."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import checkov, helm, terraform

# No test is timed: a busy machine is not a defect. Examples that failed are printed with what reproduces them.
settings.register_profile("seawall", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("seawall")

pytest_plugins = ["tests.support.fixtures"]

SHARED_DATA = Path(__file__).parents[2] / "shared"
_NPM = Path(__file__).parent / "support/npm/node_modules"
SARIF_SCHEMA = _NPM / "@microsoft/sarif-matcher-utils/lib/schemas/sarif-2.1.0-rtm.5.json"
AZURITE = Path(__file__).parent / "support/npm/node_modules/.bin/azurite"


def _kernel_bpf() -> bool:
    return os.geteuid() == 0 and Path("/sys/kernel/btf/vmlinux").exists() and shutil.which("clang") is not None


def _postgres() -> bool:
    return shutil.which("initdb") is not None or bool(list(Path("/usr/lib/postgresql").glob("*/bin/initdb")))


def _kusto() -> bool:
    """Node and Microsoft's Kusto language library."""
    return shutil.which("node") is not None and (AZURITE.parents[1] / "@kusto/language-service-next").is_dir()


def _azurite() -> bool:
    return shutil.which("azurite") is not None or AZURITE.exists()


def _module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _kube_apiserver() -> bool:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return (
        shutil.which("etcd") is not None
        and shutil.which("kubectl") is not None
        and (cache / "seawall" / "kube-apiserver").exists()
    )


PARTS: dict[str, tuple[Callable[[], bool], str]] = {
    "cosign": (
        lambda: shutil.which("cosign") is not None,
        "go install github.com/sigstore/cosign/v2/cmd/cosign@v2.6.0",
    ),
    "registry": (lambda: shutil.which("docker-registry") is not None, "apt-get install docker-registry"),
    "postgres": (_postgres, "apt-get install postgresql"),
    "podman": (lambda: shutil.which("podman") is not None, "apt-get install podman"),
    "skopeo": (lambda: shutil.which("skopeo") is not None, "apt-get install skopeo umoci"),
    "debootstrap": (
        lambda: shutil.which("debootstrap") is not None and shutil.which("umoci") is not None and os.geteuid() == 0,
        "root, apt-get install debootstrap umoci",
    ),
    "tmpfs": (lambda: sys.platform == "linux" and os.geteuid() == 0, "root on Linux: file systems are mounted"),
    "qemu": (
        lambda: shutil.which("qemu-system-x86_64") is not None,
        "apt-get install qemu-system-x86 busybox-static cpio",
    ),
    "ebpf": (_kernel_bpf, "root, a kernel with BTF, apt-get install clang llvm libbpf-dev bpftool"),
    "azurite": (_azurite, "npm ci --prefix tests/support/npm"),
    "sarif-schema": (SARIF_SCHEMA.exists, "npm ci --prefix tests/support/npm"),
    "azure-functions": (lambda: _module("azure_functions_runtime"), "run with Python 3.13 (make setup)"),
    "lambda": (lambda: _module("awslambdaric"), "Linux (make setup)"),
    "kube-apiserver": (_kube_apiserver, "apt-get install etcd-server; tests/kube/build.sh (needs Go)"),
    "helm": (
        lambda: bool(helm.path()),
        "python -m tests.support.helm",
    ),
    "checkov": (lambda: bool(checkov.path()), "python -m tests.support.checkov"),
    "kusto": (_kusto, "npm ci --prefix tests/support/npm"),
    "terraform": (
        lambda: shutil.which("terraform") is not None,
        "install Terraform 1.9 or newer",
    ),
    "terraform-aws": (
        lambda: shutil.which("terraform") is not None and terraform.mirror() is not None,
        "install Terraform 1.9 or newer; SEAWALL_TERRAFORM_MIRROR = a filesystem mirror with hashicorp/aws",
    ),
    "python313": (lambda: sys.version_info >= (3, 13), "run with Python 3.13"),
    "shared": (lambda: (SHARED_DATA / "data").is_dir(), "the data folder that lies beside a developer's checkout"),
}
"""Name of a real part: (is it here, how to get it). `SEAWALL_REQUIRE` is a comma list of these names."""


# A file is run by one process: what takes a minute begins early, or the others wait for it in the end. Those that wait most first.
LONGEST = [
    "infra/test_terraform.py",
    "sensor/test_vm.py",
    "e2e/test_real_images.py",
    "functions/test_scenarios.py",
    "functions/test_packages.py",
    "functions/test_job_queues.py",
    "infra/test_checkov.py",
    "functions/test_telemetry.py",
    "infra/test_terraform_matches.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    order = {here / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))
    astray = [
        item.nodeid for item in items if item.get_closest_marker("bpf") and here / "sensor" not in item.path.parents
    ]
    if astray:
        raise pytest.UsageError(f"`make test` looks for the mark `bpf` in tests/sensor only: {astray[0]}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    required = {part for part in os.environ.get("SEAWALL_REQUIRE", "").split(",") if part}
    names = [mark.args[0] for mark in item.iter_markers("real")] + (
        ["shared"] if item.get_closest_marker("shared") else []
    )
    for name in names:
        here, how = PARTS[name]
        if here():
            continue
        if name in required:
            pytest.fail(f"SEAWALL_REQUIRE names {name!r}, which is missing: {how}")
        pytest.skip(f"{name} is missing: {how}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = {
        report.longrepr[2] for report in terminalreporter.stats.get("skipped", []) if isinstance(report.longrepr, tuple)
    }
    missing = sorted(reason.removeprefix("Skipped: ") for reason in reasons if " is missing: " in reason)
    if missing:
        terminalreporter.section("real parts that were missing")
        for reason in missing:
            terminalreporter.line(reason)


@pytest.fixture
def shared_data() -> Path:
    """The data folder beside the checkout; use with `@pytest.mark.shared`."""
    return SHARED_DATA / "data"
