"""What repeated searches attain: the empirical attainment function over runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kdsearch.errors import UserError
from kdsearch.results.pareto.comparable import refuse_mixed
from kdsearch.results.pareto.front import nondominated
from kdsearch.results.pareto.objectives import DEFAULT_OBJECTIVES, finite, judged_rows

if TYPE_CHECKING:
    import pandas as pd


def attained_share(
    runs: Sequence[pd.DataFrame],
    points: pd.DataFrame,
    objectives: Sequence[Sequence[str]] | None = None,
    mix_data: bool = False,
) -> pd.Series:
    """The share of runs that attain each point: have a row nowhere worse than it.

    The empirical attainment function (Grunert da Fonseca et al. 2001), for any number of
    objectives.

    Parameters
    ----------
    runs : sequence of DataFrame
        Trials of one search each, equal but for their seed.
    points : DataFrame
        With a column an objective.
    objectives : sequence of (name, direction)
        Validation accuracy and parameters by default.
    mix_data : bool
        As for `pareto_front`, of runs and points together.

    Returns
    -------
    Series
        0..1, of the points' index; null for a point that lacks an objective.

    Raises
    ------
    UserError
        No run, an objective that is no column, or rows that cannot be compared.

    Examples
    --------
    >>> seeds = [read_trials(f"results/digits-{seed}") for seed in range(5)]
    >>> attained_share(seeds, pareto_front(seeds[0]))
    """
    import pandas as pd

    objectives = objectives or DEFAULT_OBJECTIVES
    goals = finite(points, objectives)
    attained = np.zeros(len(goals))
    for front in _fronts_of(runs, objectives, mix_data, points):
        attained += (front[None] <= goals[:, None]).all(-1).any(-1)
    share = np.where(np.isnan(goals).any(1), np.nan, attained / len(runs))
    return pd.Series(share, index=points.index, name="attained_share")


def attainment_surface(
    runs: Sequence[pd.DataFrame],
    objectives: Sequence[Sequence[str]] | None = None,
    share: float = 0.5,
    mix_data: bool = False,
) -> pd.DataFrame:
    """The best points that at least this share of runs attain; half of them: the median front.

    Parameters
    ----------
    runs, objectives
        As for `attained_share`; two or three objectives.
    share : float
        Above 0, up to 1: the worst case.
    mix_data : bool
        As for `pareto_front`, of all runs together.

    Returns
    -------
    DataFrame
        A row a corner of the surface and a column an objective, the smallest first; none where too
        few runs have a front.

    Raises
    ------
    UserError
        No run, another number of objectives, a share out of bounds, an objective that is no column,
        or rows that cannot be compared.

    Examples
    --------
    >>> attainment_surface(seeds).plot("parameters", "validation_accuracy", drawstyle="steps-post")
    """
    import pandas as pd

    objectives = objectives or DEFAULT_OBJECTIVES
    if len(objectives) not in (2, 3):
        fault = f"{len(objectives)} given; a surface needs two or three, attained_share takes any"
        raise UserError("objectives", fault)
    if not 0 < share <= 1:
        raise UserError("share", f"{share} is not above 0 and up to 1")
    needed = math.ceil(share * len(runs) - 1e-9)  # 0.6 * 5 is 3, not 3.0000000000000004
    fronts = [front for front in _fronts_of(runs, objectives, mix_data) if len(front)]
    names = [name for name, *_ in objectives]
    if len(fronts) < needed:
        return pd.DataFrame(columns=names, dtype=float)
    import moocore  # 30 ms, which no table of a front needs

    sets = np.repeat(np.arange(1, len(fronts) + 1), [len(front) for front in fronts])
    # Of n fronts, the level that k attain is n's k-th; half a step below it no rounding matters.
    level = 100 * (needed - 0.5) / len(fronts)
    corners = moocore.eaf(np.concatenate(fronts), sets, percentiles=[level])[:, :-1]
    signs = [-1 if direction == "max" else 1 for _, direction, *_ in objectives]
    surface = pd.DataFrame(corners * signs, columns=names)
    by = next((n for n, d, *_ in objectives if d == "min"), names[0])
    return surface.sort_values(by, kind="stable").reset_index(drop=True)


def _fronts_of(
    runs: Sequence[pd.DataFrame],
    objectives: Sequence[Sequence[str]],
    mix_data: bool,
    *points: pd.DataFrame,
) -> list[np.ndarray]:
    """The front of each run, minimised: arrays of shape (n, m)."""
    if not len(runs):
        raise UserError("runs", "none given; give the trials of one search or more")
    judged = [run.loc[judged_rows(run)] for run in runs]
    values = [finite(run, objectives) for run in judged]
    if not mix_data:
        refuse_mixed([*judged, *points], [name for name, *_ in objectives])
    return [value[nondominated(value)] for value in values]
