"""The promoting form: everyone waits, and the quota is a quota."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.search_sections import ObjectiveConfig
from tests.tune.rungs import (
    EXACT,
    SIZE,
    Point,
    asha,
    decisions,
    declared_points,
    drained,
    law,
    ranked,
)

Drawn = tuple[list[ObjectiveConfig], list[Point]]


@law
@given(declared_points(least=9, most=9))
def test_of_nine_at_reduction_three_three_are_promoted_and_then_one(drawn: Drawn) -> None:
    objectives, points = drawn
    scheduler = asha(objectives, form="promoting")
    assert decisions(scheduler, points) == ["pause"] * 9
    three = drained(scheduler)
    assert len(set(three)) == len(three) == 3
    for trial_id in three:
        point = points[int(trial_id)]
        assert scheduler.report(trial_id, 2, point) == "continue"
        assert scheduler.report(trial_id, 3, point) == "pause"
    one = drained(scheduler)
    assert len(one) == 1 and one[0] in three
    assert scheduler.report(one[0], 9, points[int(one[0])]) == "pause"
    assert drained(scheduler) == []


@law
@given(declared_points(), st.data(), st.integers(2, 4))
def test_the_order_of_arrival_changes_no_promotion(
    drawn: Drawn, data: st.DataObject, reduction: int
) -> None:
    objectives, points = drawn
    one, other = (asha(objectives, form="promoting", reduction=reduction) for _ in range(2))
    decisions(one, points)
    for number in data.draw(st.permutations(range(len(points)))):
        other.report(str(number), 1, points[number])
    assert drained(one) == drained(other)


@law
@given(declared_points(), st.integers(2, 4))
def test_however_often_it_is_asked_the_quota_is_kept_and_fronts_are_in_order(
    drawn: Drawn, reduction: int
) -> None:
    objectives, points = drawn
    scheduler = asha(objectives, form="promoting", reduction=reduction)
    promoted: list[int] = []
    for number, point in enumerate(points):
        scheduler.report(str(number), 1, point)
        front = ranked(points[: number + 1])
        while (trial_id := scheduler.promote()) is not None:
            promoted.append(int(trial_id))
            waiting = set(range(number + 1)) - set(promoted)
            assert all(front[promoted[-1]] <= front[other] for other in waiting)
        assert len(set(promoted)) == len(promoted) == (number + 1) // reduction


@pytest.mark.parametrize("early", [0, 3])
def test_who_was_promoted_early_counts_and_the_spread_goes_on_from_there(early: int) -> None:
    """None beats another: the ends of the front come before its middle, whoever was first."""
    points = [(0.1 * (i + 1), 2.0**i) for i in range(9)]
    scheduler, named = asha([EXACT, SIZE], form="promoting"), []
    for number in (*range(early), *range(early, 9)):
        scheduler.report(str(number), 1, points[number])
        if number < early:
            named += drained(scheduler)
    named += drained(scheduler)
    assert named == (["2", "8", "5"] if early else ["8", "0", "4"])


def test_the_highest_rung_is_asked_first() -> None:
    scheduler = asha([EXACT], form="promoting", reduction=2)
    decisions(scheduler, [(0.1 * i,) for i in range(8)])
    assert [scheduler.promote() for _ in range(2)] == ["7", "6"]
    for trial_id in ("7", "6"):
        scheduler.report(trial_id, 2, (0.5,))
    assert [scheduler.promote() for _ in range(3)] == ["6", "5", "4"]  # of equals the lower id


def test_what_was_worst_is_promoted_once_the_rung_has_grown_in_its_favour() -> None:
    scheduler = asha([EXACT], form="promoting", reduction=2)
    decisions(scheduler, [(0.9,), (0.5,)])
    assert drained(scheduler) == ["0"]
    for number in (2, 3):
        scheduler.report(str(number), 1, (0.1,))
    assert drained(scheduler) == ["1"]


@law
@given(declared_points())
def test_the_stopping_form_promotes_nobody(drawn: Drawn) -> None:
    objectives, points = drawn
    scheduler = asha(objectives)
    decisions(scheduler, points)
    assert scheduler.promote() is None


def test_a_trial_that_has_ended_takes_no_turn() -> None:
    objectives = [ObjectiveConfig(name="validation_accuracy", direction="max")]
    scheduler = asha(objectives, form="promoting")
    decisions(scheduler, [(0.9 - 0.1 * i,) for i in range(6)])
    named = scheduler.promote()
    assert named == "0"
    scheduler.withdraw(named)
    assert drained(scheduler) == ["1", "2"]
