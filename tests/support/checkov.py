"""The real checkov, in a virtual environment of its own: its dependencies do not agree with ours.

Named by SEAWALL_CHECKOV or in the cache folder. `python -m tests.support.checkov` puts it there, out of
`requirements/checkov.lock` with hashes, and prints its path.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parents[2] / "requirements/checkov.lock"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "seawall"


def _cached() -> Path:
    return CACHE / f"checkov-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}-{sys.version_info[1]}"


def path() -> str:
    """Return checkov's path, or empty."""
    program = _cached() / "bin/checkov"
    return os.environ.get("SEAWALL_CHECKOV") or (str(program) if program.exists() else "")


def fetch() -> str:
    """Return checkov's path, installing it when it is not there."""
    if found := path():
        return found
    uv = str(Path(sys.executable).parent / "uv")
    folder = _cached()
    shutil.rmtree(folder, ignore_errors=True)
    try:
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        python = str(folder / "bin/python")
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", LOCK], check=True
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return path()


if __name__ == "__main__":
    sys.stdout.write(fetch() + "\n")
