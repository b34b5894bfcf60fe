"""The two stages of the paper: blocks go first, and what is left is shrunk."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdsearch.proposers.n2n.learning import Profile
from tests.proposers.n2n.made import play, propose, proposer, student_of


def test_the_paper_removes_first_and_then_shrinks_the_best() -> None:
    made = proposer(profile="n2n_paper", trials=40, repeats=True)
    told = play(made, 40)
    first, second = told[:20], told[20:]
    ratios = [n for n in first[0].assignment if "ratio" in n]
    assert all(o.assignment[n] == 1 for o in first for n in ratios)
    assert made.credit.best is not None
    _, actions, parent = made.credit.best
    keeps = {k: v for k, v in made.edited.assignment(actions).items() if "keep" in k}
    assert all(keeps.items() <= o.assignment.items() for o in second)
    assert {o.assignment[n] for o in second for n in ratios} == {0.25, 0.5, 0.75, 1}
    assert propose(made, 40).parent_id == parent
    assert propose(proposer(profile="n2n_paper"), 0).parent_id is None


@pytest.mark.parametrize("profile", ["n2n_paper", "n2n_code"])
def test_the_first_stage_ends_when_no_student_is_left(profile: Profile) -> None:
    # Two stages of which two blocks each may go: the students of nine keep lists differ.
    made = proposer(profile=profile, trials=80)
    told = play(made, 40)
    stages = [o.note["stage"] for o in told if o.note is not None]
    assert stages == sorted(stages) and 1 <= stages.count(0) <= 9
    keys = {student_of(made, propose(made, 40)).key}
    keys |= {made.edited.student(made.edited.actions(o.assignment)).key for o in told}
    assert len(keys) == 41


def test_a_stage_that_ended_early_is_over_after_a_break_too() -> None:
    changes = {"profile": "n2n_paper", "trials": 80}
    made, again = proposer(**changes), proposer(**changes)
    told = play(made, 30)
    for observation in told:
        again.observe(replace(observation))
    assert again.stage == made.stage == 1
    assert propose(again, 30) == propose(made, 30)
