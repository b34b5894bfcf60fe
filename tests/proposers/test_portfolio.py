"""A portfolio: who wins is asked more, nobody starves, and the log alone rebuilds the credit."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from kdsearch.proposers import Done, Observation, Proposal, Wait, build_proposer
from kdsearch.proposers.base import Fate
from kdsearch.proposers.portfolio import EXPLORED, PortfolioProposer
from kdsearch.search_sections import ProposerConfig
from kdsearch.space import SearchSpace
from tests.proposers.spaces import OBJECTIVES, SPACE, play, propose

LINE = SearchSpace({"quality": {"float": [0, 1]}, "size": {"float": [0, 1]}})


class Made:
    """A proposer whose proposals are as good as it is told to make them."""

    finite = False

    def __init__(self, quality: Callable[[int], float] = lambda i: 0.0) -> None:
        self.quality = quality
        self.observed: list[Observation] = []

    def propose(self, trial_id: str) -> Proposal | Wait | Done:
        rng = random.Random(trial_id)
        quality = self.quality(int(trial_id)) * rng.uniform(0.9, 1)
        return Proposal({"quality": quality, "size": rng.random()})

    def propose_random(self, trial_id: str) -> Proposal | Done:
        return Done()

    def observe(self, observation: Observation) -> None:
        self.observed.append(observation)


class Silent(Made):
    def __init__(self, answer: Wait | Done) -> None:
        super().__init__()
        self.answer = answer

    def propose(self, trial_id: str) -> Proposal | Wait | Done:
        return self.answer


def portfolio(seed: int = 0, **members: Made) -> PortfolioProposer:
    return PortfolioProposer(LINE, OBJECTIVES, seed, members=members)


def tell(proposer: PortfolioProposer, i: int, proposal: Proposal, fate: Fate = "complete"):
    """Accuracy is the more the larger the student: a front from one corner to the other."""
    quality, size = (float(proposal.assignment[k]) for k in ("quality", "size"))
    values = (quality * size**0.5, size)
    observation = Observation(
        f"{i:05d}", proposal.assignment, fate, values, ((1, values),), proposer=proposal.proposer
    )
    proposer.observe(observation)
    return observation


def shares(proposer: PortfolioProposer, trials: int, start: int = 0) -> Counter[str]:
    asked: Counter[str] = Counter()
    for i in range(start, start + trials):
        proposal = propose(proposer, i)
        asked[proposal.proposer or ""] += 1
        tell(proposer, i, proposal)
    return asked


@pytest.mark.parametrize("seed", range(3))
def test_who_always_proposes_the_best_gets_most_and_none_starves(seed: int) -> None:
    good, bad, worse = Made(lambda i: 1 - 0.5 / (1 + i)), Made(lambda i: 0.3), Made()
    asked = shares(portfolio(seed, good=good, bad=bad, worse=worse), 400)
    assert asked["good"] > 0.6 * 400
    floor = 400 * EXPLORED / 3
    assert min(asked["bad"], asked["worse"]) > 0.6 * floor


def test_a_member_that_helps_late_is_found_late() -> None:
    early = Made(lambda i: 0.5 if i < 150 else 0.0)
    late = Made(lambda i: 0.0 if i < 150 else min(1.0, 0.5 + i / 1000))
    both = portfolio(early=early, late=late)
    first, _, then = shares(both, 150), shares(both, 50, 150), shares(both, 200, 200)
    assert first["early"] > first["late"]
    assert then["late"] > 2 * then["early"]


def test_members_that_are_alike_share_alike() -> None:
    asked = shares(portfolio(a=Made(lambda i: i / 600), b=Made(lambda i: i / 600)), 600)
    assert 0.3 < asked["a"] / 600 < 0.7


def test_every_member_is_told_of_every_trial() -> None:
    members = {"a": Made(), "b": Made()}
    whole = portfolio(a=members["a"], b=members["b"])
    shares(whole, 30)
    for member in members.values():
        assert [o.trial_id for o in member.observed] == [f"{i:05d}" for i in range(30)]
        assert {o.proposer for o in member.observed} == {"a", "b"}


def test_credit_is_rebuilt_from_observations_alone() -> None:
    fates: list[Fate] = ["complete", "stopped", "complete", "failed", "repeated", "infeasible"]
    first = portfolio(a=Made(lambda i: i / 100), b=Made())
    told = []
    for i in range(80):
        proposal = propose(first, i)
        told.append(tell(first, i, proposal, fates[i % 6]))
    again = portfolio(a=Made(), b=Made())
    for observation in told:
        if observation.fate not in ("repeated", "infeasible"):  # no row, so not in the log
            again.observe(observation)
    assert again.credit == first.credit
    assert first.credit["a"].won > first.credit["b"].won


def test_what_was_refused_is_credited_to_none() -> None:
    whole = portfolio(a=Made(), b=Made())
    for _ in range(10):
        refused = Observation("00000", propose(whole, 0).assignment, "repeated")
        whole.observe(refused)
    assert all(c.won == c.lost == 0 for c in whole.credit.values())


def test_a_trial_counts_for_the_one_that_was_asked_even_unnamed() -> None:
    whole = portfolio(a=Made(), b=Made())
    proposal = propose(whole, 0)
    tell(whole, 0, replace(proposal, proposer=None))
    assert whole.credit[proposal.proposer or ""].won > 0


def test_who_has_nothing_to_propose_is_passed_over() -> None:
    some = portfolio(a=Silent(Done()), b=Silent(Wait()), c=Made())
    assert shares(some, 20) == {"c": 20}
    assert isinstance(portfolio(a=Silent(Done()), b=Silent(Wait())).propose("00000"), Wait)
    assert isinstance(portfolio(a=Silent(Done())).propose("00000"), Done)


def test_random_proposals_are_called_random() -> None:
    whole = portfolio(a=Made())
    assert whole.propose_random("00000").proposer == "random"


def test_parents_are_named_and_members_have_streams_of_their_own() -> None:
    config = ProposerConfig(name="portfolio", members=["evolution", "random"])
    whole = build_proposer(config, SPACE, OBJECTIVES, 3)
    assert isinstance(whole, PortfolioProposer)
    first = [propose(member, 0).assignment for member in whole.members.values()]  # type: ignore[arg-type]
    assert first[0] != first[1]
    play(whole, 60)
    proposals = [propose(whole, 60 + i) for i in range(30)]
    assert {p.parent_id is None for p in proposals if p.proposer == "evolution"} == {False}
    assert {p.parent_id for p in proposals if p.proposer == "random"} <= {None}
