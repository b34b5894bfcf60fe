"""Random search: a sequence that the seed decides and no result changes."""

from __future__ import annotations

import pytest

from kdsearch.errors import UserError
from kdsearch.proposers import PROPOSERS, build_proposer, check_proposer
from kdsearch.proposers.random import RandomProposer
from kdsearch.space import SearchSpace
from tests.proposers.spaces import OBJECTIVES, SPACE, play, propose, seen


def test_the_seed_decides_the_sequence() -> None:
    first, second, other = (
        [propose(p, i).assignment for i in range(8)]
        for p in (RandomProposer(SPACE, OBJECTIVES, seed) for seed in (3, 3, 4))
    )
    assert first == second != other
    assert len({str(a) for a in first}) == 8


def test_results_change_nothing() -> None:
    told = play(RandomProposer(SPACE, OBJECTIVES, 3), 8)
    untold = RandomProposer(SPACE, OBJECTIVES, 3)
    assert [o.assignment for o in told] == [propose(untold, i).assignment for i in range(8)]


def test_after_a_break_the_sequence_goes_on() -> None:
    whole = RandomProposer(SPACE, OBJECTIVES, 3)
    before, after = ([propose(whole, i) for i in range(start, start + 5)] for start in (0, 5))
    again = RandomProposer(SPACE, OBJECTIVES, 3)
    for i, proposal in enumerate(before):
        again.observe(seen(i, proposal, "complete"))
    assert [propose(again, i) for i in range(5, 10)] == after


def test_every_proposal_fits_the_space() -> None:
    proposer = RandomProposer(SPACE, OBJECTIVES)
    for i in range(30):
        SPACE.apply(propose(proposer, i).assignment)
        proposer.propose_random(str(i))


@pytest.mark.parametrize("name", PROPOSERS)
def test_a_row_of_the_table_builds(name: str) -> None:
    check_proposer(name)
    space = SearchSpace({"depth": {"int": [1, 3]}}) if name == "grid" else SPACE
    proposer = build_proposer(name, space, OBJECTIVES, seed=2**31 - 1)
    space.apply(propose(proposer, 0).assignment)


def test_the_table_is_sorted_and_others_are_refused() -> None:
    assert list(PROPOSERS) == sorted(PROPOSERS)
    with pytest.raises(UserError, match="did you mean tpe") as caught:
        build_proposer("tpee", SPACE, OBJECTIVES)
    assert caught.value.place == "proposer.name"
