"""Ray with a search's data and teachers on it, ready to run the trials of any driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kdsearch.tune import cluster  # before Ray: sets what Ray reads when it is imported

import ray  # isort: skip
from ray import tune

from kdsearch.check import Summary
from kdsearch.data import ImageData
from kdsearch.meter import Meter
from kdsearch.results.store import ResultStore
from kdsearch.search_config import SearchConfig
from kdsearch.teachers import Stock, TeacherRecord, TeacherStore
from kdsearch.tune.adapters import fit
from kdsearch.tune.collecting import short_collections
from kdsearch.tune.driver import Driver
from kdsearch.tune.gate import Ground, Taught
from kdsearch.tune.opening import write_environment
from kdsearch.tune.progress import SearchProgress
from kdsearch.tune.resources import on_cluster as try_on_cluster
from kdsearch.tune.resources import settle
from kdsearch.tune.seen import check_seen
from kdsearch.tune.stores import on_cluster as stores_on_cluster
from kdsearch.tune.stores import prepare_store, travelling
from kdsearch.tune.teachers import fetch_teachers, on_cluster, prepare_teacher
from kdsearch.tune.trainable import StudentTrial


class Workers:
    """Run the trials of a driver.

    Attributes
    ----------
    ground : Ground
        What the rows of the search share.
    """

    def __init__(self, ground: Ground, trainable: Any, slots: int, show: SearchProgress) -> None:
        self.ground, self.show = ground, show
        self._trainable, self._slots = trainable, slots

    def run(self, driver: Driver) -> bool:
        """Run the driver's trials on Ray; False where it was interrupted."""
        watch = self.show.watch(driver)
        if driver.flight.most < self._slots:
            most = f"{driver.flight.most:g} trials at a time"
            self.show.say(f"memory: at most {most} at first, for more ran out of it here before")
        with short_collections():
            peak = fit(driver, self._trainable, self._slots, watch, self.show.say)
        self.show.worker_rss_mib = max(self.show.worker_rss_mib, peak)
        driver.store.flush(force=True)
        return driver.finished


@contextmanager
def hired(
    config: SearchConfig,
    summary: Summary,
    data: ImageData,
    store: ResultStore,
    address: str | None,
    show: SearchProgress,
) -> Iterator[Workers]:
    """Start Ray or join it, share the data, prepare the teachers; end what was started here.

    Raises
    ------
    UserError
        No cluster at the address, more asked for than it has, or a teacher that cannot be made.
    """
    meter = Meter(config.fixed.measured, store.history.trials.values())
    started = cluster.start(config, address)
    try:
        check_seen(data)
        taken = cluster.share(config.fixed.resources)
        data_id = data.id
        write_environment(store.folder, data_id, ray.cluster_resources())
        shared = ray.put(data)
        fetch_teachers(store, config, summary, data_id)
        folder = store.folder.parent / "teachers"
        teachers, taught = _teachers(config, summary, data, shared, folder, taken, show)
        kept = _stores(summary.stock, teachers, data, data_id, shared, folder, taken, show)
        stores, records = ray.put(kept), ray.put(teachers)
        ground = Ground(
            config=config,
            data=data,
            data_id=data_id,
            teachers=taught,
            store=summary.stock.config,
            meter=meter,
            place=cluster.place(),
            nodes=cluster.nodes(),
        )
        run = try_on_cluster(shared, records, stores, taken)
        taken = settle(ground, store, taken, run, show.say)
        ground.threads, ground.gpus = max(1, int(taken["cpu"])), taken["gpu"]
        device = cluster.device_of(taken)
        trainable = tune.with_parameters(
            StudentTrial, data=shared, teachers=records, device=device, stores=stores
        )
        trainable = tune.with_resources(trainable, taken)
        with meter:
            yield Workers(ground, trainable, cluster.slots(taken), show)
    finally:
        if started:
            ray.shutdown()


def _teachers(
    config: SearchConfig,
    summary: Summary,
    data: ImageData,
    shared: Any,
    folder: Path,
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
            folder,
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


def _stores(
    stock: Stock,
    teachers: dict[str, TeacherRecord],
    data: ImageData,
    data_id: str,
    shared: Any,
    folder: Path,
    taken: dict[str, float],
    show: SearchProgress,
) -> dict[tuple[str, str], TeacherStore]:
    """What is kept of every teacher under every augmentation, as workers are to get it."""
    if teachers:
        show.say(str(stock))
    compute = stores_on_cluster(shared, taken)
    return {
        (name, augment): travelling(
            prepare_store(stock, record, augment, data, data_id, folder, show.say, compute)
        )
        for name, record in teachers.items()
        for augment in stock.augments
    }
