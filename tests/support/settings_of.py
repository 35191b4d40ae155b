"""Names of environment variables that the settings know."""

from __future__ import annotations

from seawall.settings import Settings


def check(name: str) -> None:
    """Raise KeyError where `name` (SEAWALL_A__B) is no setting."""
    first, *rest = name.removeprefix("SEAWALL_").lower().split("__")
    field = Settings.model_fields[first]
    for part in rest:
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        field = next(kind for kind in kinds if hasattr(kind, "model_fields")).model_fields[part]
