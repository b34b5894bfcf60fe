"""A search on the grid's table: the product's driver, proposers and scheduler, another clock."""

from __future__ import annotations

import heapq
import random
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grid_table import Table

from kdsearch.data import load_data
from kdsearch.proposers import Done, Proposer, build_proposer
from kdsearch.results.records import EpochReport
from kdsearch.search_config import SearchConfig
from kdsearch.search_sections import ObjectiveConfig, SchedulerConfig
from kdsearch.tune.asha import Asha
from kdsearch.tune.driver import Driver
from kdsearch.tune.gate import Ground, Taught
from kdsearch.tune.launch import Launch
from kdsearch.tune.opening import open_search
from kdsearch.tune.scheduler import Decision

TAUGHT = Taught("recorded", 0.98)
# The log is written as in a real search; on a disk in memory twenty seeds are done sooner.
FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None


@dataclass
class Trace:
    """What a search did.

    Attributes
    ----------
    ends : list of (int, float, int)
        Of every completed trial: epochs that the search had used by then, simulated seconds, and
        the table's row.
    epochs : int
        Used in all.
    seconds : list of (float, float)
        Driver time by trial, in the order of their starts: ask, gate, decide, tell, append. Of the
        processor, and on the wall.
    memory_mib : list of float
        The process's peak when each trial started.
    """

    ends: list[tuple[int, float, int]] = field(default_factory=list)
    epochs: int = 0
    seconds: list[tuple[float, float]] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)

    def rows(self, epochs: int) -> list[int]:
        """Rows of the trials that were complete after so many epochs."""
        return [row for used, _, row in self.ends if used <= epochs]


def simulate(
    table: Table,
    config: SearchConfig,
    workers: int,
    *,
    accuracy_alone: bool = False,
    told: str = "",
    proposer: Proposer | None = None,
    watch: Callable[[Driver], None] = lambda _: None,
) -> Trace:
    """Run a search to the end of its budget on so many simulated workers.

    Parameters
    ----------
    accuracy_alone : bool
        Show the scheduler nothing but accuracy.
    told : str
        What the proposer is told of stopped trials, as its ``stopped`` says; empty: its default.
    proposer : Proposer, optional
        Asked instead of the one that the config names.
    watch : callable
        Given the driver before it begins.
    """
    fixed, scheduler = config.fixed, None
    with (
        tempfile.TemporaryDirectory(dir=FOLDER) as place,
        open_search(Path(place) / "search", config) as store,
    ):
        if proposer is None:
            proposer = build_proposer(fixed.proposer, config.space, fixed.objectives, fixed.seed)
        if told:
            again: Any = type(proposer)
            proposer = again(config.space, fixed.objectives, fixed.seed, stopped=told)
        if fixed.scheduler.name != "none":
            kind = _AccuracyAlone if accuracy_alone else Asha
            scheduler = kind(fixed.objectives, fixed.scheduler)
        driver = Driver(_ground(config), store, proposer, scheduler)
        watch(driver)
        return _Clock(table, driver).run(workers)


def _ground(config: SearchConfig) -> Ground:
    plans = [plan for _, plan in config.plans()]
    data = load_data(plans[0].data, config.base)
    teachers = {plan.teacher.model_dump_json(): TAUGHT for plan in plans if plan.teacher}
    return Ground(config, data, "recorded", teachers)


class _AccuracyAlone(Asha):
    """Successive halving as it is mostly done."""

    def __init__(self, objectives: Sequence[ObjectiveConfig], scheduler: SchedulerConfig) -> None:
        super().__init__([o.model_copy(update={"slack": 0.0}) for o in objectives[:1]], scheduler)

    def report(self, trial_id: str, epoch: int, values: Sequence[float]) -> Decision:
        return super().report(trial_id, epoch, values[:1])


class _Clock:
    def __init__(self, table: Table, driver: Driver) -> None:
        self.table, self.driver, self.trace = table, driver, Trace()
        self.spent: dict[str, tuple[float, float]] = {}
        self.row_of: dict[str, int] = {}
        self.rng = random.Random(driver.ground.config.fixed.seed)

    def run(self, workers: int) -> Trace:
        now, free, over = 0.0, workers, False
        events: list[tuple[float, int, Launch, int, int]] = []
        while True:
            while free and not over:
                started = _clocks()
                launch = self.driver.next()
                if not isinstance(launch, Launch):
                    over = isinstance(launch, Done)
                    break
                self._charge(launch.trial_id, started)
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                self.trace.memory_mib.append(peak)
                done = int(launch.state or 0)
                self._push(events, now, launch, self._row(launch.trial_id), done + 1)
                free -= 1
            if not events:
                self.trace.seconds = list(self.spent.values())
                return self.trace
            now, _, launch, row, epoch = heapq.heappop(events)
            if self._goes_on(launch, row, epoch, now):
                self._push(events, now, launch, row, epoch + 1)
            else:
                free += 1

    def _row(self, trial_id: str) -> int:
        """The recorded training that a trial goes through: one of its assignment's seeds."""
        if trial_id not in self.row_of:
            rows = self.table.rows(self.driver.running[trial_id]["assignment"])
            self.row_of[trial_id] = self.rng.choice(rows)
        return self.row_of[trial_id]

    def _push(self, events: list[Any], now: float, launch: Launch, row: int, epoch: int) -> None:
        at = now + self.table.seconds[row]
        heapq.heappush(events, (at, int(launch.trial_id), launch, row, epoch))

    def _goes_on(self, launch: Launch, row: int, epoch: int, now: float) -> bool:
        self.trace.epochs += 1
        accuracy = float(self.table.curves[row, epoch - 1])
        started = _clocks()
        state = str(epoch).encode() if self.driver.pauses else None
        decision = self.driver.report(launch.trial_id, _report(epoch, accuracy), state=state)
        last = epoch == launch.spec.plan.training.last_epoch
        if last:
            self.driver.end(launch.trial_id, "complete")
        elif decision != "continue":
            self.driver.leave(launch.trial_id, seconds=1.0)
        self._charge(launch.trial_id, started)
        if last:
            self.trace.ends.append((self.trace.epochs, now, row))
        return decision == "continue" and not last

    def _charge(self, trial_id: str, started: tuple[float, float]) -> None:
        spent = (now - then for now, then in zip(_clocks(), started, strict=True))
        before = self.spent.get(trial_id, (0.0, 0.0))
        one, other = (a + b for a, b in zip(before, spent, strict=True))
        self.spent[trial_id] = one, other


def _clocks() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def _report(epoch: int, accuracy: float) -> EpochReport:
    return EpochReport(epoch, 1.0, {"label": 1.0}, accuracy, 1.0, 0.1, 1.0)
