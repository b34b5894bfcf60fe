"""The searches that a report shows: read, named and checked against each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdsearch.errors import UserError
from kdsearch.results.finished import finished_near, with_repeats
from kdsearch.results.log import History, fold, read_events
from kdsearch.results.pareto import DEFAULT_OBJECTIVES, left_out, pareto_front
from kdsearch.results.pareto.comparable import FAULTS, marks, values_of
from kdsearch.results.pareto.objectives import scale_of
from kdsearch.results.records import TOLD_APART
from kdsearch.results.store import read_epochs, read_trials
from kdsearch.results.tables import LATER, TRIAL_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

Objective = tuple[str, str, str]


@dataclass(frozen=True)
class Search:
    """One search of a report.

    Attributes
    ----------
    name : str
        Of its folder, with as many parents as tell it from the others.
    trials : DataFrame
        Rows of the search itself, in the order in which they ended; never empty.
    epochs : DataFrame or None
        None where only ``trials.parquet`` was kept.
    holes : list of str
        Columns of the trials that were searched.
    objectives : tuple of (name, direction, scale)
        The same for all searches of a report: the first one's.
    config : dict
        The search file; empty where no log was kept.
    tests : dict of str to float
        Test accuracy by trial, where it has been read.
    unscaled : frozenset of str
        Trials with a value that has no place on a log scale: it is null here.
    finished : list of DataFrame
        The front, and students near it, with what repeats over seeds say of them; none without.
    history : History
        What the log says; empty where none was kept.
    """

    name: str
    trials: pd.DataFrame
    epochs: pd.DataFrame | None
    holes: list[str]
    objectives: tuple[Objective, ...]
    config: dict[str, Any] = field(default_factory=dict)
    tests: dict[str, float] = field(default_factory=dict)
    unscaled: frozenset[str] = frozenset()
    finished: list[pd.DataFrame] = field(default_factory=list)
    history: History = field(default_factory=History)

    @cached_property
    def front(self) -> pd.DataFrame:
        """The search's front, the smallest student first."""
        return pareto_front(self.trials, self.objectives, mix_data=True)

    @cached_property
    def left_out(self) -> int:
        """Complete trials that lack an objective."""
        rows = left_out(self.trials, self.objectives)
        return len(set(rows["trial_id"]) - self.unscaled)

    @property
    def height(self) -> Objective:
        """The objective of vertical axes: the first to be maximised, accuracy as a rule."""
        return next((o for o in self.objectives if o[1] == "max"), self.objectives[0])

    @property
    def sizes(self) -> tuple[Objective, ...]:
        """The objectives of horizontal axes: all others; parameters where there is no other."""
        others = tuple(o for o in self.objectives if o != self.height)
        return others or (("parameters", "min", "log"),)


def read_searches(folders: Sequence[Path], mix_data: bool = False) -> list[Search]:
    """Read the folders of searches.

    Parameters
    ----------
    folders : sequence of path
        Each with ``trials.parquet``; with ``epochs.parquet`` and ``log.jsonl`` where they are kept.
    mix_data : bool
        Whether searches on different data, or measured differently, may stand in one picture.

    Raises
    ------
    UserError
        A folder without results or given twice, a search without a row, one of a later version, or
        trials that cannot be compared: on different data, or measured on different devices.
    """
    places = [folder.resolve() for folder in folders]
    for place in places:
        if places.count(place) > 1:
            raise UserError(str(place), "given twice; give each search once")
    searches: list[Search] = []
    for place, name in zip(places, _names(places), strict=True):
        searches.append(_read(place, name, searches[0].objectives if searches else None))
    if not mix_data and (mixed := mixtures(searches)):
        fault = f"{mixed[0]}; they cannot be compared, --mix-data draws them"
        raise UserError("report", fault)
    return searches


def mixtures(searches: Sequence[Search]) -> list[str]:
    """What keeps these searches, drawn by the first one's axes, from being compared; in words."""
    faults: list[str] = []
    for mark in marks(name for name, *_ in (searches[0].height, *searches[0].sizes)):
        holders: dict[str, list[str]] = {}
        for search in searches:
            for value in values_of(search.trials, mark):
                holders.setdefault(value, []).append(search.name)
        if len(holders) > 1:
            said = "; ".join(f"{v} in {', '.join(holders[v])}" for v in sorted(holders))
            faults.append(f"{FAULTS[mark]}: {said}")
    return faults


def _read(folder: Path, name: str, objectives: tuple[Objective, ...] | None) -> Search:
    log = folder / "log.jsonl"
    history = fold(read_events(log)) if log.exists() else History()
    trials = read_trials(folder)
    trials = trials.loc[trials["purpose"] == "search"].reset_index(drop=True)
    for mark in LATER.keys() & TOLD_APART.values():  # a table of an earlier kdsearch has none
        said = {trial_id: trial.get(mark) for trial_id, trial in history.trials.items()}
        if trials[mark].isna().all() and said:
            trials[mark] = trials["trial_id"].map(said)
    if not len(trials):
        raise UserError(str(folder), "no trial has ended yet; there is nothing to report")
    epochs = read_epochs(folder) if (folder / "epochs.parquet").exists() else None
    config = history.header.get("config", {})
    columns = history.header.get("columns")
    if columns is None:  # a hole is named by its path, a measure by a word
        columns = [c for c in trials if c not in TRIAL_COLUMNS and ("." in c or "[" in c)]
    search = Search(
        name=name,
        trials=trials,
        epochs=epochs,
        holes=[column for column in columns if column in trials],
        objectives=objectives or _declared(config),
        config=config,
        tests=history.tests,
        history=history,
    )
    for objective, *_ in (search.height, *search.sizes):
        if objective not in trials:
            fault = f"{objective}, an objective of the first search, is no column here"
            raise UserError(str(folder), f"{fault}; give searches with equal objectives")
    search = _on_scale(search)
    students = (with_repeats(search.front, history), finished_near(trials, search.front, history))
    again = [rows for rows in students if len(rows) and "finish_seeds" in rows]
    return replace(search, finished=again)


def _on_scale(search: Search) -> Search:
    """Without the values that a log scale has no place for: 0 and less."""
    trials, lost = search.trials, set[str]()
    for name, _, scale in (search.height, *search.sizes):
        nowhere = trials[name].to_numpy(dtype=float, na_value=math.nan) <= 0
        if scale == "log" and nowhere.any():
            lost |= set(trials.loc[nowhere, "trial_id"])
            trials = trials.assign(**{name: trials[name].mask(nowhere).astype("float64")})
    return replace(search, trials=trials, unscaled=frozenset(lost))


def _declared(config: dict[str, Any]) -> tuple[Objective, ...]:
    if "objectives" not in config:
        return tuple((*pair, scale_of(pair)) for pair in DEFAULT_OBJECTIVES)
    return tuple(
        (o["name"], o["direction"], o.get("scale", "linear")) for o in config["objectives"]
    )


def _names(places: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that differ."""
    for depth in range(1, max(len(place.parts) for place in places) + 1):
        names = ["/".join(place.parts[-depth:]) for place in places]
        if len(set(names)) == len(names):
            return names
    return [str(place) for place in places]
