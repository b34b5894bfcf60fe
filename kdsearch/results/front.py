"""The front of a search as files: ``front.parquet``, ``front.csv``, ``front.svg``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdsearch.errors import UserError
from kdsearch.results.finished import FINISH_COLUMNS, finished_near, with_repeats
from kdsearch.results.log import History, fold, read_events
from kdsearch.results.pareto import DEFAULT_OBJECTIVES, pareto_front
from kdsearch.results.remote import reading
from kdsearch.results.report import write_front_html, write_front_svg
from kdsearch.results.store import read_trials
from kdsearch.results.tables import frame_table, write_aside, write_table

if TYPE_CHECKING:
    import pandas as pd


def read_front(results: str | os.PathLike[str]) -> tuple[pd.DataFrame, pd.DataFrame, list[Any]]:
    """Trials, front and objectives of a search's folder or address, also while it runs.

    Returns
    -------
    trials, front : DataFrame
        The front with a column ``test_accuracy``, null until the search has ended; and once its
        students have been trained again over seeds, with those of `FINISH_COLUMNS`.
    objectives : list of dict
        As the search file declares them.

    Raises
    ------
    UserError
        No search there, or one of a later version.
    """
    with reading(results) as folder:
        return _front(folder)


def _front(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, list[Any]]:
    history = _history(folder)
    declared = history.header.get("config", {}).get("objectives") or [
        {"name": name, "direction": direction, "scale": "log" if direction == "min" else "linear"}
        for name, direction in DEFAULT_OBJECTIVES
    ]
    pairs = [(o["name"], o["direction"]) for o in declared]
    trials = read_trials(folder)
    return trials, front_with_tests(trials, history, pairs), declared


def read_near(
    results: str | os.PathLike[str], trials: pd.DataFrame, front: pd.DataFrame
) -> pd.DataFrame:
    """The students near the front that have been trained again over seeds.

    Parameters
    ----------
    trials, front : DataFrame
        As `read_front` gives them.
    """
    with reading(results) as folder:
        return finished_near(trials, front, _history(folder))


def front_with_tests(
    trials: pd.DataFrame, history: History, objectives: Sequence[tuple[str, str]]
) -> pd.DataFrame:
    """The front, with the test accuracies that have been read, and what its repeats say."""
    front = pareto_front(trials, objectives)
    measured = [history.tests.get(trial_id) for trial_id in front["trial_id"]]
    front = front.assign(test_accuracy=measured).astype({"test_accuracy": "float64"})
    return with_repeats(front, history)


def write_front(
    trials: pd.DataFrame,
    front: pd.DataFrame,
    objectives: Sequence[Mapping[str, Any]],
    folder: Path,
    title: str,
    html: bool = False,
) -> None:
    """Write ``front.parquet``, ``front.csv`` and ``front.svg``; and a page, ``front.html``.

    Parameters
    ----------
    objectives : sequence of mapping
        As `read_front` gives them; the first to be minimised is the pictures' horizontal axis.
    folder : Path
        The search's, in which its ``trials.parquet`` stands.

    Raises
    ------
    UserError
        A disk that cannot be written.
    """
    write_rows(front, folder, "front")
    sizes = [o for o in objectives if o["direction"] == "min"]
    size = sizes[0]["name"] if sizes else "parameters"
    log = not sizes or sizes[0].get("scale") == "log"
    write_front_svg(trials, front, folder / "front.svg", title, size, log)
    if html and not write_front_html(trials, front, folder / "front.html", title, size, log):
        raise UserError("--html", 'needs plotly: pip install "kdsearch[report]"')


def write_rows(rows: pd.DataFrame, folder: Path, name: str) -> None:
    """Write rows of a search as ``<name>.parquet`` and ``<name>.csv``.

    Raises
    ------
    UserError
        A disk that cannot be written.
    """
    table = frame_table(rows, folder / "trials.parquet", FINISH_COLUMNS)
    write_table(table, folder / f"{name}.parquet")
    write_aside(folder / f"{name}.csv", lambda part: rows.to_csv(part, index=False))


def _history(folder: Path) -> History:
    if not (folder / "log.jsonl").exists():
        raise UserError(str(folder), "holds no search; give the folder that `kdsearch run` printed")
    return fold(read_events(folder / "log.jsonl"))
