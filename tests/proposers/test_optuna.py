"""TPE over a conditional space, told the truth; the same study again from the log."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from kdsearch.proposers import Proposal
from kdsearch.proposers.optuna import STARTUP, TPEProposer, export_study
from kdsearch.space import SearchSpace
from tests.proposers.spaces import FATES, OBJECTIVES, SPACE, play, propose, seen


@pytest.fixture(autouse=True)
def no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_proposals_fit_the_space_and_reach_every_option() -> None:
    told = play(TPEProposer(SPACE, OBJECTIVES), 40)
    for observation in told:
        SPACE.apply(observation.assignment)
    assert {o.assignment["term"] for o in told} == {"none", "kd", "rkd"}
    assert {o.assignment["depth"] for o in told} == {1, 2, 3}


@pytest.mark.parametrize("objectives", [1, 2])
def test_the_study_is_told_what_became_of_every_trial(objectives: int) -> None:
    proposer = TPEProposer(SPACE, OBJECTIVES[:objectives])
    states = {
        "complete": TrialState.COMPLETE,
        "stopped": TrialState.PRUNED,
        "diverged": TrialState.FAIL,
        "failed": TrialState.FAIL,
        "infeasible": TrialState.FAIL,
        "repeated": TrialState.FAIL,
    }
    told = play(proposer, 2 * len(FATES) + STARTUP, objectives)
    for observation, trial in zip(told, proposer.study.trials, strict=True):
        assert trial.state is states[observation.fate]
        if trial.state is TrialState.COMPLETE:
            assert tuple(trial.values) == observation.values
        else:
            assert not trial.values


def test_a_search_of_pruned_trials_alone_goes_on() -> None:
    proposer = TPEProposer(SPACE, OBJECTIVES)
    for i in range(STARTUP + 5):
        proposer.observe(seen(i, propose(proposer, i), "stopped"))
    SPACE.apply(propose(proposer, 99).assignment)


def test_trials_that_run_at_once_differ() -> None:
    proposer = TPEProposer(SPACE, OBJECTIVES)
    play(proposer, STARTUP + 2)
    running = [propose(proposer, 100 + i) for i in range(6)]
    assert len({str(p.assignment) for p in running}) == 6
    for i, proposal in reversed(list(enumerate(running))):  # they end in any order
        proposer.observe(seen(100 + i, proposal, "complete"))
    assert not proposer.study.get_trials(states=(TrialState.RUNNING,))


def test_the_seed_decides_the_sequence() -> None:
    first, second, other = (
        [o.assignment for o in play(TPEProposer(SPACE, OBJECTIVES, seed), 14)] for seed in (1, 1, 2)
    )
    assert first == second != other


def test_past_trials_are_added_without_being_proposed() -> None:
    told = play(TPEProposer(SPACE, OBJECTIVES), 12)
    again = TPEProposer(SPACE, OBJECTIVES)
    for observation in told:
        again.observe(observation)
    for observation, trial in zip(told, again.study.trials, strict=True):
        assert trial.params == observation.assignment
        assert trial.user_attrs == {"trial_id": observation.trial_id, "status": observation.fate}
    assert len(propose(again, 12).assignment) > 4


def test_after_a_break_the_first_proposals_do_not_come_again() -> None:
    told = play(TPEProposer(SPACE, OBJECTIVES), 5)
    going_on = []
    for _ in range(2):
        again = TPEProposer(SPACE, OBJECTIVES)
        for observation in told:
            again.observe(observation)
        going_on.append([propose(again, 5 + i).assignment for i in range(3)])
    assert going_on[0] == going_on[1]
    assert not [a for a in going_on[0] if a in [o.assignment for o in told]]


def test_random_proposals_are_learned_from_like_others() -> None:
    proposer = TPEProposer(SPACE, OBJECTIVES)
    random = [proposer.propose_random(f"{i:05d}") for i in range(6)]
    assert len({str(p.assignment) for p in random}) == 6
    for i, proposal in enumerate(random):
        SPACE.apply(proposal.assignment)
        proposer.observe(seen(i, proposal, "complete"))
    params = [trial.params for trial in proposer.study.trials]
    assert params == [proposal.assignment for proposal in random]


def test_the_model_finds_what_random_search_does_not() -> None:
    space = SearchSpace({f"x{i}": {"float": [0, 1]} for i in range(3)})

    def best(trials: int, model: bool) -> float:
        proposer = TPEProposer(space, OBJECTIVES[1:], seed=0)
        values = []
        for i in range(trials):
            ask = proposer.propose if model else proposer.propose_random
            proposal = ask(f"{i:05d}")
            values.append(sum((float(v) - 0.3) ** 2 for v in proposal.assignment.values()))
            observation = seen(i, Proposal({"lr": values[-1], "depth": 0}), "complete", 1)
            proposer.observe(observation)
        return min(values)

    assert best(60, model=True) < 0.5 * best(60, model=False)


def test_odd_steps_are_proposed_to_the_last() -> None:
    space = SearchSpace(
        {"a": {"float": [0, 1], "step": 1 / 3}, "b": {"float": [0.1, 0.35], "step": 0.1}}
    )
    proposer = TPEProposer(space, OBJECTIVES[:1])
    proposals = [propose(proposer, i).assignment for i in range(40)]
    for name, domain in space.holes.items():
        assert {p[name] for p in proposals} == set(domain.grid)


def test_an_exported_study_is_read_again(tmp_path: Path) -> None:
    told = play(TPEProposer(SPACE, OBJECTIVES), 14)
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    for _ in range(2):  # the second replaces the first
        assert export_study(SPACE, OBJECTIVES, told, storage, "made") == 14
    study = optuna.load_study(study_name="made", storage=storage)
    assert study.metric_names == ["validation_accuracy", "parameters"]
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    for observation, trial in zip(told, study.trials, strict=True):
        assert trial.params == observation.assignment
        assert trial.user_attrs["status"] == observation.fate
