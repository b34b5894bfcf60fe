"""Fronts and hypervolume: what must hold for any points."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsearch.errors import UserError
from kdsearch.results.pareto import fronts, hypervolume, nondominated, pareto_front

law = settings(deadline=None, max_examples=80)  # a busy machine is no failure
# Few distinct values, so that ties and equal points are common.
VALUE = st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0])


@st.composite
def points(draw: st.DrawFn, objectives: int | None = None, least: int = 0) -> np.ndarray:
    m = objectives or draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(VALUE, min_size=m, max_size=m), min_size=least, max_size=24))
    return np.array(rows, dtype=float).reshape(-1, m)


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@law
@given(points())
def test_nothing_dominates_a_front_and_it_dominates_everything_else(values: np.ndarray) -> None:
    on = nondominated(values)
    for index, point in enumerate(values):
        assert on[index] == (not any(dominates(other, point) for other in values))
        if not on[index]:
            assert any(dominates(other, point) for other in values[on])


@law
@given(points(), st.randoms(use_true_random=False))
def test_a_front_does_not_depend_on_the_order_of_rows(values: np.ndarray, random: object) -> None:
    order = np.array(random.sample(range(len(values)), len(values)), dtype=int)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(nondominated(values)[order], nondominated(values[order]))
    np.testing.assert_array_equal(fronts(values)[order], fronts(values[order]))


@law
@given(points(least=1), st.data())
def test_a_row_with_a_nan_is_never_on_the_front_and_hides_none(
    values: np.ndarray, data: st.DataObject
) -> None:
    holed = values.copy()
    row = data.draw(st.integers(0, len(values) - 1))
    holed[row, data.draw(st.integers(0, values.shape[1] - 1))] = np.nan
    on = nondominated(holed)
    assert not on[row]
    np.testing.assert_array_equal(np.delete(on, row), nondominated(np.delete(values, row, axis=0)))


@law
@given(points())
def test_fronts_are_peeled_one_after_the_other(values: np.ndarray) -> None:
    index, left = fronts(values), np.arange(len(values))
    for number in range(index.max(initial=-1) + 1):
        on = nondominated(values[left])
        np.testing.assert_array_equal(left[on], np.flatnonzero(index == number))
        left = left[~on]
    assert not len(left)


@law
@given(points(least=1))
def test_adding_a_point_never_shrinks_the_hypervolume(values: np.ndarray) -> None:
    reference = np.full(values.shape[1], 1.5)
    volumes = [hypervolume(values[:n], reference) for n in range(len(values) + 1)]
    assert volumes[0] == 0
    assert (np.diff(volumes) >= -1e-12).all()
    assert volumes[-1] <= 1.5 ** values.shape[1] + 1e-12


@law
@given(points(least=1))
def test_the_hypervolume_is_the_share_of_a_grid_that_is_dominated(values: np.ndarray) -> None:
    m = values.shape[1]
    cells = np.stack(np.meshgrid(*[np.arange(0.125, 1.5, 0.25)] * m), axis=-1).reshape(-1, m)
    covered = (values[:, None] <= cells[None]).all(2).any(0).sum()
    assert hypervolume(values, np.full(m, 1.5)) == pytest.approx(covered * 0.25**m)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_one_point_spans_a_box(m: int) -> None:
    assert hypervolume(np.full((1, m), 0.25), np.ones(m)) == pytest.approx(0.75**m)


def test_a_staircase_has_the_area_of_its_steps() -> None:
    front = np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]])
    assert hypervolume(front, np.array([3.0, 3.0])) == pytest.approx(6.0)


def test_points_at_or_beyond_the_reference_add_nothing() -> None:
    assert hypervolume(np.array([[1.0, 0.0], [0.0, 2.0]]), np.ones(2)) == 0


def test_ten_thousand_rows_are_quick() -> None:
    rng = np.random.default_rng(0)
    began = time.perf_counter()
    for m in (2, 3):
        nondominated(rng.normal(size=(10_000, m)))
    fronts(rng.normal(size=(10_000, 2)))
    x = np.linspace(0, 1, 1000)
    assert hypervolume(np.stack([x, (1 - x) ** 2], 1), np.ones(2)) == pytest.approx(2 / 3, abs=1e-3)
    assert time.perf_counter() - began < 5  # a second on one core; minutes if it were quadratic


def table(**columns: list) -> pd.DataFrame:
    rows = len(columns["parameters"])
    fixed = {"trial_id": [str(i) for i in range(rows)], "status": "complete", "purpose": "search"}
    return pd.DataFrame(fixed | columns)


def test_only_complete_rows_of_the_search_itself_are_on_the_front() -> None:
    front = pareto_front(
        table(
            validation_accuracy=[0.9, 0.95, 0.99, 0.8, float("nan")],
            parameters=[100, 90, 80, 50, 1],
            status=["complete", "complete", "stopped", "complete", "complete"],
            purpose=["search", "search", "search", "baseline", "search"],
        )
    )
    assert front["trial_id"].tolist() == ["1"]


def test_a_front_is_sorted_by_its_first_objective_to_be_minimised() -> None:
    trials = table(validation_accuracy=[0.9, 0.8, 0.7], parameters=[300, 200, 100], macs=[3, 1, 2])
    assert pareto_front(trials)["parameters"].tolist() == [100, 200, 300]
    by_macs = pareto_front(trials, [("validation_accuracy", "max"), ("macs", "min")])
    assert by_macs["macs"].tolist() == [1, 3]


def test_no_rows_no_front() -> None:
    trials = table(validation_accuracy=[], parameters=[])
    assert len(pareto_front(trials)) == 0
    assert list(pareto_front(trials)) == list(trials)


def test_an_objective_that_is_no_column_is_named_with_those_that_are() -> None:
    trials = table(validation_accuracy=[0.5], parameters=[1])
    with pytest.raises(UserError, match=r"latency_ms.*parameters"):
        pareto_front(trials, [("latency_ms", "min")])


@pytest.mark.parametrize(
    "objectives",
    [
        [("validation_accuracy", "maximise"), ("parameters", "min")],
        [("parameters", "max"), ("parameters", "min")],
        [("parameters", "min", "Log")],
    ],
)
def test_a_word_that_means_nothing_is_refused(objectives: list[tuple[str, ...]]) -> None:
    trials = pd.DataFrame({"validation_accuracy": [0.5, 0.9], "parameters": [10, 20]})
    with pytest.raises(UserError, match="objectives"):
        pareto_front(trials, objectives)
