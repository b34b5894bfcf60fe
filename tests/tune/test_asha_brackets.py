"""Brackets follow from ids, begin at different rungs and do not look at each other."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.check import check_search
from kdsearch.proposers import Proposal
from kdsearch.schemes import rung_epochs
from kdsearch.search_config import load_config
from kdsearch.search_sections import SchedulerConfig
from kdsearch.tune.gate import gate
from tests.searches import fault, tree
from tests.tune.made import LR, WIDTH, made_config, made_ground
from tests.tune.rungs import EXACT, SIZE, Point, asha, drained, law, point_lists


@pytest.mark.parametrize("brackets", [1, 2, 3])
def test_a_trial_is_judged_at_the_rungs_of_its_bracket_alone(brackets: int) -> None:
    words = {"grace": 2, "reduction": 2, "brackets": brackets, "form": "promoting"}
    for number in range(2 * brackets):
        scheduler = asha([EXACT], **words)
        judged = [e for e in range(1, 40) if scheduler.report(str(number), e, (0.5,)) == "pause"]
        assert judged == list(rung_epochs(2 * 2 ** (number % brackets), 2, 40)[:-1])


@law
@given(point_lists(2), st.sampled_from(["stopping", "promoting"]))
def test_a_bracket_decides_as_if_it_were_alone(points: list[Point], form: str) -> None:
    together = asha([EXACT, SIZE], brackets=2, form=form)
    alone = [asha([EXACT, SIZE], grace=grace, form=form) for grace in (1, 3)]
    for epoch in (1, 3):
        for number, point in enumerate(points):
            wanted = alone[number % 2].report(str(number), epoch, point)
            assert together.report(str(number), epoch, point) == wanted
        apart = [name for scheduler in alone for name in drained(scheduler)]
        assert sorted(drained(together)) == sorted(apart)


def test_a_proposal_is_annealed_to_the_rungs_of_its_bracket() -> None:
    words = {"name": "asha", "grace": 1, "reduction": 2, "brackets": 3}
    config = made_config(scheduler=words, training={"epochs": 6, "lr": {"float": [0.01, 0.1]}})
    scheduler = SchedulerConfig.model_validate(words)
    wanted = [[1, 2, 4, 6], [2, 4, 6], [4, 6]]
    for number in range(6):
        trial_id = f"{number:05d}"
        event, _ = gate(made_ground(config), (), trial_id, Proposal({WIDTH: 8, LR: 0.05}))
        assert event is not None and event["spec"]["rungs"] == wanted[number % 3]
        assert event["spec"]["rungs"][0] == scheduler.first_rung(trial_id)
    assert all(a != b for a, b in pairwise(wanted))


def test_a_bracket_that_never_decides_is_refused_with_the_number_that_would_do() -> None:
    for brackets, epochs, most in ((2, 3, 1), (4, 10, 3), (8, 27, 3)):
        scheduler = {"name": "asha", "brackets": brackets}
        line = fault(tree(training__epochs=epochs, scheduler=scheduler))
        assert "scheduler.brackets" in line and f"at most {most}" in line
        scheduler["brackets"] = most
        check_search(load_config(tree(training__epochs=epochs, scheduler=scheduler)))


def test_the_longest_training_of_the_space_decides_whether_brackets_fit() -> None:
    scheduler = {"name": "asha", "brackets": 3}
    check_search(load_config(tree(training__epochs={"int": [2, 10]}, scheduler=scheduler)))
    assert "longer than 9" in fault(tree(training__epochs={"int": [2, 9]}, scheduler=scheduler))


def test_epochs_of_a_pre_training_are_not_counted() -> None:
    losses = [{"method": "ab", "weight": 0.01, "pretrain_epochs": 2}]
    scheduler = {"name": "asha", "brackets": 2}
    training = {"epochs": 5, "label_weight": 1.0}
    line = fault(tree(losses=losses, training=training, scheduler=scheduler))
    assert "scheduler.brackets" in line and "longer than 3" in line


def test_without_a_scheduler_brackets_say_nothing() -> None:
    check_search(load_config(tree(scheduler={"name": "none", "brackets": 8})))
