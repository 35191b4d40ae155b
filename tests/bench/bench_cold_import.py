"""Cold import of every function app, in a process of its own each time: median processor seconds, against 0.5.

make bench-cold-import
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
APPS = {"azure": "function_app", "aws": "handlers", "gcp": "main"}
LIMIT_S = 0.5
PROBE = "import time; t = time.process_time(); import {module}; print(time.process_time() - t)"


def main() -> int:
    """Print a line per app; 1 when one is over the limit."""
    worst = 0.0
    for cloud, module in APPS.items():
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "functions" / cloud)}
        times = [
            float(
                subprocess.run(
                    [sys.executable, "-c", PROBE.format(module=module)],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            for _ in range(7)
        ]
        median = statistics.median(times)
        worst = max(worst, median)
        print(f"{cloud}: {median:.3f} s, {median / LIMIT_S:.2f} of the limit")
    return int(worst > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
