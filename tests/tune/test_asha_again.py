"""A log replayed gives the scheduler that wrote it; what was said twice was said once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.search_sections import ObjectiveConfig
from kdsearch.tune.asha import Asha
from tests.tune.rungs import EXACT, SIZE, Point, asha, declared_points, drained, law

Drawn = tuple[list[ObjectiveConfig], list[Point]]
Log = list[tuple[str, int, Point]]
FORMS = ["stopping", "promoting"]


def lived(scheduler: Asha, points: list[Point], seed: int) -> Log:
    """A search of trials that come as they like; whoever is promoted reports before long."""
    rng, log = random.Random(seed), []
    running = {str(i): 1 for i in range(len(points))}
    while running:
        trial_id = rng.choice(sorted(running))
        epoch = running.pop(trial_id)
        accuracy, *sizes = points[int(trial_id)]
        entry = (trial_id, epoch, (accuracy + epoch / 10, *sizes))
        log.append(entry)
        if scheduler.report(*entry) == "continue" and epoch < 9:
            running[trial_id] = epoch + 1
        while (promoted := scheduler.promote()) is not None:
            last = max(e for t, e, _ in log if t == promoted)
            if last < 9:
                running[promoted] = last + 1
    return log


@law
@given(declared_points(most=16), st.sampled_from(FORMS), st.integers(0, 99), st.booleans())
def test_replay_equals_live(drawn: Drawn, form: str, seed: int, in_order: bool) -> None:
    """In the log's order, and trial by trial; whoever comes then is told the same."""
    objectives, points = drawn
    live, again = asha(objectives, form=form), asha(objectives, form=form)
    log = lived(live, points, seed)
    for entry in log if in_order else sorted(log, key=lambda e: e[:2]):
        again.report(*entry)
    assert set(drained(again)) <= {t for t, e, _ in log if e == 9}  # those have ended
    for number in range(16, 32):
        newcomer = (str(number), 1, points[number % len(points)] if points else (0.5,))
        if len(newcomer[2]) == len(objectives):
            assert live.report(*newcomer) == again.report(*newcomer)
            assert live.promote() == again.promote()


@law
@given(declared_points(), st.sampled_from(FORMS))
def test_duplicates_change_nothing(drawn: Drawn, form: str) -> None:
    objectives, points = drawn
    once, twice = asha(objectives, form=form), asha(objectives, form=form)
    for number, point in enumerate(points):
        wanted = once.report(str(number), 1, point)
        assert [twice.report(str(number), 1, point) for _ in range(3)] == [wanted] * 3
        best = tuple(1.0 if o.direction == "max" else 0.001 for o in objectives)
        twice.report(str(number // 2), 1, best)  # known, whatever it says now
        assert once.promote() == twice.promote()


def four(epoch_of_best: int | None = None, value: float = 0.9) -> Asha:
    """Four at a rung of the promoting form, the best of which may have reported since."""
    scheduler = asha([EXACT], form="promoting", reduction=2)
    for number in range(4):
        scheduler.report(str(number), 1, (0.9 - number / 10,))
    if epoch_of_best is not None:
        scheduler.report("0", epoch_of_best, (value,))
    return scheduler


def test_a_later_report_proves_a_promotion_and_nothing_else_does() -> None:
    assert drained(four()) == ["0", "1"]
    assert drained(four(1)) == ["0", "1"]
    assert drained(four(2)) == ["1"]
    assert drained(four(7)) == ["1"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_trial_that_diverged_after_its_promotion_used_it(value: float) -> None:
    assert drained(four(2, value)) == ["1"]


def test_a_promoted_trial_that_begins_again_is_not_held_at_the_rung_it_passed() -> None:
    scheduler = four()
    assert scheduler.report("0", 1, (0.9,)) == "pause"
    assert scheduler.promote() == "0"
    assert scheduler.report("0", 1, (0.9,)) == "continue"
    assert scheduler.report("1", 1, (0.8,)) == "pause"


def test_a_trial_that_went_on_is_told_so_again_though_the_log_came_in_another_order() -> None:
    """Late in the replay the rung is full: alone by its place it would have been stopped."""
    scheduler = asha([EXACT, SIZE])
    for number in range(1, 9):
        scheduler.report(str(number), 1, (0.9, 1.0))
    assert scheduler.report("0", 1, (0.5, 2.0)) == "stop"
    scheduler.report("0", 2, (0.6, 2.0))  # the log's next line
    assert scheduler.report("0", 1, (0.5, 2.0)) == "continue"
