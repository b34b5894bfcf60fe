"""What a trial adds to the front: gains of a box that only grows."""

from __future__ import annotations

import numpy as np
import pytest

from kdsearch.proposers.gain import MARGIN, HypervolumeGain
from kdsearch.results.pareto import hypervolume


def test_a_gain_is_the_difference_of_two_hypervolumes() -> None:
    points = np.random.default_rng(0).random((40, 3))
    corners = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    gain = HypervolumeGain()
    for corner in corners:  # the box is known from the start
        gain.add(tuple(corner))
    reference = np.full(3, 1 + MARGIN)
    before = hypervolume(corners, reference)
    for i, point in enumerate(points):
        won = gain.add(tuple(point))
        after = hypervolume(np.vstack([corners, points[: i + 1]]), reference)
        assert won == pytest.approx((after - before) / (1 + MARGIN) ** 3, abs=1e-9)
        assert 0 <= won <= 1
        before = after


def test_what_is_dominated_or_known_gains_nothing() -> None:
    gain = HypervolumeGain()
    assert gain.add((0.5, 0.5)) > 0
    assert gain.add((0.5, 0.5)) == gain.add((0.6, 0.5)) == gain.add((0.9, 0.9)) == 0
    assert gain.add((0.4, 0.9)) > 0
    assert gain.add((0.3, 0.3)) > 0 and gain.front is not None and len(gain.front) == 1


def test_units_do_not_matter() -> None:
    points = np.random.default_rng(1).random((30, 2))
    units = np.array([1e-3, 1e6])
    plain, scaled = HypervolumeGain(), HypervolumeGain()
    plain.add(tuple(points[0]))  # a box without extent has units
    scaled.add(tuple(points[0] * units))
    for point in points[1:]:
        assert plain.add(tuple(point)) == pytest.approx(scaled.add(tuple(point * units)))
