"""A model that is told of broken constraints proposes fewer that break them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from optuna.trial import TrialState

from kdsearch.proposers import Observation, Proposal
from kdsearch.proposers.optuna import NSGA2Proposer, TPEProposer
from kdsearch.proposers.optuna.samplers import POPULATION, OptunaProposer
from kdsearch.space import SearchSpace
from tests.proposers.spaces import OBJECTIVES, SPACE, propose, seen

BOUND = 0.211  # of the product of three holes: a fifth of the space is below
WIDE = SearchSpace({f"x{i}": {"float": [0.4, 1.0]} for i in range(3)})


def price(proposal: Proposal) -> float:
    x = [float(v) for v in proposal.assignment.values()]
    return x[0] * x[1] * x[2]


def infeasible_share(proposer: OptunaProposer, trials: int, told: bool, skip: int = 40) -> float:
    broken = 0
    for i in range(trials):
        proposal = propose(proposer, i)
        excess = price(proposal) / BOUND - 1
        values = (sum(float(v) for v in proposal.assignment.values()), price(proposal))
        broken += excess > 0 and i >= skip
        proposer.observe(
            Observation(
                f"{i:05d}",
                proposal.assignment,
                "infeasible" if excess > 0 else "complete",
                None if excess > 0 else values,
                violations=(excess,) if told else (),
            )
        )
    return broken / (trials - skip)


def test_four_of_five_break_it_at_random() -> None:
    proposer = TPEProposer(WIDE, OBJECTIVES)
    prices = [price(proposer.propose_random(f"{i:05d}")) for i in range(300)]
    assert 0.7 < sum(p > BOUND for p in prices) / 300 < 0.9


@pytest.mark.parametrize("kind", [TPEProposer, NSGA2Proposer])
def test_told_of_what_it_breaks_a_model_breaks_it_less(kind: type[OptunaProposer]) -> None:
    told, untold = (
        sum(infeasible_share(kind(WIDE, OBJECTIVES, seed), 100, told) for seed in range(2)) / 2
        for told in (True, False)
    )
    assert told < 0.75 * untold, (told, untold)


@pytest.mark.parametrize(
    "kind, state", [(TPEProposer, TrialState.PRUNED), (NSGA2Proposer, TrialState.COMPLETE)]
)
def test_violations_are_told_of_what_ran_and_of_what_did_not(
    kind: type[OptunaProposer], state: TrialState
) -> None:
    proposer = kind(SPACE, OBJECTIVES)
    ran = replace(seen(0, propose(proposer, 0), "complete"), violations=(-0.5, -0.1))
    broke = replace(seen(1, propose(proposer, 1), "infeasible"), violations=(-0.2, 0.3))
    unpriced = seen(2, propose(proposer, 2), "infeasible")
    for observation in (ran, broke, unpriced):
        proposer.observe(observation)
    ended = [t for t in proposer.study.trials if "trial_id" in t.user_attrs]
    assert [list(t.constraints.values()) for t in ended] == [[-0.5, -0.1], [-0.2, 0.3]]
    assert [t.state for t in ended] == [TrialState.COMPLETE, state]


def test_children_of_nsga2_inherit_also_behind_a_choice() -> None:
    term = {"choice": ["none", {"method": "kd", "weight": {"float": [0, 1]}}]}
    space = SearchSpace({**{f"x{i}": {"float": [0, 1]} for i in range(6)}, "term": term})
    proposer = NSGA2Proposer(space, OBJECTIVES[:1])
    rng = random.Random(0)
    for i in range(POPULATION):
        assignment = {**space.sample(rng).assignment, "term": "kd", "term.kd.weight": i / 1000}
        proposer.observe(Observation(f"{i:05d}", assignment, "complete", (0.5,)))
    children = [propose(proposer, 100 + i).assignment for i in range(60)]
    weights = [float(c["term.kd.weight"]) for c in children if c["term"] == "kd"]
    assert sum(w < 0.03 for w in weights) > 0.5 * len(weights)
