"""The front of a search as files: ``front.parquet``, ``front.csv``, ``front.svg``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdsearch.errors import UserError
from kdsearch.results.log import fold, read_events
from kdsearch.results.pareto import DEFAULT_OBJECTIVES, pareto_front
from kdsearch.results.report import write_front_html, write_front_svg
from kdsearch.results.store import read_trials
from kdsearch.results.tables import frame_table, write_aside, write_table

if TYPE_CHECKING:
    import pandas as pd


def read_front(results: str | os.PathLike[str]) -> tuple[pd.DataFrame, pd.DataFrame, list[Any]]:
    """Trials, front and objectives of a search's folder, also while it runs.

    Returns
    -------
    trials, front : DataFrame
        The front with a column ``test_accuracy``, null until the search has ended.
    objectives : list of dict
        As the search file declares them.

    Raises
    ------
    UserError
        No search there, or one of a later version.
    """
    folder = Path(results)
    if not (folder / "log.jsonl").exists():
        raise UserError(str(folder), "holds no search; give the folder that `kdsearch run` printed")
    history = fold(read_events(folder / "log.jsonl"))
    declared = history.header.get("config", {}).get("objectives") or [
        {"name": name, "direction": direction, "scale": "log" if direction == "min" else "linear"}
        for name, direction in DEFAULT_OBJECTIVES
    ]
    pairs = [(o["name"], o["direction"]) for o in declared]
    trials = read_trials(folder)
    return trials, front_with_tests(trials, history.tests, pairs), declared


def front_with_tests(
    trials: pd.DataFrame, tests: Mapping[str, float], objectives: Sequence[tuple[str, str]]
) -> pd.DataFrame:
    """The front, with the test accuracies that have been read."""
    front = pareto_front(trials, objectives)
    measured = [tests.get(trial_id) for trial_id in front["trial_id"]]
    return front.assign(test_accuracy=measured).astype({"test_accuracy": "float64"})


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
    write_table(frame_table(front, folder / "trials.parquet"), folder / "front.parquet")
    write_aside(folder / "front.csv", lambda part: front.to_csv(part, index=False))
    sizes = [o for o in objectives if o["direction"] == "min"]
    size = sizes[0]["name"] if sizes else "parameters"
    log = not sizes or sizes[0].get("scale") == "log"
    write_front_svg(trials, front, folder / "front.svg", title, size, log)
    if html and not write_front_html(trials, front, folder / "front.html", title, size, log):
        raise UserError("--html", 'needs plotly: pip install "kdsearch[report]"')
