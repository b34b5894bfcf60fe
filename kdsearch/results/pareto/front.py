"""Who dominates whom: fronts, their ranks and their hypervolume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kdsearch.results.pareto.objectives import DEFAULT_OBJECTIVES, compared_rows, finite

if TYPE_CHECKING:
    import pandas as pd


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
    import moocore  # 30 ms, which no table of a front needs

    return float(moocore.hypervolume(front, ref=reference))


def pareto_front(
    trials: pd.DataFrame,
    objectives: Sequence[Sequence[str]] | None = None,
    *,
    mix_data: bool = False,
) -> pd.DataFrame:
    """The rows that no other row dominates, among complete trials of the search itself.

    A row that lacks an objective is left out; `left_out` counts such rows.

    Parameters
    ----------
    trials : DataFrame
        As `read_trials` gives it, or any table: without a column ``status`` or ``purpose`` every
        row counts.
    objectives : sequence of (name, direction)
        Direction ``max`` or ``min``; validation accuracy and parameters by default. A third part,
        the scale, changes no front.
    mix_data : bool
        Whether rows of different data (their ``data_id``) may stand on one front; or whose latency
        or memory was measured on different devices, or whose bytes are at different bits.

    Returns
    -------
    DataFrame
        Sorted by the first objective to be minimised, the smallest first.

    Raises
    ------
    UserError
        An objective that is no column of numbers of the trials, or rows that cannot be compared.

    Examples
    --------
    >>> trials = read_trials("results/digits")
    >>> pareto_front(trials, [("validation_accuracy", "max"), ("macs", "min")])
    """
    objectives = list(objectives or DEFAULT_OBJECTIVES)
    rows = trials.loc[compared_rows(trials, objectives, mix_data)]
    front = rows.loc[nondominated(finite(rows, objectives))]
    sizes = [name for name, direction, *_ in objectives if direction == "min"]
    by = [*(sizes or [objectives[0][0]]), *front.columns.intersection(["trial_id"])]
    return front.sort_values(by, kind="stable").reset_index(drop=True)


def front_ranks(
    trials: pd.DataFrame,
    objectives: Sequence[Sequence[str]] | None = None,
    *,
    mix_data: bool = False,
) -> pd.Series:
    """The front of every row: 0 where none dominates it, 1 where only front 0 does, and so on.

    Parameters
    ----------
    trials, objectives, mix_data
        As for `pareto_front`.

    Returns
    -------
    Series
        Of the trials' index, named ``front_rank``, Int64; null for rows that are not judged: of
        another purpose, not complete, or without one of the objectives.

    Raises
    ------
    UserError
        As for `pareto_front`.

    Examples
    --------
    >>> trials.assign(rank=front_ranks(trials)).query("rank < 2")
    """
    import pandas as pd

    objectives = objectives or DEFAULT_OBJECTIVES
    values = finite(trials, objectives)
    counts = compared_rows(trials, objectives, mix_data) & ~np.isnan(values).any(1)
    ranks = pd.Series(pd.NA, index=trials.index, dtype="Int64", name="front_rank")
    ranks[counts] = fronts(values[counts])
    return ranks


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
