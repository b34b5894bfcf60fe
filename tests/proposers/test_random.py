"""Random search: a sequence that the seed decides and no result changes."""

from __future__ import annotations

from kdsearch.proposers.random import RandomProposer
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


def test_what_was_refused_does_not_come_again() -> None:
    proposer = RandomProposer(SPACE, OBJECTIVES, 3)
    proposals = [propose(proposer, 5).assignment for _ in range(10)]
    proposals += [propose(proposer, 6).assignment for _ in range(10)]
    assert len({str(p) for p in proposals}) == 20


def test_every_proposal_fits_the_space() -> None:
    proposer = RandomProposer(SPACE, OBJECTIVES)
    for i in range(30):
        SPACE.apply(propose(proposer, i).assignment)
        proposer.propose_random(str(i))
