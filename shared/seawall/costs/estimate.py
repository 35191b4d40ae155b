"""The arithmetic of `seawall cost estimate`; quantities that are assumed are named constants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seawall.domain.errors import ConfigError

SECONDS_A_MONTH = 730 * 3600
EVENTS_PER_CALL = 100
"""Events that one run of a function takes from a hub or stream."""
CALL_GB_SECONDS = 0.2
"""A run over a batch: 2 GB for 0.1 s."""
SCAN_GB_SECONDS = 4 * 45
"""A first scan of an image: 4 GB for 45 s; layers that are known take less."""
ROWS_KB = 1.2
"""A row of evidence, finding or posture in Log Analytics."""
ROWS_PER_IMAGE = 150
ROWS_PER_VCORE = 40
"""Posture and inventory rows a month for each monitored core."""
EVENTS_PER_ALERT = 50_000


class CloudPrices(BaseModel):
    """Prices of one cloud in US dollars; `fixed` is a month."""

    model_config = ConfigDict(extra="forbid")
    fixed: dict[str, float]
    per_million_calls: float = Field(ge=0)
    per_gb_second: float = Field(ge=0)
    per_gb_log_ingested: float = Field(ge=0)
    per_million_events_in: float = Field(ge=0)


class Prices(BaseModel):
    """The price file."""

    model_config = ConfigDict(extra="forbid")
    date: date
    source: str
    azure: CloudPrices
    aws: CloudPrices
    gcp: CloudPrices


@dataclass(frozen=True, slots=True)
class Load:
    """What is monitored: cores, image scans a month, events a second."""

    vcores: float
    images: int
    events_per_second: float


@dataclass(frozen=True, slots=True)
class Line:
    """One position of the estimate, US dollars a month."""

    item: str
    usd: float


def read_prices(path: Path | None = None) -> Prices:
    """Return the prices of `path`, or those that come along.

    Raises:
        ConfigError: not readable, or not a price file.
    """
    place = path or Path(__file__).with_name("prices.yaml")
    try:
        return Prices.model_validate(yaml.safe_load(place.read_text()))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{place}: not a price file", hint=str(error).splitlines()[0]) from error


def estimate(prices: CloudPrices, load: Load) -> list[Line]:
    """Return the positions of a month, largest first."""
    events = load.events_per_second * SECONDS_A_MONTH
    calls = events / EVENTS_PER_CALL
    compute = calls * CALL_GB_SECONDS + load.images * SCAN_GB_SECONDS
    rows = load.images * ROWS_PER_IMAGE + load.vcores * ROWS_PER_VCORE + events / EVENTS_PER_ALERT
    lines = [Line(item, usd) for item, usd in prices.fixed.items()]
    lines += [
        Line("events in", events / 1e6 * prices.per_million_events_in),
        Line("function calls", (calls + load.images) / 1e6 * prices.per_million_calls),
        Line("function time", compute * prices.per_gb_second),
        Line("rows into tables", rows * ROWS_KB / 1e6 * prices.per_gb_log_ingested),
    ]
    return sorted(lines, key=lambda line: -line.usd)
