"""Optuna's samplers over a conditional space, told the truth, and of it a bounded set."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from kdsearch.proposers import Proposal
from kdsearch.proposers.base import Stopped
from kdsearch.proposers.optuna import NSGA2Proposer, TPEProposer, export_study
from kdsearch.proposers.optuna.samplers import STARTUP, OptunaProposer
from kdsearch.space import SearchSpace
from tests.proposers.spaces import OBJECTIVES, SPACE, play, propose, seen

BOTH = [TPEProposer, NSGA2Proposer]


@pytest.fixture(autouse=True)
def no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def told_of(proposer: OptunaProposer) -> dict[str, FrozenTrial]:
    """What the study was told of trials that ended, by their ids."""
    trials = proposer.study.trials
    return {t.user_attrs["trial_id"]: t for t in trials if "trial_id" in t.user_attrs}


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("kind", BOTH)
def test_the_study_is_told_what_became_of_every_trial(
    kind: type[OptunaProposer], objectives: int
) -> None:
    proposer = kind(SPACE, OBJECTIVES[:objectives])
    states = {"complete": TrialState.COMPLETE, "stopped": TrialState.PRUNED}
    told = play(proposer, STARTUP + 12, objectives)
    trials = told_of(proposer)
    for observation in told:
        trial = trials.pop(observation.trial_id, None)
        assert (trial and trial.state) == states.get(observation.fate)
        if trial is not None and trial.state is TrialState.COMPLETE:
            assert tuple(trial.values) == observation.values
        elif trial is not None:
            assert not trial.values
    assert not trials
    assert not proposer.study.get_trials(states=(TrialState.RUNNING,))


@pytest.mark.parametrize(
    "stopped, state, violated",
    [
        ("pruned", TrialState.PRUNED, False),
        ("constraint", TrialState.COMPLETE, True),
        ("complete", TrialState.COMPLETE, False),
        ("omitted", None, False),
    ],
)
@pytest.mark.parametrize("kind", BOTH)
def test_what_is_told_of_a_stopped_trial_is_a_choice(
    kind: type[OptunaProposer], stopped: Stopped, state: TrialState | None, violated: bool
) -> None:
    proposer = kind(SPACE, OBJECTIVES, stopped=stopped)
    for i in range(3):
        observation = seen(i, propose(proposer, i), "stopped")
        proposer.observe(observation)
    trial = told_of(proposer).get("00002")
    assert (trial and trial.state) == state
    assert any(v > 0 for v in trial.constraints.values()) == violated if trial else not violated
    SPACE.apply(propose(proposer, 3).assignment)


def test_of_unfinished_trials_the_later_stopped_is_the_lesser_violation() -> None:
    proposer = TPEProposer(SPACE, OBJECTIVES, stopped="constraint")
    for i, epochs in enumerate((1, 3, 9)):
        observation = seen(i, propose(proposer, i), "stopped")
        history = tuple((e, observation.history[0][1]) for e in range(1, epochs + 1))
        proposer.observe(replace(observation, history=history))
    violations = [t.constraints["undertrained"] for t in told_of(proposer).values()]
    assert violations == sorted(violations, reverse=True) and min(violations) > 0


@pytest.mark.parametrize("kind", BOTH)
def test_a_search_of_pruned_trials_alone_goes_on(kind: type[OptunaProposer]) -> None:
    proposer = kind(SPACE, OBJECTIVES)
    for i in range(40):
        proposer.observe(seen(i, propose(proposer, i), "stopped"))
    SPACE.apply(propose(proposer, 99).assignment)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("bound", [12, 400])  # with the first, a new study begins in between
def test_trials_that_run_at_once_differ_and_end_in_any_order(
    kind: type[OptunaProposer], bound: int
) -> None:
    proposer = kind(SPACE, OBJECTIVES, bound=bound)
    play(proposer, 30)
    running = [propose(proposer, 100 + i) for i in range(6)]
    assert len({str(p.assignment) for p in running}) == 6
    for i, proposal in reversed(list(enumerate(running))):
        proposer.observe(seen(100 + i, proposal, "complete"))
        propose(proposer, 200 + i)
    running_now = proposer.study.get_trials(states=(TrialState.RUNNING,))
    assert len(running_now) == 6


@pytest.mark.parametrize("kind", BOTH)
def test_past_trials_are_told_like_those_it_asked(kind: type[OptunaProposer]) -> None:
    first = kind(SPACE, OBJECTIVES)
    told = play(first, 30)
    again = kind(SPACE, OBJECTIVES)
    for observation in told:
        again.observe(observation)
    told_first, told_again = told_of(first), told_of(again)
    assert list(told_first) == list(told_again)
    for trial_id, trial in told_first.items():
        other = told_again[trial_id]
        assert (trial.state, trial.params, trial.values, trial.constraints) == (
            other.state,
            other.params,
            other.values,
            other.constraints,
        )


@pytest.mark.parametrize("kind", BOTH)
def test_however_many_it_is_told_the_study_stays_small(kind: type[OptunaProposer]) -> None:
    bound = 24
    proposer = kind(SPACE, OBJECTIVES, bound=bound)
    rows: list[int] = []
    for i in range(200):
        ask = proposer.propose_random if i % 3 else proposer.propose
        proposer.observe(seen(i, ask(f"{i:05d}"), "stopped" if i % 2 else "complete"))
        rows.append(len(proposer.study.get_trials(deepcopy=False)))
    assert max(rows) <= 1.5 * bound + 2
    assert set(told_of(proposer)) > {f"{i:05d}" for i in range(195, 200)}


@pytest.mark.parametrize("kind", BOTH)
def test_however_many_run_at_once_the_study_stays_small(kind: type[OptunaProposer]) -> None:
    bound, running = 24, 200
    proposer = kind(SPACE, OBJECTIVES, bound=bound)
    proposals = [propose(proposer, i) for i in range(running)]
    rows: list[int] = []
    for i in range(100):
        proposer.observe(seen(i, proposals[i], "stopped" if i % 2 else "complete"))
        proposals.append(propose(proposer, running + i))
        rows.append(len(proposer.study.get_trials(deepcopy=False)))
    assert max(rows[bound:]) <= 1.75 * bound + 2  # told, the running that were asked last, and new
    ended = {f"{i:05d}" for i in range(100)}
    assert set(told_of(proposer)) <= ended and f"{99:05d}" in told_of(proposer)
    still = proposer.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    assert len(still) <= bound


def test_random_proposals_are_learned_from_like_others() -> None:
    proposer = TPEProposer(SPACE, OBJECTIVES)
    random = [proposer.propose_random(f"{i:05d}") for i in range(6)]
    for i, proposal in enumerate(random):
        proposer.observe(seen(i, proposal, "complete"))
    params = [trial.params for trial in told_of(proposer).values()]
    assert params == [proposal.assignment for proposal in random]


@pytest.mark.parametrize("bound", [60, 400])
def test_the_model_finds_what_random_search_does_not(bound: int) -> None:
    space = SearchSpace({f"x{i}": {"float": [0, 1]} for i in range(3)})

    def best(trials: int, model: bool) -> float:
        proposer = TPEProposer(space, OBJECTIVES[1:], seed=0, bound=bound)
        values = []
        for i in range(trials):
            ask = proposer.propose if model else proposer.propose_random
            proposal = ask(f"{i:05d}")
            values.append(sum((float(v) - 0.3) ** 2 for v in proposal.assignment.values()))
            observation = seen(i, Proposal({"lr": values[-1], "depth": 0}), "complete", 1)
            proposer.observe(replace(observation, assignment=proposal.assignment))
        return min(values)

    assert best(90, model=True) < 0.5 * best(90, model=False)


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


def test_values_are_told_on_their_scales() -> None:
    size = OBJECTIVES[1].model_copy(update={"scale": "log"})
    proposer = TPEProposer(SPACE, [OBJECTIVES[0], size])
    told = play(proposer, 1)[0]
    assert told.values is not None
    trial = proposer.study.trials[-1]
    assert trial.values == [told.values[0], pytest.approx(math.log(told.values[1]))]
