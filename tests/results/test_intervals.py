"""Intervals over seeds: known values, what widens them, what a pair of seeds is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from kdsearch.results.intervals import mean_over, paired, unpaired

VALUES, OTHERS = [0.91, 0.93, 0.88, 0.95], [0.90, 0.91, 0.89]


def test_the_interval_of_a_mean_is_students() -> None:
    low, high = stats.t.interval(0.95, 3, np.mean(VALUES), stats.sem(VALUES))
    mean = mean_over(VALUES)
    assert (mean.value - mean.half, mean.value + mean.half) == pytest.approx((low, high))
    assert mean.count == 4


def test_the_interval_of_a_difference_is_welchs() -> None:
    wanted = stats.ttest_ind(VALUES, OTHERS, equal_var=False).confidence_interval(0.95)
    found = unpaired(VALUES, OTHERS)
    assert found.value - found.half == pytest.approx(wanted.low)
    assert found.value + found.half == pytest.approx(wanted.high)
    turned = unpaired(OTHERS, VALUES)
    assert turned.value == -found.value and turned.half == pytest.approx(found.half)


def test_it_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    means = [mean_over(list(rng.normal(0, 1, 3))) for _ in range(2000)]
    assert np.mean([mean.open for mean in means]) == pytest.approx(0.95, abs=0.015)


def test_what_both_owe_to_the_seed_falls_out() -> None:
    luck = {0: 0.3, 1: -0.2, 2: 0.1}
    values = {seed: 0.8 + part for seed, part in luck.items()}
    others = {seed: 0.7 + part for seed, part in luck.items()}
    found = paired(values, others)
    assert found.value == pytest.approx(0.1) and found.half == pytest.approx(0, abs=1e-12)
    assert not found.open and unpaired(list(values.values()), list(others.values())).open


def test_without_pairs_the_two_spreads_are_used() -> None:
    values, others = dict(enumerate(VALUES)), dict(enumerate(OTHERS, 10))
    assert paired(values, others) == unpaired(VALUES, OTHERS)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_values_have_no_interval_and_prove_nothing(count: int) -> None:
    few = VALUES[:count]
    for mean in (mean_over(few), unpaired(few, OTHERS), paired(dict(enumerate(few)), {0: 0.5})):
        assert math.isnan(mean.half) and mean.open and mean.count == count


def test_equal_values_prove_nothing_by_themselves() -> None:
    assert unpaired([0.5, 0.5], [0.5, 0.5]).open
    assert unpaired([0.6, 0.6], [0.5, 0.5]).open and math.isnan(mean_over([0.6, 0.6]).half)
    assert not unpaired([0.6, 0.6, 0.61], [0.5, 0.5, 0.5]).open
