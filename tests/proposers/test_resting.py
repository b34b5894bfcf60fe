"""Trials that wait at a rung: taken for stopped ones until there is news of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdsearch.proposers.base import Fate, Observation, Stopped
from kdsearch.proposers.evolution import EvolutionProposer
from kdsearch.proposers.optuna import NSGA2Proposer, TPEProposer
from kdsearch.proposers.optuna.samplers import STARTUP, OptunaProposer
from kdsearch.proposers.portfolio import PortfolioProposer
from tests.proposers.spaces import OBJECTIVES, SPACE, propose, seen

KINDS: list[type[OptunaProposer]] = [TPEProposer, NSGA2Proposer]
MODES: list[Stopped] = ["pruned", "constraint", "complete", "omitted"]


def stories(proposer: OptunaProposer | EvolutionProposer, fate: Fate) -> list[Observation]:
    return [replace(seen(i, propose(proposer, i), "stopped"), fate=fate) for i in range(6)]


def known(proposer: OptunaProposer) -> list[tuple]:
    return sorted(
        (
            t.state.name,
            t.values or [],
            sorted(t.params.items(), key=str),
            sorted(t.constraints or {}),
        )
        for t in proposer.study.get_trials(deepcopy=False)
        if t.state.name not in ("FAIL", "RUNNING")
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stopped", MODES)
@pytest.mark.parametrize("end", ["stopped", "complete", "failed"])
def test_the_last_word_is_all_that_a_sampler_knows(
    kind: type[OptunaProposer], stopped: Stopped, end: Fate
) -> None:
    once, twice = (kind(SPACE, OBJECTIVES, 3, stopped=stopped) for _ in range(2))
    ends = stories(once, end)
    for i in range(6):
        propose(twice, i)
    for told in ends:
        once.observe(told)
        for rested in (told, told):
            twice.observe(replace(rested, fate="resting"))
        twice.observe(told)
    assert known(twice) == known(once)
    resting = kind(SPACE, OBJECTIVES, 3, stopped=stopped)
    for told in ends:
        resting.observe(replace(told, fate="resting"))
        once.observe(replace(told, fate="stopped"))
    stops = kind(SPACE, OBJECTIVES, 3, stopped=stopped)
    for told in ends:
        stops.observe(replace(told, fate="stopped"))
    assert known(resting) == known(stops)


def test_the_model_speaks_once_enough_trials_rest() -> None:
    proposer = TPEProposer(SPACE, OBJECTIVES, 0)
    for i in range(STARTUP):
        proposer.observe(replace(seen(i, propose(proposer, i), "stopped"), fate="resting"))
    states = [t.state.name for t in proposer.study.get_trials(deepcopy=False)]
    assert states.count("PRUNED") == STARTUP


@pytest.mark.parametrize("stopped", MODES)
def test_evolution_counts_and_holds_a_trial_once(stopped: Stopped) -> None:
    once, twice = (EvolutionProposer(SPACE, OBJECTIVES, 0, stopped=stopped) for _ in range(2))
    for told in stories(once, "complete"):
        once.observe(told)
        twice.observe(replace(told, fate="resting"))
        assert len(twice.population) in (len(once.population), len(once.population) - 1)
        twice.observe(told)
    assert list(once.population) == list(twice.population) and once._ran == twice._ran


def test_a_portfolio_credits_an_end_alone() -> None:
    member = EvolutionProposer(SPACE, OBJECTIVES, 0)
    once, twice = (PortfolioProposer(SPACE, OBJECTIVES, 0, members={"m": member}) for _ in range(2))
    for told in stories(member, "complete"):
        told = replace(told, proposer="m")
        once.observe(told)
        twice.observe(replace(told, fate="resting"))
        twice.observe(told)
    assert once.credit == twice.credit
