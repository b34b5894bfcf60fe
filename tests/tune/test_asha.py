"""The stopping form. Fronts in order, the first one spared: small students stay alive."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.schemes import rung_epochs
from kdsearch.search_sections import ObjectiveConfig
from tests.tune.rungs import (
    ACCURACY,
    EXACT,
    SIZE,
    Point,
    asha,
    decisions,
    declared_points,
    law,
    ranked,
)


@law
@given(declared_points(), st.integers(2, 4))
def test_the_order_of_fronts_is_never_violated(
    drawn: tuple[list[ObjectiveConfig], list[Point]], reduction: int
) -> None:
    objectives, points = drawn
    made = decisions(asha(objectives, reduction=reduction), points)
    for number, decision in enumerate(made, 1):
        front, keep = ranked(points[:number]), math.ceil(number / reduction)
        better = sum(f < front[-1] for f in front)
        if number < reduction or front[-1] == 0 or better + front.count(front[-1]) <= keep:
            assert decision == "continue"
        elif better >= keep:
            assert decision == "stop"


@pytest.mark.parametrize("seed", range(3))
def test_the_first_front_is_never_stopped_even_where_it_is_larger_than_the_cut(seed: int) -> None:
    points = [(0.01 * i, 2.0**i) for i in range(50)]  # none beats another
    random.Random(seed).shuffle(points)
    assert set(decisions(asha([EXACT, SIZE]), points)) == {"continue"}


# Front 0 is one point that beats all; of front 1 two may go on, where nine are at the rung.
BEST, CROWD = (0.95, 1.0), [(0.80 - 0.01 * i, 40.0 - i) for i in range(7)]


@pytest.mark.parametrize(
    ("last", "wanted"),
    [
        ((0.90, 900.0), "continue"),  # the most accurate of its front
        ((0.10, 2.0), "continue"),  # the farthest from that one
        ((0.765, 36.5), "stop"),  # in the crowd
    ],
    ids=["seed", "far", "crowded"],
)
def test_of_the_front_at_the_cut_the_spread_ones_go_on(last: Point, wanted: str) -> None:
    scheduler = asha([EXACT, SIZE])
    decisions(scheduler, [BEST, *CROWD])
    assert scheduler.report("8", 1, last) == wanted


def test_the_first_arrivals_go_on_whatever_they_are() -> None:
    scheduler = asha([EXACT], reduction=4)
    assert decisions(scheduler, [(0.9,), (0.2,), (0.1,)]) == ["continue"] * 3
    assert scheduler.report("3", 1, (0.05,)) == "stop"


@pytest.mark.parametrize("reduction", [2, 3, 5])
def test_with_one_objective_and_no_slack_the_best_of_so_many_go_on(reduction: int) -> None:
    values = [(i / 100,) for i in random.Random(reduction).sample(range(100), 60)]
    for number, decision in enumerate(decisions(asha([EXACT], reduction=reduction), values), 1):
        rank = sum(v > values[number - 1] for v in values[:number])
        goes_on = number < reduction or rank < math.ceil(number / reduction)
        assert decision == ("continue" if goes_on else "stop")


@law
@given(declared_points(), st.sampled_from([math.nan, math.inf, -math.inf]), st.sampled_from([1, 2]))
def test_what_is_not_finite_stops_at_once_and_leaves_no_trace(
    drawn: tuple[list[ObjectiveConfig], list[Point]], value: float, epoch: int
) -> None:
    objectives, points = drawn
    plain, disturbed = asha(objectives), asha(objectives)
    for number, point in enumerate(points):
        broken = (*point[:-1], value)
        assert disturbed.report(str(1000 + number), epoch, broken) == "stop"
        wanted = plain.report(str(number), 1, point)
        assert disturbed.report(str(number), 1, point) == wanted


@pytest.mark.parametrize(("grace", "reduction"), [(1, 3), (2, 2), (5, 3)])
def test_it_decides_at_the_rungs_and_nowhere_else(grace: int, reduction: int) -> None:
    scheduler, last = asha([EXACT], grace=grace, reduction=reduction), 45
    for epoch in range(1, last + 1):
        for number in range(reduction):
            scheduler.report(str(number), epoch, (0.9,))
    decided = [e for e in range(1, last) if scheduler.report(str(100 + e), e, (0.1,)) == "stop"]
    assert decided == list(rung_epochs(grace, reduction, last)[:-1])


@law
@given(declared_points(least=1))
def test_on_a_log_scale_only_the_order_of_magnitude_counts(
    drawn: tuple[list[ObjectiveConfig], list[Point]],
) -> None:
    objectives, points = drawn
    linear = [o.model_copy(update={"scale": "linear"}) for o in objectives]
    in_logs = [(p[0], *(math.log(size) for size in p[1:])) for p in points]
    assert decisions(asha(objectives), points) == decisions(asha(linear), in_logs)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_in_which_objectives_are_declared_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)
    points = [(rng.random(), 10 ** rng.uniform(1, 5)) for _ in range(60)]
    turned = [(size, accuracy) for accuracy, size in points]
    both, other = decisions(asha([EXACT, SIZE]), points), decisions(asha([SIZE, EXACT]), turned)
    assert both == other


def finishers(objectives: list[ObjectiveConfig], seed: int, count: int = 120) -> list[float]:
    """log10 of the sizes that reach the end, of students whose accuracy rises with size.

    Sizes are uniform in the log from 1e4 to 1e7; four trials at a time train 9 epochs.
    """
    rng = random.Random(seed)
    scheduler, waiting = asha(objectives), list(range(count))
    sizes = [10 ** rng.uniform(4, 7) for _ in waiting]
    luck = [-abs(rng.gauss(0, 0.1)) for _ in waiting]  # hyper-parameters that suit it or not
    working: dict[int, int] = {}
    done = []
    while waiting or working:
        while waiting and len(working) < 4:
            working[waiting.pop(0)] = 0
        for trial in list(working):
            epoch = working[trial] = working[trial] + 1
            best = 0.5 + 0.4 * (math.log10(sizes[trial]) - 4) / 3 + luck[trial]
            accuracy = best * (1 - 0.5 / epoch) + rng.gauss(0, 0.004)
            known = {"validation_accuracy": accuracy, "parameters": sizes[trial]}
            decision = scheduler.report(str(trial), epoch, [known[o.name] for o in objectives])
            if epoch == 9:
                done.append(math.log10(sizes[trial]))
            if epoch == 9 or decision == "stop":
                del working[trial]
    return done


@pytest.mark.parametrize("seed", range(3))
def test_accuracy_alone_wipes_out_small_students_and_both_objectives_keep_them(seed: int) -> None:
    alone, both = finishers([ACCURACY], seed), finishers([ACCURACY, SIZE], seed)
    smallest_third = 5.0
    assert sum(size < smallest_third for size in alone) <= 2  # the first arrivals
    assert sum(size < smallest_third for size in both) >= 0.2 * len(both)
    assert np.mean(alone) > 6.2 and np.mean(both) < 5.9
    assert len(both) < 120 / 2  # and still it stops most of them
