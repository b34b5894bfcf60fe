"""R to the digit, what is forgiven, and rewards by size."""

from __future__ import annotations

import math
import random

import pytest

from kdsearch.proposers.n2n.reward import (
    INVALID,
    SizeBaseline,
    draw_kappa,
    leniency,
    reward,
    sized_reward,
    softened,
)


@pytest.mark.parametrize(
    "times, value",
    [(1, 0), (1.5, 0.556), (2, 0.750), (3, 0.889), (5, 0.960), (8, 0.984), (10, 0.990)],
)
def test_r_of_a_student_that_loses_nothing(times: float, value: float) -> None:
    assert round(reward(1e6 / times, 1e6, 0.92, 0.92), 3) == value


def test_r_further_out() -> None:
    assert round(reward(1 / 20, 1, 1), 4) == 0.9975 and round(reward(1 / 50, 1, 1), 4) == 0.9996
    # A network that guesses, a hundred times smaller, beats one that loses nothing at 1.05 times.
    assert round(reward(1 / 100, 1, 0.10, 0.92), 3) == 0.109
    assert round(reward(1 / 1.05, 1, 0.92, 0.92), 3) == 0.093


def test_what_is_no_number_is_invalid() -> None:
    assert reward(1, 2, math.nan) == reward(1, 2, math.inf) == INVALID == -1


def test_constraints_are_forgiven_less_and_less() -> None:
    assert leniency(0) == 1 and leniency(1) == (14 / 15) ** 4
    assert leniency(15) == leniency(16) == leniency(40) == 0
    assert softened(0.7, 0) == 0.7 and softened(0.7, 15) == -1
    between = [softened(0.7, t) for t in range(16)]
    assert between == sorted(between, reverse=True)
    assert softened(0.7, 3) == pytest.approx((12 / 15) ** 4 * 1.7 - 1)


def test_sizes_are_asked_for_evenly_in_the_log_and_no_smaller_than_there_are() -> None:
    rng = random.Random(0)
    drawn = [draw_kappa(rng, 1000) for _ in range(4000)]
    assert min(drawn) >= 2 and max(drawn) <= 30
    below = sum(kappa < math.sqrt(60) for kappa in drawn) / len(drawn)
    assert below == pytest.approx(0.5, abs=0.03)
    assert max(draw_kappa(rng, 8) for _ in range(500)) <= 8
    assert all(1 <= draw_kappa(rng, 1.5) <= 1.5 for _ in range(100))


def test_what_is_larger_than_asked_for_loses_and_what_is_smaller_wins_nothing() -> None:
    assert sized_reward(100, 1000, 0.9, 10) == sized_reward(50, 1000, 0.9, 10) == 0.9
    assert sized_reward(300, 1000, 0.9, 10) < sized_reward(200, 1000, 0.9, 10) < 0.9


def test_the_baseline_is_of_students_of_about_that_size() -> None:
    baseline = SizeBaseline()
    assert baseline.at(5) == 0
    for _ in range(10):
        baseline.add(2, 0.9)
        baseline.add(30, 0.5)
    assert baseline.at(2) == pytest.approx(0.9, abs=0.01)
    assert baseline.at(30) == pytest.approx(0.5, abs=0.01)
    assert 0.6 < baseline.at(math.sqrt(60)) < 0.8
