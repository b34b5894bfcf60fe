"""Regularised evolution: parents, ages, tournaments, and what becomes of the unfinished."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdsearch.proposers import Observation, Proposal
from kdsearch.proposers.base import Stopped
from kdsearch.proposers.evolution import POPULATION, EvolutionProposer
from kdsearch.space import SearchSpace
from tests.proposers.spaces import OBJECTIVES, SPACE, play, propose, seen

LINE = SearchSpace({"lr": {"float": [0.01, 1]}, "depth": {"int": [1, 99]}})


def test_the_first_have_no_parent_and_the_others_a_living_one() -> None:
    proposer = EvolutionProposer(SPACE, OBJECTIVES)
    parents = []
    for i in range(3 * POPULATION):
        living = {o.trial_id for o in proposer.population}
        proposal = propose(proposer, i)
        parents.append(proposal.parent_id)
        assert proposal.parent_id is None or proposal.parent_id in living
        proposer.observe(seen(i, proposal, "complete"))
    assert parents[:POPULATION] == [None] * POPULATION and None not in parents[POPULATION:]
    assert [int(o.trial_id) for o in proposer.population] == [*range(48, 72)]  # by age alone


def test_a_child_differs_from_its_parent_in_few_holes() -> None:
    proposer = EvolutionProposer(SPACE, OBJECTIVES)
    told = {o.trial_id: o.assignment for o in play(proposer, 60)}
    changes = []
    for i in range(60, 160):
        proposal = propose(proposer, i)
        parent = told[proposal.parent_id or ""]
        shared = parent.keys() & proposal.assignment.keys()
        changes.append(sum(parent[n] != proposal.assignment[n] for n in shared))
    assert min(changes) >= 1
    assert 1 < sum(changes) / len(changes) < 2.5


def test_the_best_win_tournaments() -> None:
    proposer = EvolutionProposer(LINE, OBJECTIVES)
    for i in range(POPULATION):  # one front of eight, and 16 behind it
        behind = i >= 8
        values = {"lr": 0.9 - 0.05 * i, "depth": 60 - 5 * i} if not behind else {"lr": 0.01}
        proposer.observe(seen(i, Proposal({"depth": 90, **values}), "complete"))
    parents = [int(propose(proposer, 100 + i).parent_id or -1) for i in range(200)]
    assert sum(p < 8 for p in parents) > 170


def test_what_is_refused_changes_more_holes() -> None:
    space = SearchSpace({f"x{i}": {"int": [0, 99]} for i in range(20)})
    proposer = EvolutionProposer(space, OBJECTIVES[:1])
    value = Observation("", {}, "complete", (0.5,))
    for i in range(POPULATION):
        assignment = propose(proposer, i).assignment
        proposer.observe(replace(value, trial_id=str(i), assignment=assignment))
    living = {o.trial_id: o.assignment for o in proposer.population}

    def changed() -> int:
        proposal = propose(proposer, 100)
        parent = living[proposal.parent_id or ""]
        return sum(parent[n] != v for n, v in proposal.assignment.items())

    before = max(changed() for _ in range(5))
    for _ in range(40):
        proposer.observe(Observation("00100", {}, "repeated"))
    assert changed() > 10 > before


@pytest.mark.parametrize(
    "stopped, enters, parent",
    [("pruned", 3, 0), ("constraint", 3, 0), ("complete", 3, 1), ("omitted", 1, 0)],
)
def test_what_becomes_of_the_stopped_is_a_choice(
    stopped: Stopped, enters: int, parent: int
) -> None:
    proposer = EvolutionProposer(LINE, OBJECTIVES, stopped=stopped)
    fates = ["complete", "stopped", "stopped"]
    for i, (lr, fate) in enumerate(zip((0.1, 0.9, 0.5), fates, strict=True)):
        assignment = {"lr": lr, "depth": 3}
        proposer.observe(seen(i, Proposal(assignment), fate))  # type: ignore[arg-type]
    for i in range(3, POPULATION):
        proposer.observe(seen(i, Proposal({"lr": 0.5, "depth": 3}), "failed"))
    assert len(proposer.population) == enters
    assert propose(proposer, 100).parent_id == f"{parent:05d}"


def test_what_breaks_a_constraint_is_behind_what_does_not() -> None:
    proposer = EvolutionProposer(LINE, OBJECTIVES)
    for i in range(POPULATION):
        lr, excess = (0.2, -0.1) if i % 2 else (0.9, 0.5)
        observation = seen(i, Proposal({"lr": lr, "depth": 3}), "complete")
        proposer.observe(replace(observation, violations=(excess,)))
    parents = [int(propose(proposer, 100 + i).parent_id or -1) for i in range(60)]
    assert sum(p % 2 for p in parents) > 50


def test_it_finds_what_random_search_does_not() -> None:
    space = SearchSpace({f"x{i}": {"float": [0, 1]} for i in range(6)})

    def best(trials: int, model: bool, seed: int) -> float:
        proposer = EvolutionProposer(space, OBJECTIVES[1:], seed)
        losses = []
        for i in range(trials):
            ask = proposer.propose if model else proposer.propose_random
            assignment = ask(f"{i:05d}").assignment
            losses.append(sum((float(v) - 0.3) ** 2 for v in assignment.values()))
            proposer.observe(Observation(f"{i:05d}", assignment, "complete", (losses[-1],)))
        return min(losses)

    for seed in range(3):
        assert best(200, True, seed) < 0.5 * best(200, False, seed)
