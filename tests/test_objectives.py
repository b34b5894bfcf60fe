"""One table says what may be optimised; a section says no more than its row takes."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.config import validate
from kdsearch.errors import UserError
from kdsearch.objectives import OBJECTIVES, violation, violations
from kdsearch.results.report import LABELS
from kdsearch.results.tables import TRIAL_COLUMNS
from kdsearch.search_sections import Constrained, Fixed, ObjectiveConfig

BOUNDS = st.dictionaries(st.sampled_from(sorted(OBJECTIVES)), st.floats(0.01, 1e6), max_size=4)


def section(name: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "direction": OBJECTIVES[name].direction, **keys}


def fixed(*objectives: dict[str, Any], **changes: Any) -> Fixed:
    tree = {"search": "s", "objectives": list(objectives), "budget": {"trials": 1}, **changes}
    return validate(Fixed, tree)


def test_every_objective_is_a_column_and_has_a_label() -> None:
    assert set(OBJECTIVES) <= set(TRIAL_COLUMNS) and set(OBJECTIVES) <= set(LABELS)


def test_what_is_known_before_training_may_be_bounded_and_nothing_else() -> None:
    before = [name for name, row in OBJECTIVES.items() if row.source != "epoch"]
    assert list(get_args(Constrained)) == before


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_has_one_direction_and_takes_its_own_keys(name: str) -> None:
    given_keys = {"bits": 8, "device": "cuda:1", "batch_size": 4}
    own = {key: given_keys[key] for key in OBJECTIVES[name].keys}
    assert fixed(section(name, **own)).objectives[0].model_dump(include=set(own)) == own
    for key in given_keys.keys() - own.keys():
        with pytest.raises(UserError) as caught:
            fixed(section(name, **{key: given_keys[key]}))
        assert caught.value.place == f"objectives[0].{key}" and name in caught.value.fault
    other = "max" if OBJECTIVES[name].direction == "min" else "min"
    with pytest.raises(UserError) as caught:
        fixed(section(name, direction=other))
    assert caught.value.place == "objectives[0].direction"


def test_all_of_them_may_stand_together_and_none_twice() -> None:
    everything = [section(name) for name in OBJECTIVES]
    assert [o.name for o in fixed(*everything).objectives] == list(OBJECTIVES)
    with pytest.raises(UserError, match=r"objectives: .* macs stands twice"):
        fixed(*everything, section("macs", scale="log"))


def test_a_bound_is_of_the_number_that_the_objective_is() -> None:
    bounds = {"size_bytes": 100, "latency_ms": 2.0}
    search = fixed(section("latency_ms", batch_size=8), section("size_bytes", bits=4))
    bounded = fixed(section("parameters"), constraints=bounds)
    both = search.model_copy(update={"constraints": bounds})
    assert (search.bits, both.bits, bounded.bits) == (4, 4, 32)
    assert search.measured == both.measured == [search.objectives[0]]
    assert bounded.measured == [ObjectiveConfig(name="latency_ms", direction="min")]
    assert fixed(section("validation_loss")).measured == []


@given(BOUNDS, st.dictionaries(st.sampled_from(sorted(OBJECTIVES)), st.floats(0.01, 1e6)))
def test_a_bound_is_broken_where_its_violation_is_above_zero(
    bounds: dict[str, float], known: dict[str, float]
) -> None:
    told = violations(bounds, known)
    assert len(told) == len(bounds)
    broken = [name for name, bound in bounds.items() if name in known and known[name] > bound]
    by_number = [name for name, excess in zip(bounds, told, strict=True) if excess > 0]
    assert by_number == [name for name in broken if known[name] / bounds[name] > 1]
    words = violation(bounds, known)
    assert (words is None) == (not broken)
    assert words is None or words.startswith(f"{broken[0]} ")


def test_a_violation_names_value_and_bound() -> None:
    assert violation({"macs": 1000.0}, {"macs": 3700}) == "macs 3,700 is above 1,000"
    found = violation({"latency_ms": 0.25}, {"latency_ms": 0.50001})
    assert found == "latency_ms 0.5 is above 0.25"
    assert violation({"latency_ms": 0.25}, {"latency_ms": None}) is None
    assert violation({}, {"macs": 3700}) is None
