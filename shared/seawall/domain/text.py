"""Text of others, made fit to be shown."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    """Return `text` with U+FFFD for what is not printed but acts: control characters, escapes, changes of direction.

    Args:
        text: From an image, a cluster, an event: anyone may have written it.
        keep: Characters that stay all the same, such as line breaks.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else "\ufffd" for char in text)
