"""What is kept of a long search: the front, the most recent, and no more than the bound."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from kdsearch.proposers import Observation, Proposal
from kdsearch.proposers.base import Fate
from kdsearch.proposers.memory import Memory
from kdsearch.results.pareto import nondominated
from tests.proposers.spaces import OBJECTIVES, seen


def many(number: int, fates: list[Fate]) -> list[Observation]:
    rng = random.Random(0)
    proposals = [Proposal({"lr": rng.random(), "depth": rng.random()}) for _ in range(number)]
    return [seen(i, p, rng.choice(fates)) for i, p in enumerate(proposals)]


@pytest.mark.parametrize("fates", [["complete"], ["complete", "stopped", "infeasible"]])
@pytest.mark.parametrize("number", [10, 60, 500])
def test_the_front_and_the_most_recent_stay_in_their_order(fates: list[Fate], number: int) -> None:
    bound = 60
    memory = Memory(OBJECTIVES, bound)
    told = many(number, fates)
    for observation in told:
        memory.add(observation)
        assert len(memory) <= 2 * bound
    ids = [o.trial_id for o in memory.kept()]
    assert ids == sorted(ids) and len(ids) == len(set(ids)) <= bound
    finished = [o for o in told if o.fate == "complete"]
    values = np.array([(-o.values[0], o.values[1]) for o in finished if o.values])
    front = {o.trial_id for o, on in zip(finished, nondominated(values), strict=True) if on}
    assert len(front) <= bound // 2 and front <= set(ids)
    assert {o.trial_id for o in told[-bound // 4 :]} <= set(ids)
    never_ran = [o for o in memory.kept() if o.fate == "infeasible"]
    assert len(never_ran) <= bound // 4


def test_what_breaks_a_constraint_is_not_among_the_best() -> None:
    memory = Memory(OBJECTIVES, 8)
    best = replace(seen(0, Proposal({"lr": 9, "depth": 0}), "complete"), violations=(0.5,))
    memory.add(best)
    for i in range(1, 30):
        memory.add(seen(i, Proposal({"lr": i / 100, "depth": i}), "complete"))
    assert best.trial_id not in {o.trial_id for o in memory.kept()}


def test_epochs_before_the_last_are_forgotten() -> None:
    memory = Memory(OBJECTIVES, 8)
    observation = seen(0, Proposal({"lr": 1, "depth": 1}), "stopped")
    memory.add(replace(observation, history=((1, (0.1, 1.0)), (2, (0.2, 1.0)))))
    assert memory.kept()[0].history == ((2, (0.2, 1.0)),)
    assert memory.kept()[0].epochs == 2
    assert memory.holds({"lr": 1, "depth": 1}) and not memory.holds({"lr": 2, "depth": 1})
