"""n2n by its row in the table: alone with tpe beside it, and as a member of a portfolio."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kdsearch.errors import UserError
from kdsearch.proposers import Observation, build_proposer, check_proposer
from kdsearch.proposers.n2n import N2NProposer
from kdsearch.proposers.optuna import TPEProposer
from kdsearch.proposers.portfolio import PortfolioProposer
from kdsearch.search_sections import ProposerConfig
from kdsearch.space import SearchSpace
from tests.proposers.n2n.made import BOTH, KEEP, RATIO, TEACHER, propose, seen

SPACE = SearchSpace(
    {
        "student": {"family": "edited", "keep": KEEP, "ratio": RATIO},
        "training": {"lr": {"float": [0.01, 1], "log": True}},
    }
)


def test_alone_tpe_fills_the_other_holes() -> None:
    made = build_proposer(ProposerConfig(name="n2n"), SPACE, BOTH, 3, teacher=TEACHER, trials=20)
    assert isinstance(made, N2NProposer) and isinstance(made.rest.inner, TPEProposer)
    assert list(made.rest.inner.space.holes) == ["training.lr"]
    for i in range(14):
        found = propose(made, i)
        SPACE.apply(found.assignment)
        made.observe(seen(i, found, (0.5 + 0.01 * i, 1000.0)))


def test_in_a_portfolio_it_learns_from_its_own_and_goes_on_after_a_break() -> None:
    config = ProposerConfig(name="portfolio", members=["n2n", "random"])

    def made() -> PortfolioProposer:
        found = build_proposer(config, SPACE, BOTH, 3, teacher=TEACHER)
        assert isinstance(found, PortfolioProposer)
        return found

    def state(portfolio: PortfolioProposer) -> bytes:
        member = portfolio.members["n2n"]
        assert isinstance(member, N2NProposer)
        return member.state()

    before, told = made(), list[Observation]()
    for i in range(40):
        found = propose(before, i)
        assert (found.note is not None) == (found.proposer == "n2n")
        observation = seen(i, found, (0.5 + 0.01 * (i % 7), 1000.0 + i))
        told.append(replace(observation, proposer=found.proposer))
        before.observe(told[-1])
    assert {o.proposer for o in told} == {"n2n", "random"}
    assert state(before) != state(made())
    again = made()
    for observation in told:
        again.observe(replace(observation, note=json.loads(json.dumps(observation.note))))
    assert state(again) == state(before)


def test_without_a_teacher_the_remedy_is_named() -> None:
    with pytest.raises(UserError, match="add the section teacher"):
        build_proposer(ProposerConfig(name="n2n"), SPACE, BOTH)


def test_a_policy_belongs_to_n2n() -> None:
    check_proposer(ProposerConfig(name="n2n", policy="p"))
    check_proposer(ProposerConfig(name="portfolio", members=["tpe", "n2n"], policy="p"))
    with pytest.raises(UserError, match="only n2n has a policy") as caught:
        check_proposer(ProposerConfig(name="tpe", policy="p"))
    assert caught.value.place == "proposer.policy"
