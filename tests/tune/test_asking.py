"""How often a proposer is asked: one that goes through a list, to the end of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsearch.proposers import Done
from kdsearch.proposing import make_proposer
from kdsearch.tune.asking import MODEL_TRIES, RANDOM_TRIES, Exhausted, ask
from kdsearch.tune.closing import search_over
from tests.tune.made import (
    Listed,
    events_of,
    made_config,
    made_driver,
    made_ground,
    play,
    rows,
)

TOO_WIDE, MAY_RUN = 39, 4
MORE = MODEL_TRIES + RANDOM_TRIES + 100


@pytest.mark.parametrize("finite", [True, False])
def test_a_finite_one_is_asked_on_however_many_are_refused(finite: bool) -> None:
    proposer = Listed([TOO_WIDE] * MORE + [MAY_RUN])
    proposer.finite = finite
    event = ask(proposer, made_ground(made_config()), set(), "00000")
    if finite:
        assert isinstance(event, dict) and len(proposer.told) == MORE
    else:
        assert isinstance(event, Exhausted)


def test_a_grid_smaller_than_its_budget_ends_the_search_for_good(tmp_path: Path) -> None:
    student = {"family": "mlp", "widths": {"each": 1, "int": [2, 4]}}
    training = {"epochs": 2, "lr": 0.1}
    config = made_config(student=student, training=training, proposer={"name": "grid"})
    for _ in range(2):  # the second has nothing to do, and says so too
        with made_driver(tmp_path, config, make_proposer(config, [])) as driver:
            play(driver)
            assert driver.finished and len(rows(driver.store)) == 3
            assert search_over(driver.store, config)
    assert [e["why"] for e in events_of(tmp_path, "exhausted")] == [
        "the proposer has named all that it has"
    ]


def test_what_is_no_part_of_the_protocol_is_not_guessed() -> None:
    class Without:
        """Does not say whether it is finite."""

        def propose(self, trial_id: str) -> Done:
            return Done()

    with pytest.raises(AttributeError, match="finite"):
        ask(Without(), made_ground(made_config()), set(), "00000")  # type: ignore[arg-type]
