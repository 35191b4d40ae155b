"""The sketch is a function of the set of (feature, day) pairs, and small."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seawall.detection.baselines.sketch import MEMORY_DAYS, Sketch, day_of, feature_key, joined
from seawall.domain.errors import InputError

DAYS = st.integers(20_000, 20_080)
PAIRS = st.lists(st.tuples(st.integers(0, 6), DAYS), max_size=60)


def sketch(pairs: list[tuple[int, int]], epoch: int = 0) -> Sketch:
    made = Sketch(epoch)
    for key, day in pairs:
        made.observe(key, day)
    return made


@given(PAIRS, st.randoms(use_true_random=False))
def test_order_and_repeats_do_not_matter(pairs, random):
    other = [*pairs, *pairs[:7]]
    random.shuffle(other)
    assert sketch(pairs) == sketch(other)


@given(PAIRS, PAIRS, PAIRS)
def test_merging_is_commutative_associative_and_idempotent(one, two, three):
    left = sketch(one)
    left.merge(sketch(two))
    left.merge(sketch(three))
    right = sketch(three)
    right.merge(sketch(one))
    right.merge(sketch(two))
    right.merge(sketch(one))
    assert left == right == sketch([*one, *two, *three])


@given(PAIRS, st.integers(0, 3))
def test_bytes_come_back(pairs, epoch):
    made = sketch(pairs, epoch)
    assert Sketch.from_bytes(made.to_bytes()) == made
    assert len(made.to_bytes()) == 16 + 16 * len(made)


@given(st.binary(max_size=80))
def test_other_bytes_are_refused(data):
    try:
        Sketch.from_bytes(data)
    except InputError:
        return
    assert data.startswith(b"SWB1")


@given(st.lists(DAYS, min_size=1), DAYS)
def test_days_are_those_in_memory(days, today):
    made = sketch([(1, day) for day in days])
    newest = max(days)
    kept = {day for day in days if newest - day < MEMORY_DAYS}
    if newest <= today:
        kept = {day for day in kept if today - day < MEMORY_DAYS}
    assert made.days(1, today) == len(kept)
    assert made.first_day(1) == min(day for day in days if newest - day < MEMORY_DAYS)


@pytest.mark.parametrize(
    ("epochs", "wins"),
    [((0, 1), {2}), ((1, 0), {1}), ((1, 1), {1, 2})],
    ids=["a newer reset wins", "an older state cannot come back", "one epoch merges"],
)
def test_a_reset_wins_whole(epochs, wins):
    one, two = sketch([(1, 20_000)], epochs[0]), sketch([(2, 20_001)], epochs[1])
    one.merge(two)
    assert set(one.table) == wins


def test_forgetting():
    made = sketch([(1, 20_000), (2, 20_031)])
    assert made.forget(20_032) == 1
    assert set(made.table) == {2}


def test_keys_do_not_run_together():
    assert feature_key("a", "bc", "d") != feature_key("a", "b", "cd")
    assert joined(20_000 << 32 | 1, 20_001 << 32 | 1) == 20_001 << 32 | 3
    assert day_of(datetime(1970, 1, 2, 23, tzinfo=UTC)) == 1
