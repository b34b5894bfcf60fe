"""A space is a set of assignments: sampled, applied, covered, counted, always the same set."""

from __future__ import annotations

import math
import random
import time
from typing import Any

import pytest

from kdsearch.domains import Choice
from kdsearch.errors import UserError
from kdsearch.space import SearchSpace

FLAT = {"a": {"int": [1, 3]}, "b": {"choice": ["x", "y"]}, "c": 5, "d": [{"int": [0, 1]}, "w"]}
NESTED = {
    "term": {
        "choice": [
            "none",
            {"method": "at", "weight": {"int": [1, 2]}, "p": {"choice": [1, 2, 4]}},
            {"method": "rkd", "mode": {"choice": [{"choice": ["d", "a"]}, {"x": {"int": [1, 2]}}]}},
        ]
    }
}
FOLLOWED = {
    "student": {
        "depth": {"int": [1, 3]},
        "widths": {"each": "depth", "int": [2, 3]},
        "kinds": {"each": "depth", "choice": ["k", {"n": {"int": [1, 2]}}]},
    },
    "other": {"int": [1, 2]},
}
FROM_AFAR = {
    "n": {"choice": [3, 1, 2]},
    "deep": {"x": {"each": "n", "int": [0, 1]}, "y": [{"each": "deep.m", "int": [0, 1]}], "m": 2},
}
IN_AN_OPTION = {
    "n": {"int": [1, 2]},
    "net": {
        "choice": [
            {"family": "a", "depth": {"int": [1, 2]}, "widths": {"each": "depth", "int": [1, 3]}},
            {"family": "b", "widths": {"choice": [{"each": "n", "int": [1, 2]}, [9]]}},
        ]
    },
}
IN_COPIES = {
    "rows": {
        "each": 2,
        "choice": [0, {"n": {"int": [1, 2]}, "cells": {"each": "n", "int": [5, 6]}}],
    }
}
SPACES: dict[str, dict[str, Any]] = {
    "empty": {"a": 1, "b": [2, {"c": "d"}]},
    "flat": FLAT,
    "followed": FOLLOWED,
    "from afar": FROM_AFAR,
    "in an option": IN_AN_OPTION,
    "in copies": IN_COPIES,
    "nested": NESTED,
}
every_space = pytest.mark.parametrize("tree", SPACES.values(), ids=SPACES)


@every_space
def test_a_sample_applied_is_itself(tree: dict[str, Any]) -> None:
    space, rng = SearchSpace(tree), random.Random(0)
    for _ in range(50):
        sample = space.sample(rng)
        again = space.apply(sample.assignment)
        assert (again.plain, again.assignment) == (sample.plain, sample.assignment)
        assert set(sample.assignment) <= set(space.holes)


@every_space
def test_the_same_seed_gives_the_same_sample(tree: dict[str, Any]) -> None:
    samples = [SearchSpace(tree).sample(random.Random(7)).assignment for _ in range(2)]
    assert samples[0] == samples[1]


@every_space
def test_the_count_is_the_number_of_assignments(tree: dict[str, Any]) -> None:
    space = SearchSpace(tree)
    every = [tuple(sorted(f.assignment.items(), key=str)) for f in space.every()]
    assert space.count() == len(every) == len(set(every))


@every_space
def test_a_section_counts_what_it_holds(tree: dict[str, Any]) -> None:
    space = SearchSpace(tree)
    for section in tree:
        fills = list(space.every(section))
        assert space.count(section) == len(fills)
        assert all(list(filled.plain) == [section] for filled in fills)


@every_space
def test_sampling_reaches_every_assignment(tree: dict[str, Any]) -> None:
    space, rng = SearchSpace(tree), random.Random(1)
    every = {str(f.assignment) for f in space.every()}
    assert {str(space.sample(rng).assignment) for _ in range(60 * len(every))} == every


@every_space
def test_the_cover_meets_every_option_and_both_ends(tree: dict[str, Any]) -> None:
    space = SearchSpace(tree)
    met: dict[str, set[Any]] = {name: set() for name in space.holes}
    for filled in space.cover():
        for name, value in filled.assignment.items():
            met[name].add(value)
    for name, domain in space.holes.items():
        wanted = domain.grid if isinstance(domain, Choice) else domain.corners
        assert met[name], name
        if not name.endswith(("[1]", "[2]")):  # a copy stands for the others
            assert met[name] >= set(wanted), name


@every_space
def test_the_cover_repeats_nothing(tree: dict[str, Any]) -> None:
    fills = [str(f.assignment) for f in SearchSpace(tree).cover()]
    assert len(fills) == len(set(fills))


def test_each_makes_independent_holes() -> None:
    space = SearchSpace({"w": {"each": 3, "int": [1, 4]}})
    assert list(space.holes) == ["w[0]", "w[1]", "w[2]"]
    assert space.apply({"w[0]": 1, "w[1]": 4, "w[2]": 2}).plain == {"w": [1, 4, 2]}


def test_each_follows_another_hole() -> None:
    space, rng = SearchSpace(FOLLOWED), random.Random(3)
    for _ in range(30):
        student = space.sample(rng).plain["student"]
        assert len(student["widths"]) == len(student["kinds"]) == student["depth"]
    assert space.count("student") == sum((2 * 3) ** depth for depth in (1, 2, 3))


def test_each_follows_the_nearest_key_of_the_name() -> None:
    tree = {"n": 3, "a": {"n": 1, "x": {"each": "n", "int": [1, 2]}, "b": {"n": {"int": [2, 2]}}}}
    tree["a"]["b"]["y"] = {"each": "n", "int": [1, 2]}  # type: ignore[index]
    tree["z"] = {"each": "a.b.n", "int": [1, 2]}
    plain = SearchSpace(tree).sample(random.Random(0)).plain
    assert [len(v) for v in (plain["a"]["x"], plain["a"]["b"]["y"], plain["z"])] == [1, 2, 2]


def test_columns_carry_the_name_of_the_option() -> None:
    names = list(SearchSpace({"losses": [NESTED["term"]]}).holes)
    assert names[:3] == ["losses[0]", "losses[0].at.weight", "losses[0].at.p"]
    assert "losses[0].rkd.mode.option1.x" in names


@pytest.mark.parametrize(
    ("options", "values", "dtype"),
    [
        ([1, 2], (1, 2), "int64"),
        ([1, 2.5], (1, 2.5), "float64"),
        (["a", "b"], ("a", "b"), "string"),
        ([True, 3, "w"], ("true", "3", "w"), "string"),
        ([[1, 2], [3]], ("[1,2]", "[3]"), "string"),
        ([{"method": "kd"}, {"method": "kd"}, "none"], ("kd_1", "kd_2", "none"), "string"),
        ([{"architecture": {"family": "mlp"}}, {"weights": "w.pt"}], ("mlp", "w.pt"), "string"),
        ([[{"int": [1, 2]}], {"x": 1}, None], ("option0", "option1", "None"), "string"),
        ([{"name": "n" * 99}, 1], ("option0", "1"), "string"),
    ],
)
def test_what_a_choice_is_called(options: Any, values: Any, dtype: str) -> None:
    choice = SearchSpace({"x": {"choice": options}}).holes["x"]
    assert (choice.grid, choice.dtype) == (values, dtype)


def test_a_real_number_without_a_step_makes_a_continuum() -> None:
    space = SearchSpace({"a": {"float": [0, 1]}, "b": {"float": [0, 1], "step": 0.25}})
    assert space.count() == math.inf
    assert space.count("b") == 5 and space.count("nothing") == 1
    assert SearchSpace({"a": {"each": 300, "int": [1, 2**50]}}).count() == math.inf


def test_paths_lead_back_to_the_file() -> None:
    space = SearchSpace({"losses": [1, NESTED["term"]], "w": {"each": 2, "choice": [[8], [9]]}})
    filled = space.apply(
        {"losses[1]": "at", "losses[1].at.weight": 1, "losses[1].at.p": 4, "w[0]": "[8]"}
        | {"w[1]": "[9]"}
    )
    assert filled.sources["losses[1].weight"] == "losses[1].choice[1].weight"
    assert filled.sources["w[1][0]"] == "w.choice[1][0]"


@pytest.mark.parametrize(
    ("assignment", "place"),
    [
        ({"a": 1}, "b"),
        ({"a": 9, "b": "x", "d[0]": 0}, "a"),
        ({"a": 1, "b": "z", "d[0]": 0}, "b"),
        ({"a": 1, "b": "x", "d[0]": 0, "e": 1}, "e"),
    ],
)
def test_an_assignment_that_does_not_fit(assignment: dict[str, Any], place: str) -> None:
    with pytest.raises(UserError) as caught:
        SearchSpace(FLAT).apply(assignment)
    assert caught.value.place == place


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ({"choice": []}, "at least one option"),
        ({"choice": ["a", "b", "a"]}, "stands twice"),
        ({"choice": [1, float("nan")]}, "finite"),
        ({"choice": [1], "log": True}, "belong to int and float"),
        ({"int": [3, 1]}, "swap"),
        ({"int": [1]}, r"\[low, high\]"),
        ({"int": [1, 2.5]}, "whole numbers"),
        ({"int": [True, 2]}, "whole numbers"),
        ({"int": [0, 10**300]}, "whole numbers up to"),
        ({"int": [1, 2], "step": 0}, "step must be > 0"),
        ({"int": [1, 2], "log": True, "step": 1}, "without log"),
        ({"int": [1, 2], "log": "yes"}, "true or false"),
        ({"int": [1, 2], "lgo": True}, "unknown key 'lgo'"),
        ({"int": [1, 2], "float": [1, 2]}, "one of int, float, choice"),
        ({"float": [0, 1], "log": True}, "low > 0"),
        ({"float": [0, float("inf")]}, "finite"),
        ({"float": [-1e308, 1e308]}, "up to 1e\\+100"),
        ({"float": [0, "1"]}, "finite numbers"),
        ({"float": [0, 1], "step": 1e-9}, "makes more than"),
        ({"each": 0, "int": [1, 2]}, "from 1 to 1000"),
        ({"each": 1.5, "int": [1, 2]}, "whole number"),
        ({"each": None, "int": [1, 2]}, "whole number"),
        ({"each": "nothing", "int": [1, 2]}, "follows no whole number"),
        ({"each": "word", "int": [1, 2]}, "follows no whole number"),
        ({"each": "many", "int": [1, 2]}, "from 1 to 1000"),
        ({"each": "below", "int": [1, 2]}, "from 1 to 1000"),
        ({"each": "inner.n", "int": [1, 2]}, "follows no whole number"),
    ],
)
def test_a_domain_that_is_none_is_named_by_its_path(domain: dict[str, Any], words: str) -> None:
    around = {
        "word": "w",
        "many": {"int": [1, 2**40]},
        "below": {"int": [0, 2]},
        "inner": {"choice": [{"n": 1}, {"n": 2}]},  # in an option: not always there
    }
    with pytest.raises(UserError, match=words) as caught:
        SearchSpace({**around, "a": [{"choice": [1, {"b": domain}]}]})
    assert caught.value.place == "a[0].choice[1].b"


@pytest.mark.parametrize(
    "tree",
    [
        {"a": {"each": 1000, "int": [1, 2]}},
        {"a": {"each": 100, "choice": [{"b": {"each": 100, "int": [1, 2]}}]}},
        {"a": {"each": 100, "choice": [{"b": [0] * 1000}]}},
        {"a": {"choice": list(range(5000))}},
        {
            **{f"n{i}": {"int": [1, 30]} for i in range(8)},
            "x": {f"w{i}": {"each": f"n{i}", "int": [1, 2]} for i in range(8)},
        },
    ],
    ids=["holes", "copies", "values", "options", "lengths"],
)
def test_what_no_search_can_go_through_is_refused_quickly(tree: dict[str, Any]) -> None:
    started = time.process_time()
    with pytest.raises(UserError, match="too"):
        SearchSpace(tree)
    assert time.process_time() - started < 5
