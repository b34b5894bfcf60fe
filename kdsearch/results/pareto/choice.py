"""One student out of many: the knee of a front, the best within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kdsearch.errors import UserError
from kdsearch.results.pareto.front import pareto_front
from kdsearch.results.pareto.objectives import DEFAULT_OBJECTIVES, compared_rows, lowered, minimised

if TYPE_CHECKING:
    import pandas as pd


def knee_point(
    trials: pd.DataFrame,
    objectives: Sequence[Sequence[str]] | None = None,
    *,
    mix_data: bool = False,
) -> pd.Series:
    """The point of the front that lies farthest before the line between the front's ends.

    Each objective on its scale, scaled to 0..1 over the front; then the least sum, which for two
    objectives is the greatest distance from the chord (Das 1999). Of equal ones, and of a front
    without a bend, the first in the order of `pareto_front`.

    Parameters
    ----------
    trials, objectives, mix_data
        As for `pareto_front`; the scale of an objective counts: left out, ``log`` of what is
        minimised.

    Returns
    -------
    Series
        A row of the trials.

    Raises
    ------
    UserError
        No row is judged, or as for `pareto_front`.

    Examples
    --------
    >>> knee_point(trials)["trial_id"]
    """
    objectives = objectives or DEFAULT_OBJECTIVES
    front = pareto_front(trials, objectives, mix_data=mix_data)
    if not len(front):
        raise UserError("trials", "no complete trial has every objective; there is no front")
    values = lowered(front, objectives)
    spread = np.ptp(values, axis=0)
    scaled = (values - values.min(0)) / np.where(spread > 0, spread, 1.0)
    sums = scaled.sum(1).round(12)  # equal sums, whatever the order in which they were added
    return front.iloc[int(sums.argmin())]


def best_under(
    trials: pd.DataFrame,
    objective: Sequence[str] = DEFAULT_OBJECTIVES[0],
    mix_data: bool = False,
    **budgets: float,
) -> pd.Series:
    """The best row whose columns are within the budgets, among complete trials of the search.

    Parameters
    ----------
    trials : DataFrame
        As for `pareto_front`.
    objective : (name, direction)
        What is best.
    mix_data : bool
        Whether rows of different data, or measured on different devices, may be compared.
    **budgets : float
        Greatest value of each column that is bounded, itself allowed. Of equal rows the one that
        takes least of the first budget is returned.

    Returns
    -------
    Series
        A row of the trials.

    Raises
    ------
    UserError
        No row is within the budgets, or a column that is none.

    Examples
    --------
    >>> best_under(trials, parameters=10_000)["validation_accuracy"]
    >>> best_under(trials, latency_ms=2.5, size_bytes=50_000)
    """
    aims = [objective, *((name, "min") for name in budgets)]
    rows = trials.loc[compared_rows(trials, aims, mix_data)]
    values = minimised(rows, aims)
    whole = np.isfinite(values).all(1)
    if not whole.any():
        raise UserError("trials", f"no complete trial has {' and '.join(a[0] for a in aims)}")
    within = whole & (values[:, 1:] <= list(budgets.values())).all(1)
    if not within.any():
        least = ", ".join(
            f"{name} <= {bound:,g} (the least is {low:,g})"
            for (name, bound), low in zip(budgets.items(), values[whole, 1:].min(0), strict=True)
        )
        raise UserError("budget", f"no complete trial has {least}; allow more")
    order = np.lexsort(values[within].T[::-1])
    return rows.loc[within].iloc[int(order[0])]
