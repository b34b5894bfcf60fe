"""How the hypervolume of a search grows, over trials and over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kdsearch.results.pareto.comparable import refuse_mixed
from kdsearch.results.pareto.front import hypervolume, nondominated
from kdsearch.results.pareto.objectives import (
    DEFAULT_OBJECTIVES,
    judged_rows,
    lowered,
    minimised,
    raised,
)

if TYPE_CHECKING:
    import pandas as pd

MARGIN = 0.1  # of the range, by which the reference point is worse than the worst trial
COSTS = ("epochs", "seconds", "gpu_seconds")


def reference_box(
    *tables: pd.DataFrame,
    objectives: Sequence[Sequence[str]] | None = None,
    mix_data: bool = False,
) -> pd.DataFrame:
    """The best and the reference value of each objective, the same for all tables together.

    The rule: over the judged rows of all tables, each objective on its scale, ``best`` is the best
    value, and ``reference`` lies a tenth of the range beyond the worst (one unit of the scale where
    all are equal), so that the ends of a front count too. `mix_data` is as for `pareto_front`.

    Returns
    -------
    DataFrame
        A row an objective, columns ``best`` and ``reference``, in the objective's own unit; NaN
        where no row is judged.

    Raises
    ------
    UserError
        An objective that is no column, a value that has no logarithm, or rows, of one table or of
        several, that cannot be compared.

    Examples
    --------
    >>> box = reference_box(tpe, random)
    >>> hypervolume_history(tpe, box=box), hypervolume_history(random, box=box)
    """
    import pandas as pd

    objectives = objectives or DEFAULT_OBJECTIVES
    values = np.concatenate([_judged(t, objectives) for t in tables])
    if not mix_data:
        refuse_mixed([t.loc[judged_rows(t)] for t in tables], [name for name, *_ in objectives])
    values = values[~np.isnan(values).any(1)]
    names = [o[0] for o in objectives]
    if not len(values):
        return pd.DataFrame({"best": np.nan, "reference": np.nan}, index=names)
    best, worst = values.min(0), values.max(0)
    reference = worst + np.where(worst > best, MARGIN * (worst - best), 1.0)
    corners = raised(np.stack([best, reference]), objectives)
    return corners.T.set_axis(["best", "reference"], axis=1)


def hypervolume_history(
    trials: pd.DataFrame,
    objectives: Sequence[Sequence[str]] | None = None,
    box: pd.DataFrame | None = None,
    mix_data: bool = False,
) -> pd.DataFrame:
    """The hypervolume after every trial, as a share of the box: never falling, 0..1.

    Parameters
    ----------
    trials : DataFrame
        In the order in which they ended, as `read_trials` gives them. Rows of another purpose are
        left out; those that were stopped or lack an objective cost, and add no volume.
    objectives : sequence of (name, direction) or (name, direction, scale)
        Scale ``linear`` or ``log``; left out, ``log`` of what is minimised.
    box : DataFrame
        As `reference_box` gives it, of these trials by default. What is to be compared needs one
        box.
    mix_data : bool
        As for `pareto_front`.

    Returns
    -------
    DataFrame
        A row a trial: ``trials`` (from 1), ``hypervolume``, ``gained`` (by this trial), and the
        running sums of those of the columns ``epochs``, ``seconds`` and ``gpu_seconds`` that there
        are: work, summed over workers.

    Raises
    ------
    UserError
        As for `reference_box`.

    Examples
    --------
    >>> hypervolume_history(trials).plot("gpu_seconds", "hypervolume", drawstyle="steps-post")
    """
    import pandas as pd

    objectives = objectives or DEFAULT_OBJECTIVES
    if box is None:
        box = reference_box(trials, objectives=objectives, mix_data=mix_data)
    elif not mix_data:
        refuse_mixed([trials.loc[judged_rows(trials)]], [name for name, *_ in objectives])
    if "purpose" in trials:
        trials = trials.loc[trials["purpose"] == "search"]
    volumes = _volumes(_judged(trials, objectives), lowered(box.T, objectives))
    columns = {name: trials[name].fillna(0).cumsum() for name in COSTS if name in trials}
    return pd.DataFrame(
        {
            "trials": np.arange(1, len(trials) + 1),
            "hypervolume": volumes,
            "gained": np.diff(volumes, prepend=0.0),
            **columns,
        },
        index=trials.index,
    )


def _judged(trials: pd.DataFrame, objectives: Sequence[Sequence[str]]) -> np.ndarray:
    """Objectives on their scales; a row that is not judged is NaN."""
    minimised(trials, objectives)  # a column that is missing is a fault of any table
    rows = judged_rows(trials)
    values = np.full((len(trials), len(objectives)), np.nan)
    values[rows] = lowered(trials.loc[rows], objectives)
    return values


def _volumes(values: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Share of the box that the first n rows dominate, for every n."""
    best, reference = corners
    with np.errstate(invalid="ignore"):
        scaled = (values - best) / (reference - best)
    corner = np.ones(len(best))
    front, volume, volumes = scaled[:0], 0.0, np.zeros(len(values))
    for i, point in enumerate(scaled):
        if (point < corner).all() and not (front <= point).all(1).any():
            front = np.vstack([front, point])
            front = front[nondominated(front)]
            volume = max(volume, hypervolume(front, corner))  # rounding must not make it fall
        volumes[i] = volume
    return volumes
