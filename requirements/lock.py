"""Resolve `pyproject.toml` into hash-locked files that name no package index.

One universal resolution for Python 3.11 to 3.13 on Linux and macOS: `python -m requirements.lock [--upgrade]`.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
COMMON = [
    "--universal",
    "--generate-hashes",
    "--no-header",
    "--no-annotate",
    "--no-emit-index-url",
    "--python-version",
    "3.11",
    "--quiet",
]
APPS = {
    "azure": ["azure", "telemetry"],
    "azure-sync": ["azure", "defender-sync", "telemetry"],
    "aws": ["aws"],
    "gcp": ["gcp", "telemetry"],
    "sensor": ["sensor"],
    "server": ["server", "azure", "aws", "gcp", "reports", "telemetry", "terraform"],
}
"""Function app, or the sensor's or server's image: the extras of its package. msgraph-sdk (hundreds of MB) only where decisions are synced back."""
EXTRAS = ["azure", "defender-sync", "aws", "gcp", "server", "sensor", "sigma", "telemetry", "terraform", "dev"]


def main() -> int:
    """Write `dev.lock` (every extra), `uv.lock` (the installer itself), `checkov.lock` (kept apart) and one lock per function app, of the same versions."""
    uv = str(Path(sys.executable).parent / "uv")
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    project = str(HERE.parent / "pyproject.toml")
    apps = [
        [
            project,
            *(word for extra in chosen for word in ("--extra", extra)),
            "-c",
            str(HERE / "dev.lock"),
            "-o",
            str(HERE / f"{app}.lock"),
        ]
        for app, chosen in APPS.items()
    ]
    for arguments in (
        [project, *extras, "-o", str(HERE / "dev.lock")],
        [str(HERE / "uv.in"), "-o", str(HERE / "uv.lock")],
        [str(HERE / "checkov.in"), "-o", str(HERE / "checkov.lock")],
        *apps,
    ):
        subprocess.run([uv, "pip", "compile", *COMMON, *arguments, *sys.argv[1:]], check=True)  # noqa: S603
    return 0


if __name__ == "__main__":
    sys.exit(main())
