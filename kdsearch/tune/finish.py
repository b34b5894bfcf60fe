"""`finish_search`: the front's students again, over seeds, so that luck counts for none of them."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from kdsearch.check import check_search
from kdsearch.errors import UserError
from kdsearch.own_code import permit_code
from kdsearch.results.finished import NEAR
from kdsearch.results.store import ResultStore
from kdsearch.search_config import SearchConfig, recorded_config
from kdsearch.tune.closing import close_search, search_over
from kdsearch.tune.driver import Driver
from kdsearch.tune.gate import now
from kdsearch.tune.opening import load_same, open_there, own_trials
from kdsearch.tune.progress import SearchProgress
from kdsearch.tune.repeats import Asked, missing_repeats, repeat_events
from kdsearch.tune.workers import Workers, hired


def finish_search(
    results: str | os.PathLike[str],
    *,
    seeds: int = 3,
    epochs: int | None = None,
    near: float = NEAR,
    baseline: bool = True,
    unfinished: bool = False,
    address: str | None = None,
    code: str | os.PathLike[str] | None = None,
    console: Console | None = None,
    quiet: bool = False,
) -> bool:
    """Train the students on and near a search's front again, over seeds; read test once of each.

    New rows have the purpose ``finish``; and ``baseline``, the same student from the same seed on
    labels alone. What is there already is not trained again, so the same call goes on after a
    break, and more `seeds` add to the former ones.

    Parameters
    ----------
    results : path
        The folder of the search: ``results/<search>``; or its address.
    seeds : int
        Repeats of each student.
    epochs : int, optional
        Of their schedule, instead of each one's own; the learning rate then anneals once, to its
        end. Means are over the repeats of the last number asked for.
    near : float
        Not the front alone, but also students that no front student, nowhere worse in the other
        objectives, beats by this much validation accuracy.
    baseline : bool
        Train each without its teacher too, unless it had none.
    unfinished : bool
        Also of a search that is not over: test is then read for the front as it stands, which the
        search may yet change.
    address : str, optional
        A Ray cluster to join (``auto``); None starts Ray on this machine.
    code : path, optional
        The folder of the modules that the search names as ``module:callable``; without it none is
        imported.
    console : Console, optional
        Where progress is shown.
    quiet : bool
        Show nothing.

    Returns
    -------
    bool
        False where it was interrupted.

    Raises
    ------
    UserError
        No search there or one without a front, one that is not over or that another process writes,
        or a number out of its bounds.
    """
    asked = Asked(seeds, epochs, near, baseline)
    with open_there(results) as store, SearchProgress(console or Console(), quiet) as show:
        header, shown = store.history.header, store.shown(store.folder)
        if not header:
            raise UserError(shown, "holds no search: its log is empty; run the search again")
        own = None if code is None else Path(code)
        config = recorded_config(header, store.folder / "log.jsonl", own)
        if not (unfinished or search_over(store, config)):
            raise UserError(shown, _not_over(store, config))
        permit_code([config.tree, *own_trials(store.history)], shown, own)
        return finish_rest(store, config, asked, address, show)


def finish_rest(
    store: ResultStore,
    config: SearchConfig,
    asked: Asked,
    address: str | None,
    show: SearchProgress,
) -> bool:
    """Train what is asked for and missing, Ray started where something is."""
    purposes = {trial["purpose"] for trial in store.history.running.values()}
    missing = missing_repeats(store, config.fixed.objectives, asked)
    if missing or not purposes.isdisjoint(("finish", "baseline")):
        summary, data = check_search(config), load_same(store, config)
        with hired(config, summary, data, store, address, show) as workers:
            return finish_front(workers, store, asked)
    _ask(store, asked)
    close_search(store, config, lambda: load_same(store, config))
    show.say(
        f"{store.shown(store.folder)} is finished over these seeds; more --seeds go on with it"
    )
    return True


def finish_front(workers: Workers, store: ResultStore, asked: Asked) -> bool:
    """Train what is asked for and missing; False where it was interrupted."""
    config = workers.ground.config
    driver = Driver(workers.ground, store)
    repeats = missing_repeats(store, config.fixed.objectives, asked)
    driver.enqueue(repeat_events(driver, repeats, asked.epochs))
    _ask(store, asked)
    if repeats:
        students = len({repeat.parent_id for repeat in repeats})
        workers.show.say(
            f"{students} students again over {asked.seeds} seeds: {len(repeats)} trainings to go"
        )
    finished = workers.run(driver)
    close_search(store, config, (lambda: workers.ground.data) if finished else None)
    return finished


def _not_over(store: ResultStore, config: SearchConfig) -> str:
    done = sum(row.purpose == "search" for row in store.history.rows)
    of = f"of {trials} " if (trials := config.fixed.budget.trials) else ""
    return (
        f"the search is not over: {done} {of}trials have ended, and test would "
        "be read for a front that may yet change; `kdsearch run` with its file goes on with it, "
        "--unfinished takes the front as it stands"
    )


def _ask(store: ResultStore, asked: Asked) -> None:
    """Record what means are to be taken over, where it is new."""
    last = {name: store.history.finish.get(name) for name in asdict(asked)}
    if not store.history.finish or last != asdict(asked):
        store.append({"event": "finish", **asdict(asked), "at": now()})
