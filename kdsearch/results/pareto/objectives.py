"""The objectives of a table: which rows are judged by them, their direction and scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kdsearch.errors import UserError
from kdsearch.results.pareto.comparable import refuse_mixed

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_OBJECTIVES = (("validation_accuracy", "max"), ("parameters", "min"))


def minimised(rows: pd.DataFrame, objectives: Sequence[Sequence[str]]) -> np.ndarray:
    """The objectives of rows, turned so that less is better: array of shape (n, m)."""
    columns: list[Any] = []
    _check(objectives)
    for name, direction, *_ in objectives:
        if name not in rows:
            numbers = ", ".join(rows.select_dtypes("number").columns)
            raise UserError("objectives", f"{name} is no column of these trials; known: {numbers}")
        try:
            values = rows[name].to_numpy(dtype=float, na_value=np.nan)
        except (TypeError, ValueError):
            fault = f"{name} holds what is no number; name a column of numbers"
            raise UserError("objectives", fault) from None
        columns.append(-values if direction == "max" else values)
    return np.stack(columns, axis=1)


def _check(objectives: Sequence[Sequence[str]]) -> None:
    names = [objective[0] for objective in objectives]
    for name, direction, *scale in objectives:
        if direction not in ("max", "min"):
            raise UserError(f"objectives.{name}", f"the direction is max or min, got {direction!r}")
        if scale and scale[0] not in ("log", "linear"):
            raise UserError(f"objectives.{name}", f"the scale is log or linear, got {scale[0]!r}")
        if names.count(name) > 1:
            raise UserError(f"objectives.{name}", "given twice; one direction holds for a column")


def finite(rows: pd.DataFrame, objectives: Sequence[Sequence[str]]) -> np.ndarray:
    """As `minimised`; what is no finite number is a NaN, which is on no front."""
    values = minimised(rows, objectives)
    return np.where(np.isfinite(values), values, np.nan)


def scale_of(objective: Sequence[str]) -> str:
    """The third part of an objective; left out, ``log`` of what is minimised, else ``linear``."""
    return objective[2] if len(objective) > 2 else "log" if objective[1] == "min" else "linear"


def lowered(rows: pd.DataFrame, objectives: Sequence[Sequence[str]]) -> np.ndarray:
    """As `finite`, each objective on its scale: the space in which volumes are measured.

    Raises
    ------
    UserError
        An objective that is no column, or a value that has no logarithm.
    """
    values = finite(rows, objectives)
    for i, objective in enumerate(objectives):
        if scale_of(objective) == "log":
            sign = -1 if objective[1] == "max" else 1
            if (sign * values[:, i] <= 0).any():
                fault = "holds values that are not above 0, which a log scale needs; say linear"
                raise UserError(f"objectives.{objective[0]}", fault)
            values[:, i] = sign * np.log(sign * values[:, i])
    return values


def raised(values: np.ndarray, objectives: Sequence[Sequence[str]]) -> pd.DataFrame:
    """The inverse of `lowered`: points in the columns' own units and directions."""
    import pandas as pd

    columns = {}
    for i, objective in enumerate(objectives):
        column = -values[:, i] if objective[1] == "max" else values[:, i]
        columns[objective[0]] = np.exp(column) if scale_of(objective) == "log" else column
    return pd.DataFrame(columns)


def left_out(
    trials: pd.DataFrame, objectives: Sequence[Sequence[str]] | None = None
) -> pd.DataFrame:
    """Rows that would be judged, but lack a finite value of an objective: on no front.

    Examples
    --------
    >>> len(left_out(trials, [("validation_accuracy", "max"), ("latency_ms", "min")]))
    """
    values = finite(trials, objectives or DEFAULT_OBJECTIVES)
    return trials.loc[judged_rows(trials) & np.isnan(values).any(1)]


def judged_rows(trials: pd.DataFrame) -> np.ndarray:
    """Which rows a front is made of: complete trials of the search itself. Shape (n,), bool.

    A row that does not say what became of it is none.
    """
    kept = np.ones(len(trials), dtype=bool)
    for name, value in (("status", "complete"), ("purpose", "search")):
        if name in trials:
            kept &= (trials[name] == value).fillna(False).to_numpy(dtype=bool)
    return kept


def compared_rows(
    trials: pd.DataFrame, objectives: Sequence[Sequence[str]], mix_data: bool = False
) -> np.ndarray:
    """As `judged_rows`.

    Raises
    ------
    UserError
        They are of different data, or measured differently, and `mix_data` does not allow it.
    """
    kept = judged_rows(trials)
    if not mix_data:
        refuse_mixed([trials.loc[kept]], [name for name, *_ in objectives])
    return kept
