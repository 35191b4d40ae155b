"""Use case: the analytics of one deployment: ours, its Sigma and Python rules, its lists, its tuning."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from seawall.app.detect import load_rules
from seawall.detection.allowances import built_in_allowances, with_allowances
from seawall.detection.context import Context, default_context
from seawall.detection.declaration import Detection
from seawall.detection.networks import Networks, provider_networks
from seawall.detection.tuning import Tuning, load_tuning
from seawall.domain.errors import ConfigError

log = logging.getLogger(__name__)

ENTRY_POINTS = "seawall.analytics"
"""Each entry point names a module-level `Detection`, or a tuple or list of them."""


@dataclass(frozen=True, slots=True)
class Analytics:
    """What judges events here. `rules` are all of them, tuned; the engine leaves the baselines to the learner."""

    rules: tuple[Detection, ...]
    knowledge: Context | None = None
    tuning: Tuning = field(default_factory=Tuning)

    @property
    def baselines(self) -> tuple[Detection, ...]:
        """Those that read learnt features."""
        return tuple(rule for rule in self.rules if rule.features)


def assembled(
    *,
    today: date,
    tuning: Path | None = None,
    sigma: Sequence[Path] = (),
    python_rules: bool = True,
    lists: Mapping[str, Sequence[str]] | None = None,
    identities: Sequence[tuple[str, str]] = (),
) -> Analytics:
    """Return the analytics in force on `today`. Expired entries of the tuning file are logged and not applied.

    `identities` are (origin, YAML text) of allow lists of this deployment, in the form of `detection/allow/`.

    Raises:
        ConfigError: a file has a mistake, or two analytics have one id.
    """
    rules = list(load_rules())
    if sigma:
        from seawall.detection.sigma import load_sigma

        rules += load_sigma(sigma)
    if python_rules:
        rules += installed_rules()
    known: set[str] = set()
    for rule in rules:
        if rule.id in known:
            raise ConfigError(f"two analytics have the id {rule.id}")
        known.add(rule.id)
    chosen = load_tuning(tuning, today) if tuning is not None else Tuning()
    for entry in chosen.expired:
        log.warning("an entry of the tuning file has expired and is not applied", extra={"entry": entry})
    return Analytics(chosen.tuned(rules), _knowledge(lists or {}, identities), chosen)


def installed_rules() -> list[Detection]:
    """Return the analytics of installed packages.

    Raises:
        ConfigError: an entry point cannot be imported or names something else.
    """
    return _loaded(sorted(entry_points(group=ENTRY_POINTS), key=lambda item: (item.name, item.value)))


def named_rules(values: Iterable[str]) -> list[Detection]:
    """Return the analytics at `package.module:NAME`, as entry points name them.

    Raises:
        ConfigError: see `installed_rules`.
    """
    return _loaded([EntryPoint(value, value, ENTRY_POINTS) for value in values])


def _loaded(entries: Iterable[EntryPoint]) -> list[Detection]:
    found: list[Detection] = []
    for entry in entries:
        try:
            value = entry.load()
        except Exception as error:
            raise ConfigError(f"the analytics {entry.name} ({entry.value}) cannot be loaded: {error}") from error
        items: Iterable[object] = value if isinstance(value, tuple | list) else (value,)
        for item in items:
            if not isinstance(item, Detection):
                raise ConfigError(f"{entry.value} is not an analytic", hint="decorate it with @detection")
            found.append(item)
    return found


def _knowledge(lists: Mapping[str, Sequence[str]], identities: Sequence[tuple[str, str]]) -> Context | None:
    if not any(lists.values()) and not identities:
        return None
    try:
        networks = Networks(
            provider_networks(),
            {"the deployment's list": lists.get("threat_addresses", ())},
            lists.get("own_networks", ()),
        )
    except ValueError as error:
        raise ConfigError(f"a list of addresses: {error}") from error
    return replace(
        default_context(),
        networks=networks,
        allowances=with_allowances(identities) if identities else built_in_allowances(),
        mining_images=frozenset(lists.get("mining_images", ())),
        image_digests=frozenset(lists.get("image_digests", ())),
    )
