"""How much each hole matters for each objective, by Optuna's own importance module."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from kdsearch.domains import Choice
from kdsearch.errors import UserError
from kdsearch.results.page.searches import Search
from kdsearch.space import SearchSpace

if TYPE_CHECKING:
    import pandas as pd

LEAST = 10  # trials, below which an importance says nothing
MOST = 300  # trials that a forest learns from: a thousand say the same, in ten times as long
TREES = 32  # of a forest


def hole_importance(search: Search) -> pd.DataFrame:
    """The share of an objective's variance that each hole explains, alone.

    fANOVA (Hutter et al. 2014): a random forest learns the objective from the holes. For accuracy
    and other objectives that a training reaches from complete trials, for sizes from all; a fixed
    sample of `MOST` where there are more. Holes
    that only some trials have, or that had one value, are left out.

    Returns
    -------
    DataFrame
        A row a hole, a column an objective; shares add up to 1. No row where fewer than `LEAST`
        trials or no hole is left; no column for an objective that never varied.
    """
    import pandas as pd

    known = {"parameters", "macs", "size_bytes"}
    shares: dict[str, pd.Series] = {}
    for objective in (search.height, *search.sizes):
        name, _, scale = objective
        rows = search.trials
        if name not in known:
            rows = rows.loc[rows["status"] == "complete"]
        rows = rows.loc[np.isfinite(rows[name].to_numpy(dtype=float, na_value=np.nan))]
        if len(rows) > MOST:
            rows = rows.sample(MOST, random_state=0)
        holes = [h for h in search.holes if rows[h].notna().all() and rows[h].nunique() > 1]
        values = rows[name].to_numpy(dtype=float)
        if scale == "log":
            values = np.log(np.maximum(values, 1e-12))
        if len(rows) >= LEAST and holes and np.ptp(values) > 0:
            shares[name] = pd.Series(_shares(rows[holes], values, declared_domains(search)))
    return pd.DataFrame(shares).fillna(0.0)


def _shares(rows: pd.DataFrame, values: np.ndarray, domains: dict[str, Any]) -> dict[str, float]:
    import optuna

    logging.getLogger("optuna").setLevel(logging.WARNING)
    kinds = {
        str(hole): _distribution(column, domains.get(str(hole))) for hole, column in rows.items()
    }
    study = optuna.create_study()
    plain = rows.astype({h: object for h in rows}).to_dict("records")
    study.add_trials(
        [
            optuna.trial.create_trial(
                value=float(value),
                params={h: _scalar(v) for h, v in row.items()},
                distributions=kinds,
            )
            for row, value in zip(plain, values, strict=True)
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, seed=0)
        return optuna.importance.get_param_importances(study, evaluator=evaluator)


def _distribution(column: pd.Series, domain: Any) -> Any:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(domain, Choice) or column.dtype.kind not in "if":
        return CategoricalDistribution(sorted(_scalar(v) for v in column.unique()))
    low, high = _scalar(column.min()), _scalar(column.max())
    log = bool(getattr(domain, "log", False)) and low > 0
    if column.dtype.kind == "i":
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def declared_domains(search: Search) -> dict[str, Any]:
    """The declared domains; none where no log was kept, or the file is not ours to read."""
    try:
        return SearchSpace(search.config).holes if search.config else {}
    except UserError:
        return {}
