"""A child differs in a few holes, and follows the conditions of the space."""

from __future__ import annotations

import random

import pytest

from kdsearch.domains import Choice, Float, Int
from kdsearch.proposers.mutation import mutate, neighbour
from kdsearch.space import SearchSpace
from tests.proposers.spaces import SPACE

FLAT = SearchSpace({**{f"x{i}": {"int": [0, 9]} for i in range(6)}, "same": {"int": [3, 3]}})


@pytest.mark.parametrize("holes", [1, 2, 3, 99])
def test_so_many_holes_change_and_no_others(holes: int) -> None:
    rng = random.Random(0)
    for _ in range(30):
        parent = FLAT.sample(rng).assignment
        child = mutate(FLAT, parent, holes, rng)
        assert sum(child[name] != parent[name] for name in parent) == min(holes, 6)


def test_conditional_holes_come_and_go_and_the_others_are_the_parents() -> None:
    rng = random.Random(0)
    came = went = 0
    for _ in range(300):
        parent = SPACE.sample(rng).assignment
        child = mutate(SPACE, parent, 1, rng)
        SPACE.apply(child)
        changed = [n for n in parent.keys() & child.keys() if parent[n] != child[n]]
        assert len(changed) == 1
        if parent.keys() != child.keys():
            assert changed[0] in ("depth", "term")
        came += bool(child.keys() - parent.keys())
        went += bool(parent.keys() - child.keys())
    assert came > 20 and went > 20


def test_values_of_another_space_are_drawn_anew() -> None:
    parent = {**{f"x{i}": 5 for i in range(5)}, "x5": 77, "unknown": 3, "same": 3}
    child = mutate(FLAT, parent, 1, random.Random(0))
    FLAT.apply(child)
    assert sum(child[f"x{i}"] != 5 for i in range(5)) == 1


DOMAINS = [
    Int(0, 1),
    Int(4, 33, step=4),
    Int(1, 1000, log=True),
    Float(0.0, 1.0),
    Float(1e-4, 1.0, log=True),
    Float(0.1, 0.75, step=0.1),
    Choice(("a", "b", "c"), ("a", "b", "c"), ("a", "b", "c")),
]


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_a_neighbour_is_another_value_of_the_domain(domain: Int | Float | Choice) -> None:
    rng = random.Random(0)
    for _ in range(200):
        value = domain.sample(rng)
        other = neighbour(domain, value, rng)
        assert domain.contains(other) and other != value
    reached = {neighbour(domain, domain.corners[0], rng) for _ in range(300)}
    assert len(reached) >= min(domain.count - 1, 5)


@pytest.mark.parametrize("domain", [Int(1, 10_000, log=True), Float(1e-4, 1.0, log=True)], ids=str)
def test_a_step_in_the_log_is_a_factor(domain: Int | Float) -> None:
    rng = random.Random(0)
    middle = {Int: 100, Float: 1e-2}[type(domain)]
    moved = [float(neighbour(domain, middle, rng)) / middle for _ in range(400)]
    assert 0.4 < sum(m > 1 for m in moved) / 400 < 0.6
    assert max(moved) > 10 and min(moved) < 0.1
