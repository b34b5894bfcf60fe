"""What earlier searches know comes first, and is told like any other observation."""

from __future__ import annotations

import random
from dataclasses import replace

from kdsearch.proposers import Done, Observation, Proposal, build_proposer
from kdsearch.proposers.base import Fate
from kdsearch.proposers.random import RandomProposer
from kdsearch.proposers.warm import WarmProposer
from kdsearch.search_sections import ProposerConfig
from tests.proposers.spaces import FATES, OBJECTIVES, SPACE, play, propose, seen


class Heard:
    """Remembers what it is told; its ideas come from a row of another search."""

    finite = False

    def __init__(self) -> None:
        self.told: list[Observation] = []

    def propose(self, trial_id: str) -> Proposal | Done:
        return Proposal({"depth": 1}, parent_id="-00001") if len(self.told) < 9 else Done()

    def propose_random(self, trial_id: str) -> Proposal | Done:
        return Proposal({"depth": 2}, parent_id="00000")

    def observe(self, observation: Observation) -> None:
        self.told.append(observation)


def points(count: int) -> list[dict]:
    rng = random.Random(0)
    return [SPACE.sample(rng).assignment for _ in range(count)]


def earlier(count: int) -> list[Observation]:
    """Observations of another search, of every fate."""
    rows = [
        seen(i, Proposal(point), FATES[i % len(FATES)]) for i, point in enumerate(points(count))
    ]
    return [replace(row, trial_id=f"-{i:05d}") for i, row in enumerate(rows, 1)]


def test_the_queue_comes_first_in_its_order_and_under_its_own_name() -> None:
    queue = points(3)
    proposer = WarmProposer(Heard(), [], queue, 9)
    proposals = [propose(proposer, i) for i in range(4)]
    assert [p.assignment for p in proposals[:3]] == queue
    assert [p.proposer for p in proposals] == ["from"] * 3 + [None]


def test_of_the_queue_no_more_may_run_than_its_share_and_refusals_cost_nothing() -> None:
    queue = points(5)
    proposer = WarmProposer(Heard(), [], queue, 2)
    given = []
    fates: list[Fate] = ["infeasible", "complete", "repeated", "complete"]
    for number, fate in zip((0, 0, 1, 1), fates, strict=True):
        given.append(propose(proposer, number))
        proposer.observe(seen(number, given[-1], fate))
    assert [p.assignment for p in given] == queue[:4]
    assert propose(proposer, 2).proposer is None


def test_the_inner_one_hears_the_earlier_rows_first_and_then_all_others() -> None:
    inner, told = Heard(), earlier(4)
    proposer = WarmProposer(inner, told, points(1), 1)
    assert inner.told == told
    fresh = seen(0, propose(proposer, 0), "complete")
    proposer.observe(fresh)
    assert inner.told == [*told, fresh]


def test_a_row_of_another_search_is_nobodys_parent_here() -> None:
    proposer = WarmProposer(Heard(), [], [], 0)
    assert propose(proposer, 0).parent_id is None
    random_one = proposer.propose_random("00000")
    assert isinstance(random_one, Proposal) and random_one.parent_id == "00000"


def test_an_end_of_the_inner_one_is_the_end() -> None:
    assert isinstance(WarmProposer(Heard(), earlier(9), [], 0).propose("00000"), Done)


def test_every_fate_of_an_earlier_row_can_be_told_to_tpe_and_changes_what_it_proposes() -> None:
    warm = WarmProposer(
        build_proposer(ProposerConfig(name="tpe"), SPACE, OBJECTIVES, 0), earlier(40), points(2), 2
    )
    cold = build_proposer(ProposerConfig(name="tpe"), SPACE, OBJECTIVES, 0)
    mine, plain = ([o.assignment for o in play(p, 6)] for p in (warm, cold))
    assert mine[:2] == points(2) and mine[2:] != plain[2:]


def test_what_is_told_does_not_move_the_sequence_of_random_search() -> None:
    warm = WarmProposer(RandomProposer(SPACE, OBJECTIVES, 3), earlier(9), [], 0)
    cold = RandomProposer(SPACE, OBJECTIVES, 3)
    assert [propose(warm, i) for i in range(5)] == [propose(cold, i) for i in range(5)]


def test_points_that_are_refused_in_a_row_give_way_to_the_next_point() -> None:
    queue = points(3)
    proposer = WarmProposer(Heard(), [], queue, 1)
    found = []
    for _ in range(3):  # the search asks for random ones by now
        proposal = proposer.propose_random("00000")
        assert isinstance(proposal, Proposal)
        found.append(proposal.assignment)
        proposer.observe(seen(0, proposal, "repeated"))
    assert found == queue
    proposal = proposer.propose_random("00000")
    assert isinstance(proposal, Proposal) and proposal.assignment == {"depth": 2}
