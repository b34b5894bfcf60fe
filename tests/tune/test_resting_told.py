"""A trial that rests is told to the proposer, and told again, live and after a break alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsearch.proposers import Observation
from kdsearch.tune.launch import Launch
from tests.tune.made import Listed, learn, made_config, made_driver, play, started
from tests.tune.promoting import SECTION, Promoting
from tests.tune.test_driver_resting import reach

WIDTHS = list(range(1, 27))


def last_words(told: list[Observation]) -> list[Observation]:
    """What holds of each trial, in the order in which it was last told of."""
    latest = {o.trial_id: i for i, o in enumerate(told)}
    return [o for i, o in enumerate(told) if latest[o.trial_id] == i]


@pytest.mark.parametrize("launches", [1, 4, 9, 14, 40])
def test_after_a_break_the_last_word_of_every_trial_is_told_in_its_order(
    tmp_path: Path, launches: int
) -> None:
    config = made_config(scheduler=SECTION, budget={"trials": 12})
    first, second = Listed(WIDTHS), Listed(WIDTHS)
    with made_driver(tmp_path, config, first, Promoting()) as driver:
        give, left = driver.next, [launches]

        def until_the_break() -> object:
            left[0] -= 1
            return give() if left[0] >= 0 else None

        driver.next = until_the_break  # type: ignore[method-assign,assignment]
        play(driver, slots=3)
    with made_driver(tmp_path, config, second, Promoting()):
        assert second.told == last_words(first.told)
    fates = {o.fate for o in first.told}
    assert (fates and ("resting" in fates or launches == 1)) or fates == {"resting"}


def test_it_is_told_what_it_had_reached_also_while_it_goes_on(tmp_path: Path) -> None:
    config = made_config(scheduler=SECTION, budget={"trials": 12})
    first, second = Listed(WIDTHS), Listed(WIDTHS)
    with made_driver(tmp_path, config, first, Promoting()) as driver:
        for accuracy in (0.5, 0.4):
            launch = driver.next()
            assert isinstance(launch, Launch)
            reach(driver, launch, accuracy)
        assert [(o.fate, o.epochs) for o in first.told] == [("resting", 1)] * 2
        again = started(driver)
        reports = list(learn(again.spec))
        assert again.trial_id == "00000" and again.state is not None
        driver.report(again.trial_id, reports[1], reports[2])  # beyond where it rested
    with made_driver(tmp_path, config, second, Promoting()):
        assert second.told == first.told  # it is in flight; what it rested with still holds
