"""Trials as a study is told them: quick to copy, and never changed by who has a copy."""

from __future__ import annotations

import copy
import random

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from kdsearch.proposers.optuna import NSGA2Proposer, TPEProposer
from kdsearch.proposers.optuna.holes import distributions
from kdsearch.proposers.optuna.samplers import OptunaProposer
from kdsearch.proposers.optuna.study import told_trial
from tests.proposers.spaces import FATES, OBJECTIVES, SPACE, propose, seen

KNOWN = distributions(SPACE)


def parts() -> dict:
    """An assignment of the space's first choices, and what became of it."""
    labels = SPACE.sample(random.Random(0)).assignment
    return {"params": labels, "state": TrialState.COMPLETE, "values": [0.5]}


def test_it_is_what_optuna_would_have_made() -> None:
    given = parts()
    own = {name: KNOWN[name] for name in given["params"]}
    made = create_trial(**{**given, "distributions": own, "user_attrs": {"status": "complete"}})
    told = told_trial(KNOWN, **given, user_attrs={"status": "complete"})
    assert vars(told).keys() == vars(made).keys()
    for name, value in vars(made).items():
        if "datetime" not in name:
            assert vars(told)[name] == value, name


def test_what_a_study_does_with_its_copy_changes_nothing() -> None:
    running = told_trial(KNOWN, params=parts()["params"], state=TrialState.RUNNING)
    before = copy.deepcopy(vars(running))
    studies = [optuna.create_study() for _ in range(2)]
    for study in studies:
        study.add_trial(running)
    studies[0].tell(0, 0.25)
    assert vars(running) == before
    assert studies[1].trials[0].state is TrialState.RUNNING
    assert studies[0].trials[0].values == [0.25]


@pytest.mark.parametrize("kind", [TPEProposer, NSGA2Proposer])
def test_what_was_made_once_says_the_same_again(kind: type[OptunaProposer]) -> None:
    def named(forgetful: bool) -> list[dict]:
        proposer, found = kind(SPACE, OBJECTIVES, 3, bound=16), []
        for turn in range(6):
            for trial in range(8 * turn, 8 * turn + 8):
                proposal = propose(proposer, trial)
                proposer.observe(seen(trial, proposal, FATES[trial % 2]))
                found.append(proposal.assignment)
                if forgetful:
                    proposer._made.clear()
        return found

    assert named(True) == named(False)
