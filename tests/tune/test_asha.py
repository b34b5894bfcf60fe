"""Fronts in order, the first one spared: successive halving that leaves small students alive."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator

import numpy as np
import pytest

from kdsearch.schemes import rung_epochs
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.tune.asha import Asha, epsilon_net

ACCURACY = ObjectiveConfig(name="validation_accuracy", direction="max")
SIZE = ObjectiveConfig(name="parameters", direction="min", scale="log")
MACS = ObjectiveConfig(name="macs", direction="min", scale="log")
TWO, THREE = [ACCURACY, SIZE], [ACCURACY, SIZE, MACS]

Point = tuple[float, ...]


def students(count: int, seed: int, objectives: int = 2) -> list[Point]:
    """Accuracies and sizes without any pattern, ties among them."""
    rng = random.Random(seed)
    return [
        (round(rng.random(), 1), *(float(rng.randint(1, 30)) for _ in range(objectives - 1)))
        for _ in range(count)
    ]


def decisions(asha: Asha, points: list[Point], epoch: int = 1) -> list[bool]:
    return [asha.goes_on(str(i), epoch, point) for i, point in enumerate(points)]


def beats(one: Point, other: Point) -> bool:
    """Whether `one` is nowhere worse and somewhere better: accuracy up, sizes down."""
    pairs = [(-one[0], -other[0]), *zip(one[1:], other[1:], strict=True)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def ranked(points: list[Point]) -> list[int]:
    """The front of every point, by the definition."""
    front = [-1] * len(points)
    while -1 in front:
        left = [i for i, f in enumerate(front) if f == -1]
        best = [i for i in left if not any(beats(points[j], points[i]) for j in left)]
        for i in best:
            front[i] = max(front) + 1 if i == best[0] else front[best[0]]
    return front


def arrivals(points: list[Point], asha: Asha) -> Iterator[tuple[bool, list[int], int]]:
    """For every arrival: whether it goes on, the fronts of all so far, how many are to be kept."""
    for number, goes_on in enumerate(decisions(asha, points), 1):
        yield goes_on, ranked(points[:number]), math.ceil(number / asha.reduction)


@pytest.mark.parametrize("objectives", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_fronts_is_never_violated(
    objectives: list[ObjectiveConfig], seed: int
) -> None:
    points = students(40, seed, len(objectives))
    for goes_on, front, keep in arrivals(points, Asha(objectives)):
        if len(front) < 3:
            continue
        mine = front[-1]
        better = sum(f < mine for f in front)
        if mine == 0 or better + front.count(mine) <= keep:
            assert goes_on
        elif better >= keep:
            assert not goes_on


@pytest.mark.parametrize("seed", range(3))
def test_the_first_front_is_never_stopped_even_where_it_is_larger_than_the_cut(seed: int) -> None:
    rng = random.Random(seed)
    points = [(0.01 * i, 2.0**i) for i in range(50)]  # none beats another
    rng.shuffle(points)
    assert all(decisions(Asha(TWO), points))


def test_the_first_arrivals_go_on_whatever_they_are() -> None:
    asha = Asha([ACCURACY], reduction=4)
    assert decisions(asha, [(0.9,), (0.2,), (0.1,)]) == [True] * 3
    assert not asha.goes_on("late", 1, (0.05,))


@pytest.mark.parametrize("reduction", [2, 3, 5])
def test_with_one_objective_the_best_of_so_many_go_on(reduction: int) -> None:
    values = [(i / 100,) for i in random.Random(reduction).sample(range(100), 60)]
    for number, goes_on in enumerate(decisions(Asha([ACCURACY], reduction=reduction), values), 1):
        rank = sum(v > values[number - 1] for v in values[:number])
        assert goes_on == (number < reduction or rank < math.ceil(number / reduction))


def test_the_same_report_twice_changes_nothing() -> None:
    once, twice = Asha(TWO), Asha(TWO)
    for number, point in enumerate(students(40, seed=1)):
        wanted = once.goes_on(str(number), 1, point)
        assert twice.goes_on(str(number), 1, point) == wanted
        twice.goes_on(str(number), 1, point)
        twice.goes_on(str(number // 2), 1, (0.99, 1.0))  # known, whatever it says now


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("epoch", [1, 2], ids=["at a rung", "between rungs"])
def test_what_is_not_finite_stops_at_once_and_leaves_no_trace(value: float, epoch: int) -> None:
    plain, disturbed = Asha(TWO), Asha(TWO)
    for number, point in enumerate(students(20, seed=2)):
        assert not disturbed.goes_on(f"broken {number}", epoch, (value, 5.0))
        wanted = plain.goes_on(str(number), 1, point)
        assert disturbed.goes_on(str(number), 1, point) == wanted


def test_replay_in_any_order_of_trials_gives_the_same_rungs() -> None:
    """The log is replayed trial by trial; the trials themselves took turns."""
    points = {str(i): point for i, point in enumerate(students(30, seed=3))}
    took_turns, replayed = Asha(TWO, grace=1, reduction=3), Asha(TWO, grace=1, reduction=3)
    for epoch in (1, 2, 3):
        for trial, (accuracy, size) in points.items():
            took_turns.goes_on(trial, epoch, (accuracy + epoch, size))
    for trial, (accuracy, size) in points.items():
        for epoch in (1, 2, 3):
            replayed.goes_on(trial, epoch, (accuracy + epoch, size))
    for rung in (1, 3):
        late = [(a + rung, s) for a, s in students(30, seed=4)]
        assert [took_turns.goes_on(f"late {i}", rung, p) for i, p in enumerate(late)] == [
            replayed.goes_on(f"late {i}", rung, p) for i, p in enumerate(late)
        ]


@pytest.mark.parametrize(("grace", "reduction"), [(1, 3), (2, 2), (5, 3)])
def test_it_decides_at_the_rungs_and_nowhere_else(grace: int, reduction: int) -> None:
    asha, last = Asha([ACCURACY], grace, reduction), 45
    for epoch in range(1, last + 1):
        for number in range(reduction):
            asha.goes_on(str(number), epoch, (0.9,))
    decided = [e for e in range(1, last) if not asha.goes_on("bad", e, (0.1,))]
    assert decided == list(rung_epochs(grace, reduction, last)[:-1])


def test_on_a_log_scale_only_the_order_of_magnitude_counts() -> None:
    linear = SIZE.model_copy(update={"scale": "linear"})
    points = [(a, s) for a, s in students(60, seed=5)]
    logged = decisions(Asha([ACCURACY, SIZE]), points)
    assert logged == decisions(Asha([ACCURACY, linear]), [(a, math.log(s)) for a, s in points])
    assert logged == decisions(Asha([ACCURACY, SIZE]), [(a, 1e3 * s**2) for a, s in points])


@pytest.mark.parametrize("seed", range(3))
def test_the_order_in_which_objectives_are_declared_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)
    points = [(rng.random(), 10 ** rng.uniform(1, 5)) for _ in range(60)]
    turned = [(size, accuracy) for accuracy, size in points]
    assert decisions(Asha(TWO), points) == decisions(Asha([SIZE, ACCURACY]), turned)


def test_an_epsilon_net_takes_the_farthest_point_next() -> None:
    points = np.random.default_rng(0).random((12, 2)) * [1.0, 1000.0]
    low, high = points.min(0), points.max(0)
    order, scaled = epsilon_net(points, low, high), (points - low) / (high - low)
    assert sorted(order) == list(range(12))
    assert order[0] == points[:, 0].argmin()
    for taken in range(1, 12):
        gaps = np.linalg.norm(scaled[:, None] - scaled[order[:taken]], axis=2).min(1)
        assert gaps[order[taken]] == pytest.approx(gaps.max())


def test_a_net_of_equal_points_is_an_order_too() -> None:
    points = np.ones((4, 2))
    assert sorted(epsilon_net(points, points.min(0), points.max(0))) == [0, 1, 2, 3]


@pytest.mark.parametrize("objectives", [[ACCURACY], TWO], ids=["one", "two"])
def test_a_decision_at_a_rung_of_a_thousand_is_quick(objectives: list[ObjectiveConfig]) -> None:
    asha, rng = Asha(objectives), random.Random(0)
    started = time.perf_counter()
    for number in range(1000):
        asha.goes_on(str(number), 1, [rng.random() for _ in objectives])
    assert time.perf_counter() - started < 10  # 1 ms each; a hundred times that has been seen


def finishers(objectives: list[ObjectiveConfig], seed: int, count: int = 120) -> list[float]:
    """log10 of the sizes that reach the end, of students whose accuracy rises with size.

    Sizes are uniform in the log from 1e4 to 1e7; four trials at a time train 9 epochs.
    """
    rng = random.Random(seed)
    asha, waiting = Asha(objectives, grace=1, reduction=3), list(range(count))
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
            goes_on = asha.goes_on(str(trial), epoch, [known[o.name] for o in objectives])
            if epoch == 9:
                done.append(math.log10(sizes[trial]))
            if epoch == 9 or not goes_on:
                del working[trial]
    return done


@pytest.mark.parametrize("seed", range(3))
def test_accuracy_alone_wipes_out_small_students_and_both_objectives_keep_them(seed: int) -> None:
    alone, both = finishers([ACCURACY], seed), finishers(TWO, seed)
    smallest_third = 5.0
    assert sum(size < smallest_third for size in alone) <= 2  # the first arrivals
    assert sum(size < smallest_third for size in both) >= 0.2 * len(both)
    assert np.mean(alone) > 6.2 and np.mean(both) < 5.9
    assert len(both) < 120 / 2  # and still it stops most of them
