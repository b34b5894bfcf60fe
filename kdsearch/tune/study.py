"""The Optuna study of a search, rebuilt from its log."""

from __future__ import annotations

import os
from pathlib import Path

from kdsearch.errors import UserError
from kdsearch.proposers.base import Observation
from kdsearch.results.log import History, fold, read_events
from kdsearch.results.remote import reading
from kdsearch.search_config import SearchConfig, recorded_config
from kdsearch.tune.observe import observation


def write_study(results: str | os.PathLike[str], storage: str) -> tuple[int, str]:
    """Write every ended trial of a search to an Optuna storage.

    Parameters
    ----------
    storage : str
        A database URL: ``sqlite:///study.db``.

    Returns
    -------
    int, str
        The number of trials, and the name of the study.

    Raises
    ------
    UserError
        No search there, or a storage that cannot be written.
    """
    from kdsearch.proposers.optuna import export_study

    with reading(results) as place:
        history, config = read_search(place)
    objectives = config.fixed.objectives
    told: list[Observation] = [
        observation(history, row.trial_id, row.status, objectives)
        for row in history.rows
        if row.purpose == "search"
    ]
    name = config.fixed.search
    try:
        count = export_study(config.space, objectives, told, storage, name)
    except Exception as error:  # SQLAlchemy's and the drivers' errors have no common root
        line = " ".join(str(error).split())[:200]
        raise UserError("--storage", f"{storage}: {line}; write sqlite:///study.db") from None
    return count, name


def read_search(results: Path, code: Path | None = None) -> tuple[History, SearchConfig]:
    """History and config of a search's folder, whose own modules may stand in `code` alone.

    Raises
    ------
    UserError
        No search there, or one of a later version.
    """
    if not (results / "log.jsonl").exists():
        raise UserError(str(results), "holds no search; give the folder that `kdsearch run` made")
    history = fold(read_events(results / "log.jsonl"))
    if not history.header:
        raise UserError(str(results), "holds no search: its log is empty; run the search again")
    return history, recorded_config(history.header, results / "log.jsonl", code)
