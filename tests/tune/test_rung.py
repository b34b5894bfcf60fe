"""Nets: the farthest point next, and of equals the lower id."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.tune.rung import Rung, epsilon_net
from tests.tune.rungs import law


def test_an_epsilon_net_takes_the_farthest_point_next() -> None:
    points = np.random.default_rng(0).random((12, 2)) * [1.0, 1000.0]
    low, high = points.min(0), points.max(0)
    order, scaled = epsilon_net(points, low, high), (points - low) / (high - low)
    assert sorted(order) == list(range(12))
    assert order[0] == points[:, 0].argmin()
    for taken in range(1, 12):
        gaps = np.linalg.norm(scaled[:, None] - scaled[order[:taken]], axis=2).min(1)
        assert gaps[order[taken]] == pytest.approx(gaps.max())


@law
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 99))
def test_a_net_that_goes_on_is_the_net_in_one_go(first: int, more: int, seed: int) -> None:
    points = np.random.default_rng(seed).random((12, 3))
    low, high = np.zeros(3), np.ones(3)
    whole = epsilon_net(points, low, high)
    np.testing.assert_array_equal(epsilon_net(points, low, high, count=first), whole[:first])
    taken = np.isin(np.arange(12), whole[:first])
    rest = epsilon_net(points, low, high, count=more, taken=taken)
    np.testing.assert_array_equal(rest, whole[first : first + more])


def test_a_rung_keeps_every_arrival_in_order() -> None:
    points = np.random.default_rng(0).random((1000, 3))
    rung = Rung(3)
    for i, point in enumerate(points):
        rung.add(str(i), point.tolist())
        assert len(rung) == len(rung.values) == i + 1 and str(i) in rung
    np.testing.assert_array_equal(rung.values, points)
    assert rung.trials == [str(i) for i in range(1000)]


def test_a_net_of_equal_points_is_an_order_too() -> None:
    points = np.ones((4, 2))
    assert sorted(epsilon_net(points, points.min(0), points.max(0))) == [0, 1, 2, 3]


@pytest.mark.parametrize("arrival", [["9", "10", "2"], ["10", "9", "2"], ["2", "10", "9"]])
def test_of_equals_the_lower_id_is_first_in_whatever_order_they_came(arrival: list[str]) -> None:
    rung = Rung(1)
    for trial_id in arrival:
        rung.add(trial_id, (0.5,))
    assert [rung.trials[place] for place in rung.net(np.arange(3), 0, 3)] == ["2", "9", "10"]
