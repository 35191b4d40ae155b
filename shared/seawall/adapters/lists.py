"""Lists of a deployment (addresses, images, digests), one entry a line, from files and over HTTPS."""

from __future__ import annotations

from pathlib import Path

from seawall.domain.errors import ConfigError, Unavailable

MAX_BYTES = 64 * 1024 * 1024
TIMEOUT_S = 30


def read_list(place: str) -> tuple[str, ...]:
    """Return the entries of a list at a path or URL; empty lines and what follows `#` is left out.

    Raises:
        ConfigError: there is no such file, or it is over 64 MiB.
        Unavailable: the URL does not answer with it.
    """
    lines = (line.partition("#")[0].strip() for line in read_text(place).splitlines())
    return tuple(line for line in lines if line)


def read_text(place: str) -> str:
    """Return the text at a path or URL.

    Raises:
        ConfigError, Unavailable: as for `read_list`.
    """
    return _fetched(place) if place.startswith(("https://", "http://")) else _read(Path(place))


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"the list {path} is over 64 MiB")
        return path.read_text("utf-8", "replace")
    except OSError as error:
        raise ConfigError(f"the list {path} cannot be read: {error.strerror or error}") from error


def _fetched(url: str) -> str:
    import httpx

    try:
        with httpx.stream("GET", url, timeout=TIMEOUT_S, follow_redirects=True) as answer:
            answer.raise_for_status()
            body = bytearray()
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise ConfigError(f"the list {url} is over 64 MiB")
    except httpx.HTTPError as error:
        raise Unavailable(f"the list {url} cannot be fetched: {error}") from error
    return body.decode("utf-8", "replace")
