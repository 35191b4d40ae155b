"""Files that people write for us, YAML or JSON: read into a model, with the place in the error."""

from __future__ import annotations

from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from seawall.domain.errors import InputError

M = TypeVar("M", bound=BaseModel)


def read_model(model: type[M], text: str, name: str, *, max_bytes: int, empty: Any = None) -> M:
    """Return the document in `text` as `model`; `empty` stands for a document without content.

    Raises:
        InputError: too long, not YAML, or not of that form; it names the file and the place, and says what is expected.
    """
    if len(text) > max_bytes:
        raise InputError(f"{name} has over {max_bytes} bytes")
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{name} is not YAML: {' '.join(str(error).split())}") from error
    try:
        return model.model_validate(document or empty)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InputError(f"{name}: {where}: {problem['msg']}", where=where) from error
