"""The admission policy of this deployment: a file that may change while we run, or JSON out of the settings."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from seawall.admission.policy import AdmissionPolicy
from seawall.domain.errors import ConfigError, InputError
from seawall.formats import admission_policy

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 5.0


class PolicyFile:
    """Returns the policy when called. A changed file that is wrong is logged, and the policy before it stays.

    Raises:
        ConfigError: when made, the file cannot be read or has a mistake.
    """

    def __init__(self, place: str) -> None:
        self._path = None if place.lstrip().startswith("{") else Path(place)
        self._looked = time.monotonic()
        try:
            self._state = self._stat()
            text = place if self._path is None else self._path.read_text(encoding="utf-8")
            self._policy = admission_policy.read(text, "admission.policy" if self._path is None else place)
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"admission.policy {place!r} cannot be read: {error}") from error
        except InputError as error:
            raise ConfigError(error.message) from error

    def __call__(self) -> AdmissionPolicy:
        """Return the present policy."""
        if self._path is not None and time.monotonic() - self._looked >= LOOK_AGAIN_S:
            self._looked = time.monotonic()
            self._look_again(self._path)
        return self._policy

    def _look_again(self, path: Path) -> None:
        try:
            state = self._stat()
            if state != self._state:
                self._policy = admission_policy.read(path.read_text(encoding="utf-8"), str(path))
                self._state = state
                log.warning("admission policy read again", extra={"path": str(path)})
        except (OSError, UnicodeError, InputError) as error:
            log.error("admission policy not read, the one before stays", extra={"error": str(error)})

    def _stat(self) -> tuple[int, int]:
        if self._path is None:
            return 0, 0
        found = self._path.stat()
        return found.st_mtime_ns, found.st_ino
