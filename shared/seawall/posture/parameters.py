"""Settings of controls in a YAML file."""

from __future__ import annotations

from typing import Any

from seawall.domain.errors import InputError
from seawall.posture.engine import checks
from seawall.posture.yaml_reader import documents


def read_parameters(data: bytes, where: str) -> dict[str, dict[str, Any]]:
    """Return the settings in a YAML document: control id, then name and value.

    Raises:
        InputError: a control or a setting that there is not; the message names what there is.
    """
    found: dict[str, dict[str, Any]] = {}
    for document in documents(data):
        if document.error or not isinstance(document.value, dict):
            raise InputError(f"{where}: {document.error or 'expected a mapping by control id'}")
        for name, values in document.value.items():
            known = checks().get(str(name))
            if known is None:
                raise InputError(f"{where}: no such control: {name}")
            unknown = set(values) - set(known.parameters) if isinstance(values, dict) else {"(not a mapping)"}
            if unknown:
                raise InputError(
                    f"{where}: {name} has no setting {', '.join(sorted(unknown))}",
                    hint=f"it has: {', '.join(known.parameters) or 'none'}",
                )
            found[str(name)] = values
    return found
