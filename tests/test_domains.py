"""A domain is a set of values: what it samples, lists and ends with, it contains."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import pairwise

import pytest

from kdsearch.domains import Choice, Domain, Float, Int, describe

INT, STEPS, LOG_INT = Int(1, 5), Int(4, 33, step=4), Int(2, 700, log=True)
REAL, LOG_REAL, TENTHS = Float(-1, 2.5), Float(1e-4, 10, log=True), Float(0.1, 0.7, step=0.1)
THIRDS = Float(0, 2.1, step=1 / 3)
WORDS = Choice(("a", "b"), ("a", "b"), ("a", "b"))
MIXED = Choice((1, 2.5), (1, 2.5), ("1", "2.5"))
FINITE: list[Domain] = [INT, STEPS, TENTHS, THIRDS, WORDS, MIXED, Int(7, 7), Float(3, 3)]
ALL: list[Domain] = [*FINITE, LOG_INT, REAL, LOG_REAL]


@pytest.mark.parametrize("domain", ALL, ids=describe)
def test_samples_and_corners_are_members(domain: Domain) -> None:
    rng = random.Random(0)
    assert all(domain.contains(domain.sample(rng)) for _ in range(300))
    assert all(domain.contains(corner) for corner in domain.corners)


@pytest.mark.parametrize("domain", FINITE, ids=describe)
def test_a_finite_domain_is_its_grid(domain: Domain) -> None:
    assert len(domain.grid) == domain.count
    assert (domain.grid[0], domain.grid[-1]) == domain.corners
    assert len(set(domain.grid)) == domain.count
    rng = random.Random(1)
    assert {domain.sample(rng) for _ in range(400)} == set(domain.grid)


@pytest.mark.parametrize("domain", ALL, ids=describe)
def test_the_same_seed_gives_the_same_samples(domain: Domain) -> None:
    first, second = (random.Random(5), random.Random(5))
    assert [domain.sample(first) for _ in range(9)] == [domain.sample(second) for _ in range(9)]


@pytest.mark.parametrize(
    ("domain", "strangers"),
    [
        (INT, [0, 6, 2.0, True, "2", None]),
        (STEPS, [5, 36, 3]),
        (REAL, [-1.1, 2.6, math.nan, math.inf, True, "1"]),
        (TENTHS, [0.15, 0.0, 0.8]),
        (WORDS, ["c", 0, None, True]),
        (MIXED, [True, "1", 2]),
    ],
)
def test_strangers_are_no_members(domain: Domain, strangers: list[object]) -> None:
    assert not any(domain.contains(stranger) for stranger in strangers)


def test_steps_are_decimals() -> None:
    assert TENTHS.grid == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert STEPS.corners == (4, 32)  # the high bound need not lie on the grid


def test_a_value_that_rounding_moved_goes_back_to_the_grid() -> None:
    assert TENTHS.contains(0.1 + 0.2) and TENTHS.nearest(0.1 + 0.2) == 0.3
    assert REAL.nearest(0.1 + 0.2) == 0.1 + 0.2


@pytest.mark.parametrize(("domain", "middle"), [(LOG_REAL, 10**-1.5), (LOG_INT, 1400**0.5)])
def test_log_puts_half_of_the_samples_below_the_geometric_mean(
    domain: Domain, middle: float
) -> None:
    rng = random.Random(2)
    below = sum(float(domain.sample(rng)) < middle for _ in range(2000))
    assert 0.46 < below / 2000 < 0.54


def test_low_values_of_a_log_int_are_as_wide_as_their_share() -> None:
    rng = random.Random(3)
    counts = Counter(Int(1, 3, log=True).sample(rng) for _ in range(4000))
    edges = [math.log(n + 0.5) for n in range(4)]
    shares = [(high - low) / (edges[-1] - edges[0]) for low, high in pairwise(edges)]
    assert [counts[n] / 4000 for n in (1, 2, 3)] == pytest.approx(shares, abs=0.03)


def test_a_continuum_has_no_grid() -> None:
    assert REAL.count == LOG_REAL.count == math.inf
    with pytest.raises(ValueError, match="no grid"):
        assert REAL.grid


@pytest.mark.parametrize(
    ("domain", "dtype"),
    [
        (INT, "int64"),
        (REAL, "float64"),
        (WORDS, "string"),
        (MIXED, "float64"),
        (Choice((3, 5), (3, 5), ("3", "5")), "int64"),
    ],
)
def test_the_column_of_a_domain(domain: Domain, dtype: str) -> None:
    assert domain.dtype == dtype


def test_a_domain_in_the_words_of_the_file() -> None:
    assert describe(LOG_REAL) == "float [0.0001, 10], log"
    assert describe(STEPS) == "int [4, 33], step 4"
    assert describe(WORDS) == "choice [a, b]"
