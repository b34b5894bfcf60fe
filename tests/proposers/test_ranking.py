"""Fronts first, and in a front the points with the most room."""

from __future__ import annotations

import numpy as np
import pytest

from kdsearch.proposers import Proposal
from kdsearch.proposers.ranking import best_first, crowding, lowered
from kdsearch.results.pareto import fronts
from kdsearch.search_sections import ObjectiveConfig
from tests.proposers.spaces import seen


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_no_point_comes_before_one_of_an_earlier_front(objectives: int) -> None:
    points = np.random.default_rng(0).random((60, objectives)).round(1)
    order = best_first(points)
    assert sorted(order) == list(range(60))
    assert (np.diff(fronts(points)[order]) >= 0).all()


def test_in_a_front_ends_come_first_and_the_crowded_last() -> None:
    front = np.array([[0.0, 1.0], [0.1, 0.9], [0.12, 0.88], [0.5, 0.4], [1.0, 0.0]])
    order = best_first(front).tolist()
    assert set(order[:2]) == {0, 4}
    assert order[2] == 3 and order[-1] in (1, 2)


def test_room_does_not_depend_on_units() -> None:
    front = np.array([[0.0, 1.0], [0.2, 0.7], [0.7, 0.3], [1.0, 0.0]])
    assert crowding(front) == pytest.approx(crowding(front * [1e6, 1e-3]))
    assert (crowding(np.ones((3, 2))) == 0).all()


def test_values_are_turned_scaled_and_checked() -> None:
    objectives = [
        ObjectiveConfig(name="validation_accuracy", direction="max"),
        ObjectiveConfig(name="parameters", direction="min", scale="log"),
    ]
    observation = seen(0, Proposal({"lr": 0.9, "depth": 1000}), "complete")
    assert lowered(objectives, observation) == pytest.approx((-0.9, np.log(1000)))
    unfinished = seen(0, Proposal({"lr": float("nan"), "depth": 3}), "complete")
    assert lowered(objectives, unfinished) is None
    assert lowered(objectives, seen(0, Proposal({"lr": 1, "depth": 1}), "failed")) is None
