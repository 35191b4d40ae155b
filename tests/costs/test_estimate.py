from pathlib import Path

import pytest
from seawall.costs.estimate import Load, estimate, read_prices
from seawall.domain.errors import ConfigError


@pytest.mark.parametrize("cloud", ["azure", "aws", "gcp"])
def test_more_load_costs_more_and_none_costs_what_is_fixed(cloud: str) -> None:
    prices = getattr(read_prices(), cloud)
    idle, busy = (sum(line.usd for line in estimate(prices, load)) for load in (Load(0, 0, 0), Load(500, 2000, 100)))
    assert idle == pytest.approx(sum(prices.fixed.values()))
    assert busy > idle


def test_scan_time_is_priced() -> None:
    prices = read_prices().aws
    line = next(item for item in estimate(prices, Load(0, 1000, 0)) if item.item == "function time")
    assert line.usd == pytest.approx(1000 * 180 * 0.0000133334)


def test_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("date: never")
    with pytest.raises(ConfigError, match="not a price file"):
        read_prices(tmp_path / "p.yaml")
