"""Points that come to a rung, and their fronts by the definition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from kdsearch.search_sections import ObjectiveConfig, SchedulerConfig
from kdsearch.tune.asha import Asha
from kdsearch.tune.scheduler import Decision

Point = tuple[float, ...]

law = settings(deadline=None, max_examples=60)  # a busy machine is no failure
EXACT = ObjectiveConfig(name="validation_accuracy", direction="max", slack=0)
ACCURACY = ObjectiveConfig(name="validation_accuracy", direction="max")
SIZE = ObjectiveConfig(name="parameters", direction="min", scale="log")
MACS = ObjectiveConfig(name="macs", direction="min", scale="log")
DECLARED = [[EXACT], [EXACT, SIZE], [EXACT, SIZE, MACS]]


def asha(objectives: Sequence[ObjectiveConfig], **words: Any) -> Asha:
    return Asha(objectives, SchedulerConfig(**words))


def point_lists(objectives: int, least: int = 0, most: int = 24) -> st.SearchStrategy[list[Point]]:
    """Accuracies and sizes of few values, so that ties and equal points are common."""
    accuracy = st.integers(0, 20).map(lambda step: step / 20)
    sizes = [st.integers(1, 12).map(float) for _ in range(objectives - 1)]
    return st.lists(st.tuples(accuracy, *sizes), min_size=least, max_size=most)


@st.composite
def declared_points(
    draw: st.DrawFn, least: int = 0, most: int = 24
) -> tuple[list[ObjectiveConfig], list[Point]]:
    """One to three objectives, and points of them."""
    objectives = draw(st.sampled_from(DECLARED))
    return objectives, draw(point_lists(len(objectives), least, most))


def decisions(scheduler: Asha, points: Sequence[Point], epoch: int = 1) -> list[Decision]:
    return [scheduler.report(str(i), epoch, point) for i, point in enumerate(points)]


def gains(one: Point, other: Point) -> list[float]:
    """By how much `one` is better, in every objective: accuracy up, sizes down."""
    return [one[0] - other[0], *(b - a for a, b in zip(one[1:], other[1:], strict=True))]


def beats(one: Point, other: Point) -> bool:
    """Whether `one` is nowhere worse and somewhere better."""
    by = gains(one, other)
    return min(by) >= 0 and max(by) > 0


def ranked(points: Sequence[Point]) -> list[int]:
    """The front of every point, by the definition."""
    front, index, left = [-1] * len(points), 0, set(range(len(points)))
    while left:
        best = {i for i in left if not any(beats(points[j], points[i]) for j in left)}
        for i in best:
            front[i] = index
        left, index = left - best, index + 1
    return front


def drained(scheduler: Asha) -> list[str]:
    """All that may be promoted now, in turn."""
    named: list[str] = []
    while (trial_id := scheduler.promote()) is not None:
        named.append(trial_id)
        assert len(named) < 1000  # or it would be asked for ever
    return named
