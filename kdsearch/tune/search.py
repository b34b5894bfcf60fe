"""`run_search`: from a search file to a Pareto front."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from kdsearch.check import Summary, check_search
from kdsearch.proposing import make_proposer
from kdsearch.results.remote import WorkingCopy, is_address
from kdsearch.results.store import ResultStore
from kdsearch.search_config import SearchConfig, find_user_code, load_config
from kdsearch.tune.asha import Asha
from kdsearch.tune.closing import close_search, search_over
from kdsearch.tune.driver import Driver
from kdsearch.tune.finish import finish_front, finish_rest
from kdsearch.tune.opening import load_same, open_search, refuse_elsewhere
from kdsearch.tune.progress import SearchProgress
from kdsearch.tune.repeats import Asked
from kdsearch.tune.taught import record_teachers
from kdsearch.tune.warm_start import Source, read_earlier, warm
from kdsearch.tune.workers import Workers, hired


@dataclass(frozen=True)
class SearchResult:
    """What `run_search` gives.

    Attributes
    ----------
    folder : Path
        ``results/<search>``; of results at an address, their working copy on this machine.
    finished : bool
        False where it was interrupted; running it again goes on.
    place : str
        What a user calls the folder; an address has lost its secrets.
    """

    folder: Path
    finished: bool
    place: str = ""


def run_search(
    config: SearchConfig | str | os.PathLike[str] | Mapping[str, Any],
    *,
    results: str | os.PathLike[str] = "results",
    edits: Sequence[str] = (),
    earlier: Sequence[str | os.PathLike[str]] = (),
    address: str | None = None,
    baseline: int = 0,
    console: Console | None = None,
    quiet: bool = False,
) -> SearchResult:
    """Run a search, or go on with it, to the end of its budget.

    Parameters
    ----------
    config : SearchConfig, path or mapping
        A search file, or the same tree written in Python.
    results : path or str
        Where searches land; this one in ``results/<search>``. A folder, or an address that pyarrow
        reads: ``s3://bucket/folder``.
    edits : sequence of str
        ``key=value`` pairs applied to the file.
    earlier : sequence of path
        Folders or addresses of earlier searches, which this one begins with: the proposer is told
        of rows that are the same trainings, and the fronts of the others are tried first.
    address : str, optional
        A Ray cluster to join (``auto``); None starts Ray on this machine.
    baseline : int
        Number of seeds over which, after the search, the front's students are trained again, with
        their teacher and without it: `finish_search` on the front alone.
    console : Console, optional
        Where progress is shown.
    quiet : bool
        Show nothing.

    Returns
    -------
    SearchResult

    Raises
    ------
    UserError
        Bad input, before any worker starts; a disk that cannot be written, at once; or an address
        that does not answer for long.
    """
    if not isinstance(config, SearchConfig):
        config = load_config(config, edits)
    find_user_code(config.base)
    copy = WorkingCopy.at(str(results), config.fixed.search) if is_address(results) else None
    folder = copy.folder if copy else Path(results) / config.fixed.search
    with (
        open_search(folder, config, copy) as store,
        SearchProgress(console or Console(), quiet) as show,
    ):
        sources = read_earlier(earlier, config, store)
        asked = Asked(baseline, near=0.0) if baseline else None
        if _finished(config, store):
            show.say(f"{store.shown(folder)} is finished; a larger budget goes on with it")
            close_search(store, config, lambda: load_same(store, config, show.say))
            done = asked is None or finish_rest(store, config, asked, address, show)
            return SearchResult(folder, done, store.shown(folder))
        summary, data = check_search(config), load_same(store, config, show.say)
        with hired(config, summary, data, store, address, show) as workers:
            finished = _run(workers, store, sources, summary)
            if finished and asked is not None:
                finished = finish_front(workers, store, asked)
        driver_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        worker_mib = show.worker_rss_mib
        show.say(f"peak memory: driver {driver_mib:.0f} MiB, worker {worker_mib:.0f} MiB")
        if not finished:
            rows = len(store.history.rows)
            show.say(f"stopped with {rows} finished trials kept; the same command goes on")
        return SearchResult(folder, finished, store.shown(folder))


def _run(workers: Workers, store: ResultStore, sources: Sequence[Source], summary: Summary) -> bool:
    """The search itself; False where it was interrupted."""
    ground, show = workers.ground, workers.show
    config, fixed = ground.config, ground.config.fixed
    refuse_elsewhere(store, ground.meter)
    taught = [ground.teachers.get(t.model_dump_json()) for t, _, _ in summary.teachers]
    accuracy = max((t.validation_accuracy for t in taught if t is not None), default=1.0)
    record_teachers(store, ground, [(t, a) for t, a, _ in summary.teachers])
    inner = make_proposer(config, [a for _, a, _ in summary.teachers], accuracy)
    driver = Driver(
        ground,
        store,
        warm(inner, sources, ground, store, show),
        None if fixed.scheduler.name == "none" else Asha(fixed.objectives, fixed.scheduler),
    )
    finished = workers.run(driver)
    driver.pause()
    close_search(store, config, (lambda: ground.data) if finished else None)
    if driver.exhausted:
        show.say(driver.exhausted)
    return finished


def _finished(config: SearchConfig, store: ResultStore) -> bool:
    repeated = any(t["purpose"] not in ("search", "rerun") for t in store.history.running.values())
    return search_over(store, config) and not repeated
