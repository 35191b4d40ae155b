"""Writes the cases as examples into the package: `python -m tests.detection.cases`."""

from __future__ import annotations

from pathlib import Path

from seawall.detection import examples

from tests.detection.cases.collect import document

Path(examples.__file__).with_name("examples.json").write_bytes(document())
