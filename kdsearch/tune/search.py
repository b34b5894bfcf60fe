"""`run_search`: from a search file to a Pareto front."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdsearch.tune import cluster  # before Ray: sets what Ray reads when it is imported

import ray  # isort: skip
from ray import tune
from rich.console import Console

from kdsearch.check import Summary, check_search
from kdsearch.data import ImageData, load_data
from kdsearch.errors import UserError
from kdsearch.proposers import build_proposer
from kdsearch.results.store import ResultStore
from kdsearch.search_config import SearchConfig, find_user_code, load_config
from kdsearch.teachers import TeacherRecord
from kdsearch.tune.adapters import fit
from kdsearch.tune.asha import Asha
from kdsearch.tune.baseline import baseline_trials
from kdsearch.tune.driver import Driver
from kdsearch.tune.finish import finish_search
from kdsearch.tune.gate import Ground, Taught
from kdsearch.tune.opening import open_search, write_environment
from kdsearch.tune.progress import SearchProgress
from kdsearch.tune.teachers import on_cluster, prepare_teacher
from kdsearch.tune.trainable import StudentTrial


@dataclass(frozen=True)
class SearchResult:
    """What `run_search` gives.

    Attributes
    ----------
    folder : Path
        ``results/<search>``.
    finished : bool
        False where it was interrupted; running it again goes on.
    """

    folder: Path
    finished: bool


def run_search(
    config: SearchConfig | str | os.PathLike[str] | Mapping[str, Any],
    *,
    results: str | os.PathLike[str] = "results",
    edits: Sequence[str] = (),
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
    results : path
        Where searches land; this one in ``results/<search>``.
    edits : sequence of str
        ``key=value`` pairs applied to the file.
    address : str, optional
        A Ray cluster to join (``auto``); None starts Ray on this machine.
    baseline : int
        Number of seeds over which, after the search, the front's students are trained again, with
        their teacher and without it (rows of purpose ``finish`` and ``baseline``).
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
        Bad input, before any worker starts; or a disk that cannot be written, at once.
    """
    if not isinstance(config, SearchConfig):
        config = load_config(config, edits)
    find_user_code(config.base)
    folder = Path(results) / config.fixed.search
    with open_search(folder, config) as store, SearchProgress(console or Console(), quiet) as show:
        if _finished(config, store) and not baseline:
            show.say(f"{folder} is finished; a larger budget goes on with it")
            finish_search(store, config, lambda: _load(config, store))
            return SearchResult(folder, True)
        summary = check_search(config)
        data = _load(config, store)
        started = cluster.start(config, address)
        try:
            return _run(config, summary, data, store, Path(results), baseline, show)
        finally:
            if started:
                ray.shutdown()


def _run(
    config: SearchConfig,
    summary: Summary,
    data: ImageData,
    store: ResultStore,
    results: Path,
    baseline: int,
    show: SearchProgress,
) -> SearchResult:
    taken = cluster.share(config.fixed.resources)
    data_id = data.id
    write_environment(store.folder, data_id, ray.cluster_resources())
    shared = ray.put(data)
    teachers, taught = _teachers(config, summary, data, shared, results, taken, show)
    ground = Ground(
        config=config,
        data=data,
        data_id=data_id,
        teachers=taught,
        threads=max(1, int(taken["cpu"])),
        gpus=taken["gpu"],
    )
    fixed = config.fixed
    driver = Driver(
        ground,
        store,
        build_proposer(fixed.proposer.name, config.space, fixed.objectives, fixed.seed),
        None if fixed.scheduler.name == "none" else Asha(fixed.objectives, fixed.scheduler),
    )
    trainable = tune.with_resources(
        tune.with_parameters(
            StudentTrial, data=shared, teachers=teachers, device=cluster.device_of(taken)
        ),
        taken,
    )
    finished = _fit(driver, trainable, cluster.slots(taken), show)
    driver.pause()
    finish_search(store, config, (lambda: data) if finished else None)
    if finished and baseline:
        again = Driver(ground, store)
        again.enqueue(baseline_trials(again, baseline))
        finished = _fit(again, trainable, cluster.slots(taken), show)
    if driver.exhausted:
        show.say(driver.exhausted)
    driver_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    show.say(f"peak memory: driver {driver_mib:.0f} MiB, worker {show.worker_rss_mib:.0f} MiB")
    if not finished:
        rows = len(store.history.rows)
        show.say(f"stopped with {rows} finished trials kept; the same command goes on")
    return SearchResult(store.folder, finished)


def _finished(config: SearchConfig, store: ResultStore) -> bool:
    history = store.history
    done = sum(row.purpose == "search" for row in history.rows)
    in_flight = any(t["purpose"] != "rerun" for t in history.running.values())
    if not history.rows or in_flight or history.resting:
        return False
    spent = config.fixed.budget.spent(done, history.epoch_count, history.seconds)
    return spent or history.exhausted is not None


def _teachers(
    config: SearchConfig,
    summary: Summary,
    data: ImageData,
    shared: Any,
    results: Path,
    taken: dict[str, float],
    show: SearchProgress,
) -> tuple[dict[str, TeacherRecord], dict[str, Taught]]:
    records: dict[str, TeacherRecord] = {}
    taught: dict[str, Taught] = {}
    plan = next(iter(config.plans()))[1]
    for section, architecture, _ in summary.teachers:
        record = prepare_teacher(
            section,
            architecture,
            plan.data,
            data,
            results / "teachers",
            config.base,
            show.teacher,
            on_cluster(shared, taken),
            max(1, int(taken["cpu"])),
        )
        show.say(f"teacher {record.identity}: validation accuracy {record.validation_accuracy:.4f}")
        records[record.identity] = record
        key = section.model_dump_json()
        taught[key] = Taught(record.identity, record.validation_accuracy)
    return records, taught


def _fit(driver: Driver, trainable: Any, slots: int, show: SearchProgress) -> bool:
    """Run the driver's trials on Ray; False where it was interrupted."""
    peak = fit(driver, trainable, slots, show.watch(driver))
    show.worker_rss_mib = max(show.worker_rss_mib, peak)
    driver.store.flush(force=True)
    return driver.finished


def _load(config: SearchConfig, store: ResultStore) -> ImageData:
    """The data, the same as when the search was started."""
    data = load_data(next(iter(config.plans()))[1].data, config.base)
    _same_data(store, data.id)
    return data


def _same_data(store: ResultStore, data_id: str) -> None:
    for trial in store.history.trials.values():
        if trial["data_id"] != data_id and trial["purpose"] != "rerun":
            raise UserError(
                "data",
                f"the files have changed since {store.folder} was started (then {trial['data_id']},"
                f" now {data_id}); restore them, or give the search another name",
            )
        return
