"""The table of proposers: every row builds, and keeps the laws of all."""

from __future__ import annotations

import pytest

from kdsearch.errors import UserError
from kdsearch.proposers import PROPOSERS, Proposal, build_proposer, check_proposer
from kdsearch.search_sections import ProposerConfig
from kdsearch.space import SearchSpace
from tests.proposers.spaces import OBJECTIVES, SPACE, play, propose

MEMBERS = ["evolution", "nsga2", "random", "tpe"]
OPEN = [name for name in PROPOSERS if name not in ("grid", "n2n")]  # n2n: tests of its own


def made(name: str, seed: int = 0, space: SearchSpace = SPACE):
    members = MEMBERS if name == "portfolio" else []
    return build_proposer(ProposerConfig(name=name, members=members), space, OBJECTIVES, seed)


@pytest.mark.parametrize("name", ["grid", *OPEN])
def test_a_row_of_the_table_builds(name: str) -> None:
    space = SearchSpace({"depth": {"int": [1, 3]}}) if name == "grid" else SPACE
    proposer = made(name, 2**31 - 1, space)
    space.apply(propose(proposer, 0).assignment)


@pytest.mark.parametrize("name", OPEN)
def test_proposals_fit_the_space_and_reach_every_option(name: str) -> None:
    told = play(made(name), 50)
    for observation in told:
        SPACE.apply(observation.assignment)
    assert {o.assignment["term"] for o in told} == {"none", "kd", "rkd"}
    assert {o.assignment["depth"] for o in told} == {1, 2, 3}


@pytest.mark.parametrize("name", OPEN)
def test_the_seed_decides_the_sequence(name: str) -> None:
    first, second, other = (
        [o.assignment for o in play(made(name, seed), 40)] for seed in (1, 1, 2)
    )
    assert first == second != other


@pytest.mark.parametrize("name", OPEN)
@pytest.mark.parametrize("broken_at", [0, 5, 40])
def test_after_a_break_nothing_comes_again_and_the_going_on_is_the_same(
    name: str, broken_at: int
) -> None:
    before = made(name)
    told = play(before, broken_at)
    # Of those in flight no word has come.
    in_flight = [propose(before, broken_at + i).assignment for i in range(3)]
    going_on = []
    for _ in range(2):
        again = made(name)
        for observation in told:
            again.observe(observation)
        start = broken_at + 3
        going_on.append([propose(again, start + i).assignment for i in range(6)])
    assert going_on[0] == going_on[1]
    known = [*in_flight, *(o.assignment for o in told)]
    assert not [a for a in going_on[0] if a in known]


@pytest.mark.parametrize("name", OPEN)
def test_random_proposals_differ_and_fit(name: str) -> None:
    proposer = made(name)
    play(proposer, 12)
    proposals = [proposer.propose_random(f"{i:05d}") for i in range(12, 18)]
    found = [p.assignment for p in proposals if isinstance(p, Proposal)]
    assert len({str(a) for a in found}) == 6
    for assignment in found:
        SPACE.apply(assignment)


@pytest.mark.parametrize("name", OPEN)
def test_one_objective_is_enough(name: str) -> None:
    members = MEMBERS if name == "portfolio" else []
    proposer = build_proposer(ProposerConfig(name=name, members=members), SPACE, OBJECTIVES[:1])
    for observation in play(proposer, 50, objectives=1):
        SPACE.apply(observation.assignment)


def test_the_table_is_sorted() -> None:
    assert list(PROPOSERS) == sorted(PROPOSERS)


@pytest.mark.parametrize(
    "name, members, place, fault",
    [
        ("tpee", [], "proposer.name", "did you mean tpe"),
        ("tpe", ["random"], "proposer.members", "only a portfolio"),
        ("portfolio", [], "proposer.members", "needs members"),
        ("portfolio", ["tpe", "portfolio"], "proposer.members[1]", "no member of a portfolio"),
        ("portfolio", ["grid"], "proposer.members[0]", "no member of a portfolio"),
        ("portfolio", ["tpe", "evolutoin"], "proposer.members[1]", "did you mean evolution"),
        ("portfolio", ["tpe", "random", "tpe"], "proposer.members[2]", "name each once"),
    ],
)
def test_others_are_refused(name: str, members: list[str], place: str, fault: str) -> None:
    config = ProposerConfig(name=name, members=members)
    with pytest.raises(UserError, match=fault) as caught:
        build_proposer(config, SPACE, OBJECTIVES)
    assert caught.value.place == place
    with pytest.raises(UserError):
        check_proposer(config)
