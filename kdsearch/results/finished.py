"""What repeats over seeds say of a student: means, intervals, its teacher's part, its equals.

A student is finished when it has been trained again, with other seeds: rows of purpose ``finish``,
and ``baseline`` for the same without a teacher. All compared here is test accuracy, read once of
every repeat. Intervals are over seeds, on this test split; they know nothing of other images.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kdsearch.results.history import History
from kdsearch.results.intervals import Mean, mean_over, paired, unpaired
from kdsearch.results.pareto import minimised, pareto_front
from kdsearch.results.records import TrialRow

if TYPE_CHECKING:
    import pandas as pd

NEAR = 0.01  # of accuracy
ACCURACIES = ("validation_accuracy", "validation_loss")
FINISH_COLUMNS = {
    "finish_seeds": "int64", "finish_failed": "int64", "finish_epochs": "int64",
    "validation_mean": "float64", "validation_interval": "float64", "test_mean": "float64",
    "test_interval": "float64", "baseline_seeds": "int64", "baseline_failed": "int64",
    "baseline_test_mean": "float64", "baseline_test_interval": "float64", "gain": "float64",
    "gain_interval": "float64", "tied_with": "string", "kept_as": "string",
}  # fmt: skip


def near_front(
    trials: pd.DataFrame, objectives: Sequence[tuple[str, str]], near: float
) -> list[str]:
    """Ids of the front, and of the complete rows that noise alone may have kept off it.

    A row is near the front if every front student that is nowhere worse in the other objectives
    is more accurate, on validation, by less than `near`. With 0 this is the front itself.

    Parameters
    ----------
    trials : DataFrame
        As `read_trials` gives it.
    near : float
        Of accuracy: 0.01 is a point.
    """
    front = pareto_front(trials, objectives)
    if not near:
        return list(front["trial_id"])
    others = [pair for pair in objectives if pair[0] not in ACCURACIES]
    rows = trials.loc[(trials["status"] == "complete") & (trials["purpose"] == "search")]
    rows = rows.loc[~rows["trial_id"].isin(front["trial_id"])]
    sizes, least = (
        minimised(frame, others) if others else np.zeros((len(frame), 0)) for frame in (rows, front)
    )
    best = front["validation_accuracy"].to_numpy()
    close = [
        (best[(least <= size).all(1)] - accuracy < near).all() and not np.isnan(size).any()
        for size, accuracy in zip(sizes, rows["validation_accuracy"], strict=True)
    ]
    return [*front["trial_id"], *rows.loc[np.array(close, dtype=bool), "trial_id"]]


def repeats(history: History) -> dict[tuple[str, str], dict[int, TrialRow]]:
    """Complete repeats, by student and purpose, then by seed.

    Those of the schedule that `kdsearch finish` was last asked for: means over different numbers of
    epochs would be means of nothing.
    """
    found: dict[tuple[str, str], dict[int, TrialRow]] = {}
    for row in _ended(history):
        if row.status == "complete":
            found.setdefault((str(row.parent_id), row.purpose), {})[row.seed] = row
    return found


def failures(history: History) -> Counter[tuple[str, str]]:
    """How many seeds of a student and purpose came to no end: failed or diverged, and still so."""
    complete = {(k, seed) for k, rows in repeats(history).items() for seed in rows}
    tried = {((str(row.parent_id), row.purpose), row.seed) for row in _ended(history)}
    return Counter(key for key, _ in tried - complete)


def _ended(history: History) -> Iterator[TrialRow]:
    """Repeats of the schedule that `kdsearch finish` was last asked for."""
    asked = history.finish.get("epochs")
    for row in history.rows:
        repeated = row.purpose in ("finish", "baseline")
        if repeated and history.trials[row.trial_id].get("finish_epochs") == asked:
            yield row


def best_repeat(rows: dict[int, TrialRow]) -> TrialRow:
    """The repeat whose weights are kept: the best on validation, never on test."""
    return max(rows.values(), key=lambda row: row.validation_accuracy or 0.0)


def with_repeats(
    rows: pd.DataFrame, history: History, against: Sequence[str] | None = None
) -> pd.DataFrame:
    """Rows of the search with the columns of `FINISH_COLUMNS`; none where nothing was repeated.

    Parameters
    ----------
    rows : DataFrame
        The front, or rows near it.
    against : sequence of str, optional
        Ids of the students with which `tied_with` compares; those of `rows` by default.
    """
    found, failed = repeats(history), failures(history)
    if not (found or failed):
        return rows
    names = list(rows["trial_id"])
    tests = {key: _tests(repeat, history) for key, repeat in found.items()}
    ties = {name: _ties(name, names if against is None else against, tests) for name in names}
    lines = [
        {
            **_line(name, found, tests),
            **{f"{purpose}_failed": failed[name, purpose] for purpose in ("finish", "baseline")},
            "tied_with": ties[name],
        }
        for name in names
    ]
    dtypes = {"int64": "Int64", "string": "string", "float64": "float64"}
    columns = {
        name: [line.get(name) for line in lines] for name in FINISH_COLUMNS
    }  # a column of no values would have no dtype
    return rows.assign(**columns).astype({n: dtypes[d] for n, d in FINISH_COLUMNS.items()})


def finished_near(trials: pd.DataFrame, front: pd.DataFrame, history: History) -> pd.DataFrame:
    """The finished students that are not on the front, compared with those that are."""
    ids = {student for student, purpose in repeats(history) if purpose == "finish"}
    ids -= set(front["trial_id"])
    rows = trials.loc[trials["trial_id"].isin(list(ids)) & (trials["purpose"] == "search")]
    rows = rows.assign(test_accuracy=rows["trial_id"].map(history.tests).astype("float64"))
    return with_repeats(rows.reset_index(drop=True), history, list(front["trial_id"]))


def _tests(repeat: dict[int, TrialRow], history: History) -> dict[int, float]:
    ids = {seed: row.trial_id for seed, row in repeat.items()}
    return {seed: history.tests[i] for seed, i in ids.items() if i in history.tests}


def _line(
    name: str,
    found: dict[tuple[str, str], dict[int, TrialRow]],
    tests: dict[tuple[str, str], dict[int, float]],
) -> dict[str, Any]:
    taught, alone = tests.get((name, "finish"), {}), tests.get((name, "baseline"), {})
    line: dict[str, Any] = {"finish_seeds": 0, "baseline_seeds": len(alone)}
    if rows := found.get((name, "finish")):
        reached = mean_over([r.validation_accuracy or 0.0 for r in rows.values()])
        line |= {"finish_seeds": len(rows), "finish_epochs": best_repeat(rows).epochs}
        line |= {"kept_as": best_repeat(rows).trial_id, **_cells("validation", reached)}
    line |= _cells("test", mean_over(list(taught.values())))
    line |= _cells("baseline_test", mean_over(list(alone.values())))
    gain = paired(taught, alone)
    return line | {"gain": _known(gain.value), "gain_interval": _known(gain.half)}


def _ties(
    name: str, others: Sequence[str], tests: dict[tuple[str, str], dict[int, float]]
) -> str | None:
    """Students whose test accuracy the seeds do not tell from this one's; None: too few seeds."""
    mine = list(tests.get((name, "finish"), {}).values())
    if len(mine) < 2:
        return None
    tied = []
    for other in others:
        theirs = list(tests.get((other, "finish"), {}).values())
        if other != name and len(theirs) > 1 and unpaired(mine, theirs).open:
            tied.append(other)
    return " ".join(tied)


def _cells(name: str, mean: Mean) -> dict[str, float | None]:
    return {f"{name}_mean": _known(mean.value), f"{name}_interval": _known(mean.half)}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
