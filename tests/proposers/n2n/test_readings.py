"""Rungs: a stopped trial is read by its standing, and never against another rung."""

from __future__ import annotations

import math

import pytest

from kdsearch.proposers.n2n.readings import Readings


def made(scale: float = 1.0) -> Readings:
    """Three finished trials: at epoch 1 they stood as at the end, on a scale of its own."""
    readings = Readings()
    for end in (0.80, 0.85, 0.90):
        readings.finish({1: 0.1 + scale * (end - 0.8), 3: 0.5 + 0.3 * end, 9: end})
    return readings


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_a_reading_stands_at_the_end_where_it_stood_at_its_rung(scale: float) -> None:
    readings = made(scale)
    for end in (0.80, 0.83, 0.88):
        at = 0.1 + scale * (end - 0.8)
        assert readings.final(1, at) == pytest.approx(end, abs=1e-6)


def test_rungs_are_not_mixed() -> None:
    readings = made()
    later, sooner = readings.final(3, 0.5 + 0.3 * 0.82), readings.final(1, 0.1 + 0.05)
    assert later is not None and sooner is not None
    assert later < sooner == pytest.approx(0.85)  # though its raw value is five times as large
    assert readings.final(2, 0.5) is None  # nobody was read after that epoch


def test_nothing_is_said_before_enough_have_finished() -> None:
    readings = Readings()
    assert readings.final(1, 0.3) is None
    for accuracy in (0.5, 0.6, math.nan):
        readings.finish({1: accuracy, 2: 0.7})
    assert readings.final(1, 0.3) is None and readings.final(2, 0.7) is not None


def test_what_is_read_is_an_accuracy() -> None:
    readings = Readings()
    for _ in range(5):
        readings.finish({1: 0.1, 2: 0.95})
    for at in (0.0, 0.1, 0.9):
        end = readings.final(1, at)
        assert end is not None and 0 <= end <= 1 and abs(end - 0.95) < 0.01
