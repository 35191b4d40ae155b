"""One batch of a trigger, item by item: what failed for now, what is poison, and that the rest succeeded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from seawall.domain.errors import InputError, SeawallError, Unauthenticated

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """Item `index` of the batch failed in a way that may pass."""

    index: int
    error: Exception


def deliver(
    items: Iterable[T], handle: Callable[[T], object], poison: Callable[[T, str], object], *, last: bool = False
) -> list[Failure]:
    """Handle every item; return those to try again, in order.

    What no retry can help goes to `poison(item, reason)`. An error that we did not foresee is tried again, and is poison
    at the `last` try, so that it neither blocks a stream nor gets lost. When `poison` itself fails, the item is a failure.
    """
    failures: list[Failure] = []
    for index, item in enumerate(items):
        try:
            try:
                handle(item)
            except (InputError, Unauthenticated) as error:
                _poison(poison, item, error)
            except SeawallError:
                raise
            except Exception as error:
                log.exception("job failed in a way that was not foreseen")
                if not last:
                    raise
                _poison(poison, item, error)
        except Exception as error:  # noqa: BLE001 - one item never costs the batch
            log.warning("item will be tried again", extra={"item": index, "error": f"{type(error).__name__}: {error}"})
            failures.append(Failure(index, error))
    return failures


def _poison(poison: Callable[[T, str], object], item: T, error: Exception) -> None:
    reason = f"{type(error).__name__}: {error}"
    poison(item, reason)
    log.error("poison kept", extra={"reason": reason})
