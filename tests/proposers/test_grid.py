"""A grid: every assignment once, in one order."""

from __future__ import annotations

import pytest

from kdsearch.errors import UserError
from kdsearch.proposers import Done
from kdsearch.proposers.grid import GridProposer
from kdsearch.space import SearchSpace
from tests.proposers.spaces import OBJECTIVES, SPACE, propose, seen

FINITE = SearchSpace(
    {
        "depth": {"int": [1, 2]},
        "widths": {"each": "depth", "int": [4, 8], "step": 4},
        "lr": {"choice": [0.1, 0.3]},
    }
)


def test_every_assignment_comes_once() -> None:
    grid = GridProposer(FINITE, OBJECTIVES)
    found = [str(propose(grid, i).assignment) for i in range(int(FINITE.count()))]
    assert len(set(found)) == len(found) == 2 * (2 + 4)
    assert isinstance(grid.propose("00012"), Done)


def test_after_a_break_the_rest_comes() -> None:
    whole, again = GridProposer(FINITE, OBJECTIVES), GridProposer(FINITE, OBJECTIVES)
    before = [propose(whole, i) for i in range(5)]
    for i, proposal in enumerate(before):
        again.observe(seen(i, proposal, "complete"))
    assert [propose(again, i) for i in range(5, 12)] == [propose(whole, i) for i in range(5, 12)]


def test_ids_that_others_took_and_refusals_cost_no_assignment() -> None:
    whole, again = GridProposer(FINITE, OBJECTIVES), GridProposer(FINITE, OBJECTIVES)
    every = [propose(whole, i).assignment for i in range(12)]
    for i in range(4):
        again.observe(seen(i, propose(again, i), "complete"))
    for i in range(10, 18):  # repeats of a front have taken six ids
        proposal = propose(again, i)
        assert proposal.assignment == every[i - 6]
        again.observe(seen(i, proposal, "infeasible"))
        again.observe(seen(i, proposal, "complete"))
    assert isinstance(again.propose("00018"), Done)


def test_real_numbers_have_no_grid() -> None:
    with pytest.raises(UserError, match=r"lr.*step"):
        GridProposer(SPACE, OBJECTIVES)
