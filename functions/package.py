"""Build the deployable artefact of one cloud: `python functions/package.py azure|azure-sync|aws|gcp [--platform P]`.

The artefact holds everything: the triggers, a hash-locked `requirements.txt`, the wheel, and the installed packages as
the cloud expects them (`.python_packages/lib/site-packages` for Azure, beside the handlers for AWS and Google), compiled.
Nothing is fetched when it is deployed or started. What the apps never load is left out.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
PYTHON_VERSION = "3.13"
UNUSED = (
    "pygments", "rich", "typer", "shellingham", "markdown_it", "mdurl", "sqlalchemy/testing", "sqlalchemy/dialects/mssql",
    "sqlalchemy/dialects/mysql", "sqlalchemy/dialects/oracle", "alembic/testing", "alembic/templates", "boto3/examples",
    "zstandard/_cffi*", "zstandard/backend_cffi*", "cffi", "pycparser", "boto3/data",
    "azure/eventhub/aio", "azure/identity/aio", "pydantic/v1", "ruamel", "seawall_sensor", "fastapi_offline/static/redoc*", "pydantic/mypy*", "azure/eventhub/_pyamqp/aio", "sqlalchemy/ext/asyncio", "sqlalchemy/ext/mypy", "numpy",
)  # fmt: skip
"""Of the command line, of development, of databases that we do not speak; no trigger imports them."""
BOTOCORE_SERVICES = (
    "sts", "s3", "sqs", "ecr", "eks", "kms", "securityhub", "secretsmanager", "kinesis", "logs",
    "sso", "sso-oidc", "signin",
)  # fmt: skip
"""Service models that we call; the others are nine tenths of botocore."""

LAMBDA_UNUSED = ("fastapi_offline/static/*.js", "fastapi_offline/static/*.css", "charset_normalizer", "sqlalchemy/orm")
"""The pages at /docs (the OpenAPI document itself stays), guesses of encodings that no API we call needs, and the half of
SQLAlchemy that maps objects: the store speaks Core."""
OWN = ("handlers.py", "main.py", "function_app.py")
"""Entry points stay as they are."""


@dataclass(frozen=True, slots=True)
class Target:
    """How one cloud wants it."""

    source: str
    lock: str
    packages: str
    platform: str
    limit_mb: float
    unused: tuple[str, ...] = ()


TARGETS = {
    "azure": Target("azure", "azure", ".python_packages/lib/site-packages", "x86_64-manylinux_2_28", 250),
    "azure-sync": Target("azure", "azure-sync", ".python_packages/lib/site-packages", "x86_64-manylinux_2_28", 600),
    "aws": Target("aws", "aws", ".", "aarch64-manylinux_2_28", 60, LAMBDA_UNUSED),
    "gcp": Target("gcp", "gcp", "packages", "x86_64-manylinux_2_28", 250),
}


def main() -> int:
    """Build, report the sizes; 1 when the artefact is larger than it may be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--platform", default="", help="as `uv pip install --python-platform` takes it, or `here`")
    parser.add_argument("--output", type=Path, default=DIST)
    parser.add_argument(
        "--loose", action="store_true", help="leave sources as they are and write no zip: it is quicker"
    )
    arguments = parser.parse_args()
    target = TARGETS[arguments.target]
    folder = arguments.output / arguments.target
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(
        ROOT / "functions" / target.source, folder, ignore=shutil.ignore_patterns("__pycache__", ".funcignore")
    )
    write_requirements(folder, target)
    install(folder, target, arguments.platform or target.platform, loose=arguments.loose)
    if arguments.loose:
        return 0
    archive = arguments.output / f"seawall-{arguments.target}.zip"
    pack(folder, archive)
    unpacked_mb = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    sys.stdout.write(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB, {unpacked_mb:.1f} MB unpacked\n")
    if unpacked_mb > target.limit_mb:
        sys.stderr.write(f"{arguments.target} may have {target.limit_mb:.0f} MB unpacked\n")
        return 1
    return 0


def write_requirements(folder: Path, target: Target) -> None:
    """Build the wheel into `wheels/` and write the hash-locked `requirements.txt` that names it."""
    wheels = folder / "wheels"
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels))
    (wheel,) = wheels.glob("*.whl")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = (ROOT / "requirements" / f"{target.lock}.lock").read_text()
    (folder / "requirements.txt").write_text(f"{lock}./wheels/{wheel.name} --hash=sha256:{digest}\n")


def install(folder: Path, target: Target, platform: str, *, loose: bool = False) -> None:
    """Install the locked packages for `platform` into the folder, without what the apps never load; compiled unless `loose`."""
    place = folder / target.packages
    where = [] if platform == "here" else ["--python-platform", platform]
    run(
        str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--target", str(place), "--no-deps",
        "--require-hashes", "--only-binary", ":all:", "--link-mode", "copy", "--python-version", PYTHON_VERSION, *where,
        "-r", "requirements.txt", cwd=folder,
    )  # fmt: skip
    shutil.rmtree(folder / "wheels") if target.source == "aws" else None
    for name in (*UNUSED, *target.unused):
        for found in list(place.glob(name)):
            shutil.rmtree(found) if found.is_dir() else found.unlink()
    for folder_name in ("tests", "test", "bin"):
        for found in list(place.rglob(folder_name)):
            if found.is_dir() and (folder_name != "bin" or found.parent == place):
                shutil.rmtree(found)
    for pattern in ("*.pyi", "*.pyx", "*.pxd", "*.c", "*.h"):
        for found in list(place.rglob(pattern)):
            found.unlink()
    models = place / "botocore" / "data"
    if models.is_dir():
        for service in [path for path in models.iterdir() if path.is_dir() and path.name not in BOTOCORE_SERVICES]:
            shutil.rmtree(service)
    for found in list(place.glob("*.dist-info/RECORD")):
        found.unlink()
    endpoints = models / "endpoints.json"
    if endpoints.exists():  # botocore's loader reads both forms
        endpoints.with_suffix(".json.gz").write_bytes(gzip.compress(endpoints.read_bytes(), 9, mtime=0))
        endpoints.unlink()
    if not loose:
        strip(place)
        compile_packages(place)


def strip(place: Path) -> None:
    """Take debugging symbols out of extension modules, for any processor, where LLVM is installed."""
    program = shutil.which("llvm-strip") or next(
        (path for n in range(30, 10, -1) if (path := shutil.which(f"llvm-strip-{n}"))), None
    )
    if program is None:
        sys.stderr.write("not stripped: llvm-strip is not installed (apt-get install llvm)\n")
        return
    libraries = [path for path in place.rglob("*.so*") if path.is_file() and ".libs" not in str(path)]
    run(program, "--strip-unneeded", *map(str, libraries))


def compile_packages(place: Path) -> None:
    """Ship bytecode instead of sources: importing from sources costs four times as much, both take twice the room."""
    if sys.version_info[:2] != tuple(map(int, PYTHON_VERSION.split("."))):
        sys.stderr.write(f"not compiled: that needs Python {PYTHON_VERSION}\n")
        return
    compiler = (sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")
    ours = [path for path in place.iterdir() if path.name in ("seawall", "seawall_sensor")]
    theirs = [path for path in place.iterdir() if path not in ours and not path.name.endswith(".dist-info")]
    run(*compiler, "-b", "-o", "2", *map(str, theirs), check=False)
    run(*compiler, "-b", *map(str, ours))
    for path in [*theirs, *ours]:
        sources = [path] if path.suffix == ".py" else list(path.rglob("*.py")) if path.is_dir() else []
        for source in sources:
            if source.with_suffix(".pyc").exists() and source.name not in OWN and "migrations" not in source.parts:
                source.unlink()


def pack(folder: Path, archive: Path) -> None:
    """Write the zip; the same content gives the same bytes."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (2026, 1, 1, 0, 0, 0))
                entry.external_attr = 0o644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                packed.writestr(entry, path.read_bytes())


def run(*command: str, cwd: Path = ROOT, check: bool = True) -> None:
    """Run a program; its failure is ours."""
    subprocess.run(command, cwd=cwd, check=check)


if __name__ == "__main__":
    sys.exit(main())
