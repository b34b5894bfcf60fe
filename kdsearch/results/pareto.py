"""Fronts and hypervolume, of plain arrays and frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kdsearch.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_OBJECTIVES = (("validation_accuracy", "max"), ("parameters", "min"))


def nondominated(values: np.ndarray) -> np.ndarray:
    """Which points no other point dominates.

    A point dominates another if it is nowhere worse and somewhere better; equal points do not
    dominate each other.

    Parameters
    ----------
    values : array of shape (n, m)
        Objectives, all minimised. A row with a NaN is dominated.

    Returns
    -------
    array of shape (n,), bool
    """
    values = np.asarray(values, dtype=float)
    finite = ~np.isnan(values).any(1)
    kept = np.zeros(len(values), dtype=bool)
    sift = _staircase if values.shape[1] == 2 else _sieve
    kept[finite] = sift(values[finite])
    return kept


def fronts(values: np.ndarray) -> np.ndarray:
    """The front of every point: 0 where none dominates it, 1 where only front 0 does, and so on.

    Non-dominated sorting (Goldberg 1989), by moocore; equal points share a front.

    Parameters
    ----------
    values : array of shape (n, m)
        Objectives, all minimised, without NaN.

    Returns
    -------
    array of shape (n,), int
    """
    import moocore  # here, so that the command line does not wait for it

    values = np.asarray(values, dtype=float)
    if values.shape[1] == 1:
        return np.unique(values[:, 0], return_inverse=True)[1]
    if not len(values):
        return np.zeros(0, dtype=int)
    return np.asarray(moocore.pareto_rank(values), dtype=int)


def hypervolume(front: np.ndarray, reference: np.ndarray) -> float:
    """Volume that a front dominates, up to a reference point (Zitzler & Thiele 1999).

    Parameters
    ----------
    front : array of shape (n, m)
        Objectives, all minimised, in any order; dominated points add nothing.
    reference : array of shape (m,)
        The worst corner. Points beyond it in any objective add nothing.

    Returns
    -------
    float
        In the product of the objectives' units.
    """
    front, reference = np.asarray(front, dtype=float), np.asarray(reference, dtype=float)
    front = front[(front < reference).all(1)]
    if not len(front):
        return 0.0
    front = front[nondominated(front)]
    front = front[front[:, -1].argsort(kind="stable")]
    if front.shape[1] == 1:
        return float(reference[0] - front[0, 0])
    # Slices along the last objective: each is the hypervolume of the points up to it.
    depths = np.append(front[1:, -1], reference[-1]) - front[:, -1]
    if front.shape[1] == 2:  # of the points so far the last reaches furthest
        return float(((reference[0] - front[:, 0]) * depths).sum())
    return sum(
        hypervolume(front[: i + 1, :-1], reference[:-1]) * depth
        for i, depth in enumerate(depths)
        if depth > 0
    )


def pareto_front(
    trials: pd.DataFrame, objectives: Sequence[tuple[str, str]] | None = None
) -> pd.DataFrame:
    """The rows that no other row dominates, among complete trials of the search itself.

    Parameters
    ----------
    trials : DataFrame
        As `read_trials` gives it.
    objectives : sequence of (name, direction)
        Direction ``max`` or ``min``; validation accuracy and parameters by default.

    Returns
    -------
    DataFrame
        Sorted by the first objective to be minimised, the smallest first.

    Raises
    ------
    UserError
        An objective that is no column of the trials.
    """
    objectives = list(objectives or DEFAULT_OBJECTIVES)
    rows = trials.loc[(trials["status"] == "complete") & (trials["purpose"] == "search")]
    front = rows.loc[nondominated(minimised(rows, objectives))]
    sizes = [name for name, direction in objectives if direction == "min"]
    by = sizes or [objectives[0][0]]
    return front.sort_values([*by, "trial_id"], kind="stable").reset_index(drop=True)


def minimised(rows: pd.DataFrame, objectives: Sequence[tuple[str, str]]) -> np.ndarray:
    """The objectives of rows, turned so that less is better: array of shape (n, m)."""
    columns: list[Any] = []
    for name, direction in objectives:
        if name not in rows:
            numbers = ", ".join(rows.select_dtypes("number").columns)
            raise UserError("objectives", f"{name} is no column of these trials; known: {numbers}")
        values = rows[name].to_numpy(dtype=float, na_value=np.nan)
        columns.append(-values if direction == "max" else values)
    return np.stack(columns, axis=1)


def _staircase(points: np.ndarray) -> np.ndarray:
    order = np.lexsort((points[:, 1], points[:, 0]))
    x, y = points[order].T
    # A point survives unless one before it (x no larger) has a smaller y, or the same y and a
    # smaller x.
    best_before = np.minimum.accumulate(np.append(np.inf, y[:-1]))
    firsts = np.maximum.accumulate(np.where(y < best_before, np.arange(len(y)), 0))
    equal = (y == best_before) & (x == x[firsts])
    kept = np.zeros(len(points), dtype=bool)
    kept[order] = (y < best_before) | equal
    return kept


def _sieve(points: np.ndarray) -> np.ndarray:
    kept = np.zeros(len(points), dtype=bool)
    for index in np.lexsort(points.T[::-1]):  # no point dominates one before it
        front, point = points[kept], points[index]
        kept[index] = not ((front <= point).all(1) & (front < point).any(1)).any()
    return kept
