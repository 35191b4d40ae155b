"""Attack edges and the paths that they make: what reaches what."""

from importlib.util import find_spec


def is_available() -> bool:
    """Whether paths can be searched here: rustworkx comes with the server, and is too large for the function apps."""
    return find_spec("rustworkx") is not None
