"""Streams of chance: the same for the same past, another for any other."""

from __future__ import annotations

import pytest

from kdsearch.proposers.evolution import EvolutionProposer
from kdsearch.proposers.optuna import NSGA2Proposer, TPEProposer
from kdsearch.space import SearchSpace
from tests.proposers.spaces import OBJECTIVES, propose, seen

SPACE = SearchSpace({"lr": {"float": [0, 1]}, "depth": {"int": [1, 3]}})


@pytest.mark.parametrize("kind", [EvolutionProposer, NSGA2Proposer, TPEProposer])
def test_a_random_proposal_follows_from_seed_trial_and_what_was_told(
    kind: type[EvolutionProposer | NSGA2Proposer | TPEProposer],
) -> None:
    def draw(seed: int, trial: str, told: int) -> str:
        proposer = kind(SPACE, OBJECTIVES, seed)
        past = propose(kind(SPACE, OBJECTIVES, 9), 0)
        for i in range(told):
            proposer.observe(seen(i, past, "complete"))
        return str(proposer.propose_random(trial).assignment)

    cases = [
        (seed, trial, told) for seed in (0, 1) for trial in ("00007", "00008") for told in (0, 1, 2)
    ]
    drawn = [draw(*case) for case in cases]
    assert drawn == [draw(*case) for case in cases]
    assert len(set(drawn)) == len(cases)
