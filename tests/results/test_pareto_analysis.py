"""Ranks, growth, choice and attainment: what must hold for any table."""

from __future__ import annotations

import moocore
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsearch.errors import UserError
from kdsearch.results.pareto import (
    attained_share,
    attainment_surface,
    best_under,
    front_ranks,
    hypervolume_history,
    knee_point,
    left_out,
    pareto_front,
    reference_box,
)

law = settings(deadline=None, max_examples=60)  # a busy machine is no failure
COST = (("error", "min", "linear"), ("size", "min", "log"))
THREE = (*COST, ("wait", "min", "linear"))
NAN = float("nan")


def table(**columns: list) -> pd.DataFrame:
    rows = len(next(iter(columns.values())))
    fixed = {"trial_id": [f"{i:05d}" for i in range(rows)], "status": "complete"}
    return pd.DataFrame(fixed | {"purpose": "search"} | columns)


@st.composite
def tables(draw: st.DrawFn, least: int = 1) -> pd.DataFrame:
    value = st.sampled_from([0.5, 1.0, 2.0, 3.0, 8.0, NAN])
    rows = draw(st.lists(st.tuples(value, value, value), min_size=least, max_size=14))
    status = [draw(st.sampled_from(["complete", "complete", "stopped"])) for _ in rows]
    columns = {n: [r[i] for r in rows] for i, n in enumerate(("error", "size", "wait"))}
    return table(**columns, status=status)


# Ranks and rows that lack a value


@law
@given(tables(), st.sampled_from([COST, THREE]))
def test_rank_0_is_the_front_and_every_row_has_a_rank_or_is_not_judged(
    trials: pd.DataFrame, objectives: tuple
) -> None:
    ranks = front_ranks(trials, objectives)
    front = pareto_front(trials, objectives)
    assert sorted(trials.loc[ranks.eq(0).fillna(False), "trial_id"]) == sorted(front["trial_id"])
    judged = trials["status"].eq("complete")
    missing = left_out(trials, objectives).index
    assert ranks.isna().sum() == (~judged).sum() + len(missing)
    assert ranks[missing].isna().all() and judged[missing].all()
    assert not front[[o[0] for o in objectives]].isna().any(axis=None)


@pytest.mark.parametrize("value", [NAN, float("inf"), -float("inf"), None])
def test_a_row_with_no_finite_value_is_left_out_and_counted(value: float | None) -> None:
    trials = table(validation_accuracy=[0.5, value], parameters=[10, 1])
    assert pareto_front(trials)["trial_id"].tolist() == ["00000"]
    assert left_out(trials)["trial_id"].tolist() == ["00001"]


def test_a_plain_table_needs_no_column_of_ours() -> None:
    cars = pd.DataFrame({"price": [1.0, 2.0, 3.0], "speed": [5.0, 9.0, 8.0]})
    objectives = [("speed", "max"), ("price", "min")]
    assert pareto_front(cars, objectives)["price"].tolist() == [1.0, 2.0]
    assert front_ranks(cars, objectives).tolist() == [0, 0, 1]
    assert len(hypervolume_history(cars, objectives)) == 3


@pytest.mark.parametrize("ask", [pareto_front, front_ranks, knee_point])
def test_different_data_stand_on_one_front_only_if_asked(ask: object) -> None:
    trials = table(validation_accuracy=[0.5, 0.6], parameters=[1, 2], data_id=["a1", "b2"])
    with pytest.raises(UserError, match=r"a1, b2: different data.*mix_data"):
        ask(trials)  # type: ignore[operator]
    ask(trials, mix_data=True)  # type: ignore[operator]
    ask(trials.assign(status=["complete", "stopped"]))  # type: ignore[operator]


# The hypervolume over trials


@law
@given(tables(), st.sampled_from([COST, THREE]))
def test_it_never_falls_and_ends_at_the_volume_of_the_front(
    trials: pd.DataFrame, objectives: tuple
) -> None:
    history = hypervolume_history(trials, objectives)
    volumes = history["hypervolume"].to_numpy()
    assert len(history) == len(trials) and (np.diff(volumes) >= 0).all()
    assert history["gained"].sum() == pytest.approx(volumes[-1])
    front = pareto_front(trials, objectives)
    if not len(front):
        assert volumes[-1] == 0
        return
    box = reference_box(trials, objectives=objectives)
    on_scale = {o[0]: np.log if o[2] == "log" else (lambda x: x) for o in objectives}
    points = np.stack([on_scale[n](front[n].to_numpy()) for n in on_scale], 1)
    best, reference = (
        np.array([on_scale[n](box.loc[n, side]) for n in on_scale]) for side in box.columns
    )
    whole = moocore.hypervolume(points, ref=reference) / np.prod(reference - best)
    assert volumes[-1] == pytest.approx(whole)
    assert 0 < volumes[-1] <= 1 + 1e-9


@law
@given(tables(), tables())
def test_one_box_of_two_searches_holds_both(a: pd.DataFrame, b: pd.DataFrame) -> None:
    both = reference_box(a, b, objectives=COST)
    pd.testing.assert_frame_equal(both, reference_box(pd.concat([b, a]), objectives=COST))
    for one in (a, b):
        assert hypervolume_history(one, COST, both)["hypervolume"].le(1 + 1e-9).all()


def test_the_reference_lies_a_tenth_of_the_range_beyond_the_worst() -> None:
    trials = table(validation_accuracy=[0.5, 0.9], parameters=[100, 10_000])
    box = reference_box(trials)
    assert box.loc["validation_accuracy"].tolist() == pytest.approx([0.9, 0.46])
    assert box.loc["parameters"].tolist() == pytest.approx([100, 10_000 * 100**0.1])


def test_one_row_spans_the_whole_box_and_none_spans_nothing() -> None:
    one = table(validation_accuracy=[0.5], parameters=[10])
    assert hypervolume_history(one)["hypervolume"].tolist() == pytest.approx([1.0])
    assert hypervolume_history(one.assign(status="stopped"))["hypervolume"].tolist() == [0.0]
    assert hypervolume_history(one[:0]).empty


def test_work_adds_up_over_trials_that_were_stopped_too() -> None:
    trials = table(
        validation_accuracy=[0.1, 0.9, 0.8], parameters=[9, 8, 7], seconds=[1.0, 2.0, NAN],
        status=["stopped", "complete", "complete"],
    )  # fmt: skip
    history = hypervolume_history(trials)
    assert history["seconds"].tolist() == [1.0, 3.0, 3.0]
    assert history["hypervolume"].iloc[0] == 0 < history["hypervolume"].iloc[1]


def test_a_size_of_nothing_has_no_logarithm() -> None:
    trials = table(validation_accuracy=[0.5, 0.6], parameters=[0, 10])
    with pytest.raises(UserError, match=r"parameters.*log scale.*linear"):
        hypervolume_history(trials)
    linear = [("validation_accuracy", "max"), ("parameters", "min", "linear")]
    assert hypervolume_history(trials, linear)["hypervolume"].iloc[-1] > 0


# Choosing


def test_the_knee_of_a_bent_curve_is_its_bend() -> None:
    size = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    trials = table(size=size.tolist(), error=[1.0, 0.9, 0.2, 0.15, 0.1])
    assert knee_point(trials, COST)["size"] == 4.0
    # On a linear scale 4 is near the small end, and still the bend.
    assert knee_point(trials, [COST[0], ("size", "min", "linear")])["size"] == 4.0


@pytest.mark.parametrize("errors", [[0.3], [0.3, 0.2], [0.3, 0.2, 0.1]])
def test_a_front_without_a_bend_has_its_smallest_as_knee(errors: list[float]) -> None:
    trials = table(error=errors, size=[2.0**i for i in range(len(errors))])
    assert knee_point(trials, COST[::-1])["trial_id"] == "00000"


def test_the_knee_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="no front"):
        knee_point(table(error=[NAN], size=[1.0]), COST)


@law
@given(tables(), st.sampled_from([0.5, 1.0, 2.0, 3.0]))
def test_best_under_is_within_its_budget_and_none_within_is_better(
    trials: pd.DataFrame, bound: float
) -> None:
    judged = trials[trials["status"] == "complete"].dropna(subset=["error", "size"])
    within = judged[judged["size"] <= bound]
    if not len(within):
        with pytest.raises(UserError):
            best_under(trials, ("error", "min"), size=bound)
        return
    best = best_under(trials, ("error", "min"), size=bound)
    assert best["size"] <= bound and best["error"] == within["error"].min()
    assert best["size"] == within[within["error"] == best["error"]]["size"].min()


def test_a_budget_that_none_keeps_says_what_the_least_is() -> None:
    trials = table(validation_accuracy=[0.5, 0.6], parameters=[1200, 900])
    with pytest.raises(UserError, match=r"parameters <= 500 \(the least is 900\)"):
        best_under(trials, parameters=500)
    with pytest.raises(UserError, match="no column"):
        best_under(trials, weight=500)


# Attainment over runs


@law
@given(tables(), st.sampled_from([COST, THREE]), st.sampled_from([0.01, 0.5, 1.0]))
def test_equal_runs_attain_their_front(
    trials: pd.DataFrame, objectives: tuple, share: float
) -> None:
    names = [o[0] for o in objectives]
    surface = attainment_surface([trials] * 3, objectives, share)
    front = pareto_front(trials, objectives)[names].drop_duplicates()
    assert {*map(tuple, surface.to_numpy())} == {*map(tuple, front.to_numpy())}
    assert attained_share([trials] * 3, front, objectives).eq(1).all()


@law
@given(st.lists(tables(), min_size=1, max_size=5), st.sampled_from([0.2, 0.5, 0.6, 1.0]))
def test_a_surface_is_what_that_share_of_runs_attains(
    runs: list[pd.DataFrame], share: float
) -> None:
    surface = attainment_surface(runs, COST, share)
    assert attained_share(runs, surface, COST).ge(share - 1e-9).all()
    grid = pd.MultiIndex.from_product([[0.5, 1.0, 2.0, 3.0, 8.0]] * 2, names=["error", "size"])
    points = grid.to_frame(index=False)
    reached = attained_share(runs, points, COST) >= share - 1e-9
    on_or_behind = [
        bool((surface[["error", "size"]].to_numpy() <= point).all(1).any())
        for point in points.to_numpy()
    ]
    assert reached.tolist() == on_or_behind


def test_faults_of_attainment_are_named() -> None:
    trials = table(error=[0.5], size=[1.0])
    with pytest.raises(UserError, match="none given"):
        attained_share([], trials, COST)
    with pytest.raises(UserError, match="two or three"):
        attainment_surface([trials], COST[:1])
    with pytest.raises(UserError, match=r"share.*0.*1"):
        attainment_surface([trials], COST, 0)
