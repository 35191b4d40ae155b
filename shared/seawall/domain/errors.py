"""Every error that Seawall raises on purpose, and what an operator does next."""

from __future__ import annotations


class SeawallError(Exception):
    """A failure with a message for people and a `hint`: what an operator does next (may be empty)."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InputError(SeawallError):
    """The caller's data: refuse, dead-letter, no retry. `where` points into the input (a JSON pointer, a line)."""

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(message, hint=hint)
        self.where = where


class MalformedEvent(InputError):
    """An event that is not in the form its source promises."""


class UnsupportedImage(InputError):
    """An image, index or layer in a form that we do not unpack."""


class TooLarge(InputError):
    """Input over a documented limit."""


class Unauthenticated(SeawallError):
    """The caller did not prove who it is: a missing or wrong signature, token or certificate."""


class RemoteError(SeawallError):
    """A service that we depend on failed."""


class Unavailable(RemoteError):
    """Time-out, 5xx or throttling: the platform retries. `retry_after_s` as the service asked, else None."""

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class Denied(RemoteError):
    """The service refused us; the message names the permission that is missing."""


class NotFound(RemoteError):
    """The service does not have it; the message names the reference."""


class ConfigError(SeawallError):
    """This deployment is set up wrongly."""


class MissingExtra(ConfigError):
    """A feature needs an optional dependency, `pip install seawall[<extra>]`."""

    def __init__(self, extra: str, feature: str) -> None:
        super().__init__(f"{feature} needs the extra {extra!r}", hint=f"pip install 'seawall[{extra}]'")


class MissingSetting(ConfigError):
    """A setting that this feature needs is not set."""

    def __init__(self, name: str, feature: str) -> None:
        super().__init__(
            f"{feature} needs the setting {name}",
            hint=f"set {name}, or `{name.removeprefix('SEAWALL_').lower()}` in the YAML file",
        )
