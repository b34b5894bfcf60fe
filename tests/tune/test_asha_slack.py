"""The stopping form asks for evidence: worse by no more than the noise is not worse."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tune.rungs import (
    ACCURACY,
    DECLARED,
    EXACT,
    SIZE,
    Point,
    asha,
    decisions,
    gains,
    law,
    point_lists,
    ranked,
)


def outdone(point: Point, others: list[Point], slacks: list[float]) -> bool:
    """Whether another is nowhere worse, and better by more than the slack where there is one."""
    for other in others:
        by = gains(other, point)
        clear = all(g > s if s else g >= 0 for g, s in zip(by, slacks, strict=True))
        if clear and max(by) > 0:
            return True
    return False


@law
@given(st.data())
def test_nobody_is_stopped_unless_another_is_better_beyond_the_slack(data: st.DataObject) -> None:
    objectives = data.draw(st.sampled_from(DECLARED))
    # Between the steps of the points, so that no rounding decides.
    slacks = [data.draw(st.sampled_from([0.0, 0.07, 0.33]))]
    slacks += [data.draw(st.sampled_from([0.0, 1.5, 4.5])) for _ in objectives[1:]]
    slack = [o.model_copy(update={"slack": s}) for o, s in zip(objectives, slacks, strict=True)]
    points = data.draw(point_lists(len(objectives)))
    for number, decision in enumerate(decisions(asha(slack), points)):
        if decision == "stop":
            assert ranked(points[: number + 1])[number] > 0
            assert outdone(points[number], points[:number], slacks)


@law
@given(point_lists(2))
def test_more_slack_never_stops_more(points: list[Point]) -> None:
    """What is at a rung does not depend on who was stopped there."""
    stopped: list[set[int]] = []
    for slack in (0.0, 0.07, 0.33, 2.0):
        accuracy = EXACT.model_copy(update={"slack": slack})
        made = decisions(asha([accuracy, SIZE]), points)
        stopped.append({i for i, decision in enumerate(made) if decision == "stop"})
    assert all(more <= less for less, more in pairwise(stopped))
    assert not stopped[-1]  # nobody is better by twice the range


GOOD = [(0.90, 100.0 - i) for i in range(9)]


@pytest.mark.parametrize(
    ("accuracy", "size", "wanted"),
    [
        (0.893, 200.0, "continue"),  # by 0.7 points
        (0.885, 200.0, "stop"),  # by 1.5 points
        (0.500, 50.0, "continue"),  # whatever it is, none is as small
    ],
)
def test_a_point_of_accuracy_is_noise_by_default_and_a_size_is_none(
    accuracy: float, size: float, wanted: str
) -> None:
    scheduler = asha([ACCURACY, SIZE])
    decisions(scheduler, GOOD)
    assert scheduler.report("9", 1, (accuracy, size)) == wanted


def test_with_one_objective_who_is_within_the_slack_of_the_best_goes_on() -> None:
    scheduler = asha([ACCURACY])
    decisions(scheduler, [(0.90 + i / 1000,) for i in range(9)])  # the best: 0.908
    assert scheduler.report("9", 1, (0.899,)) == "continue"  # last of ten, within a point
    assert scheduler.report("10", 1, (0.897,)) == "stop"


@pytest.mark.parametrize(("size", "wanted"), [(1099.0, "continue"), (1101.0, "stop")])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_slack_is_in_the_unit_of_its_objective_on_either_scale(
    scale: str, size: float, wanted: str
) -> None:
    noisy = SIZE.model_copy(update={"slack": 100.0, "scale": scale})
    scheduler = asha([noisy])
    decisions(scheduler, [(1000.0 + i,) for i in range(9)])
    assert scheduler.report("9", 1, (size,)) == wanted
