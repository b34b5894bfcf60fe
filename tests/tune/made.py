"""Searches without Ray: a small config, a made-up data set, trials played by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from kdsearch.config import TrialSpec
from kdsearch.data import ImageData, load_data
from kdsearch.proposers import Observation, Proposal
from kdsearch.results.log import EventLog, read_events
from kdsearch.results.records import EpochReport
from kdsearch.results.store import ResultStore
from kdsearch.search_config import SearchConfig, load_config
from kdsearch.students import describe
from kdsearch.teachers import TeacherRecord, TeacherStore, weights_to_bytes
from kdsearch.trial import Surroundings, train_to_end
from kdsearch.tune.asha import Asha
from kdsearch.tune.driver import Driver
from kdsearch.tune.gate import Ground, Taught
from kdsearch.tune.launch import Launch
from kdsearch.tune.opening import open_search
from kdsearch.tune.repeats import Asked, missing_repeats, repeat_events
from kdsearch.tune.scheduler import Scheduler
from kdsearch.tune.teachers import prepare_teacher
from tests.data.made import made_data

DATA = made_data(per_class=8, classes=10)
WIDTHS = [4, 9, 30, 4, 2, 39, 16, 9, 20, 7, 25, 12]  # some too wide, some twice
FIRST = [4, 9, 2, 16, 20, 7]  # of those that may run
WIDTH, LR = "student.widths[0]", "training.lr"
NAN = float("nan")
STATE = b"after epoch "


def tree(**changes: Any) -> dict[str, Any]:
    """A search over one width and a learning rate."""
    return {
        "search": "made",
        "data": {"name": "digits", "batch_size": 16},
        "student": {"family": "mlp", "widths": {"each": 1, "int": [1, 40]}},
        "training": {"epochs": 4, "lr": {"float": [0.01, 0.1]}},
        "constraints": {"parameters": 2000},  # of widths up to 26
        "scheduler": {"name": "asha", "grace": 1, "reduction": 2},
        "budget": {"trials": 6},
        **changes,
    }


def made_config(**changes: Any) -> SearchConfig:
    return load_config(tree(**changes))


def made_ground(config: SearchConfig, place: str = "") -> Ground:
    return Ground(config, DATA, "d0", {}, place=place)


class Listed:
    """Proposes widths of a list in turn, from the first one on after every start."""

    finite = False

    def __init__(self, widths: list[int]) -> None:
        self.left = iter(widths)
        self.told: list[Observation] = []

    def propose(self, trial_id: str) -> Proposal:
        return Proposal({WIDTH: next(self.left), LR: 0.05})

    def propose_random(self, trial_id: str) -> Proposal:
        return self.propose(trial_id)

    def observe(self, observation: Observation) -> None:
        self.told.append(observation)


@contextmanager
def made_driver(
    folder: Path,
    config: SearchConfig,
    proposer: Any = None,
    scheduled: bool | Scheduler = True,
    place: str = "",
) -> Iterator[Driver]:
    """A driver on a folder, as `run_search` makes one."""
    asha = Asha(config.fixed.objectives, config.fixed.scheduler)
    scheduler = asha if scheduled is True else scheduled or None
    with open_search(folder, config) as store:
        yield Driver(made_ground(config, place), store, proposer, scheduler)


def made_report(epoch: int, accuracy: float, loss: float = 1.0) -> EpochReport:
    return EpochReport(epoch, loss, {"label": loss}, accuracy, loss, 0.1, 2.0)


def learn(spec: TrialSpec) -> Iterator[EpochReport]:
    """Reports that depend on the spec alone, as those of a real training do."""
    for epoch in range(1, spec.plan.training.last_epoch + 1):
        digest = hashlib.sha256(f"{spec.architecture}{spec.seed}{epoch}".encode()).digest()
        yield made_report(epoch, (epoch + digest[0] / 256) / 10)


def mixed(spec: TrialSpec) -> Iterator[EpochReport]:
    """A training that ends in every way there is."""
    width = spec.plan.student["widths"][0]
    if width == 2:
        raise RuntimeError("the factory is broken")
    for report in learn(spec):
        yield report if width != 16 else made_report(report.epoch, 0.1, loss=NAN)


Train = Callable[[TrialSpec], Iterator[EpochReport]]


def play(driver: Driver, slots: int = 2, train: Train = learn) -> list[Launch]:
    """Run all that the driver gives, epoch by epoch in turn, as workers would."""
    launched: list[Launch] = []
    working: dict[str, tuple[Launch, Iterator[EpochReport]]] = {}
    while True:
        while len(working) < slots and isinstance(launch := driver.next(), Launch):
            launched.append(launch)
            working[launch.trial_id] = launch, islice(train(launch.spec), _done(launch), None)
        if not working:
            return launched
        for trial_id, (launch, training) in list(working.items()):
            if not _step(driver, launch, training):
                del working[trial_id]


def _done(launch: Launch) -> int:
    """Epochs that a trial has behind it: what the states here say."""
    return 0 if launch.state is None else int(launch.state.removeprefix(STATE))


def _step(driver: Driver, launch: Launch, training: Iterator[EpochReport]) -> bool:
    """One epoch of one trial; False where it was the last."""
    try:
        report = next(training)
    except RuntimeError as error:
        driver.end(launch.trial_id, "failed", error=str(error))
        return False
    if report.train_loss != report.train_loss:
        driver.end(launch.trial_id, "diverged", reports=[report])
        return False
    if report.epoch == launch.spec.plan.training.last_epoch:
        weights = launch.trial_id.encode()
        driver.end(launch.trial_id, "complete", reports=[report], weights=weights)
        return False
    state = STATE + str(report.epoch).encode()
    decision = driver.report(launch.trial_id, report, state=state)
    if decision == "continue":
        return True
    else:
        driver.leave(launch.trial_id, seconds=1.0)
    return False


def started(driver: Driver) -> Launch:
    """The next trial, which there must be."""
    launch = driver.next()
    assert isinstance(launch, Launch)
    return launch


def enqueue_repeats(driver: Driver, seeds: int = 1, **asked: Any) -> list[dict[str, Any]]:
    """Have the front's students trained again; the events of those that are to start."""
    wanted = Asked(seeds, **{"near": 0.0, **asked})
    repeats = missing_repeats(driver.store, driver.objectives, wanted)
    events = repeat_events(driver, repeats, wanted.epochs)
    driver.enqueue(events)
    return events


def log_of(folder: Path) -> list[bytes]:
    return (folder / "log.jsonl").read_bytes().splitlines(keepends=True)


def rewrite(folder: Path, change: Callable[[list[dict]], list[dict]]) -> None:
    """A log whose writer had written other events: its sums are as they should be."""
    events = change(events_of(folder))
    (folder / "log.jsonl").unlink()
    log = EventLog(folder / "log.jsonl")
    log.append(*events)
    log.close()


def events_of(folder: Path, kind: str | None = None) -> list[dict]:
    """Events of a search's log, of one kind or all."""
    events = read_events(folder / "log.jsonl")
    return [event for event in events if kind in (None, event["event"])]


def rows(store: ResultStore) -> list[str]:
    """Ids of the search's own rows."""
    return [row.trial_id for row in store.history.rows if row.purpose == "search"]


def really(
    driver: Driver,
    data: ImageData,
    teacher: TeacherRecord | None = None,
    store: TeacherStore | None = None,
) -> None:
    """Run all that the driver gives by `run_trial`, in this process."""
    while isinstance(launch := driver.next(), Launch):
        reports, student = train_to_end(launch.spec, Surroundings(data, teacher, store=store))
        for report in reports:
            driver.report(launch.trial_id, report)
        driver.end(launch.trial_id, "complete", weights=weights_to_bytes(student))


DISTILLED = {
    "search": "here",
    "data": {"name": "digits", "batch_size": 64, "images": 400},
    "teacher": {"architecture": {"family": "mlp", "widths": [8]}, "epochs": 1},
    "student": {"family": "mlp", "widths": {"each": 1, "int": [1, 40]}},
    "losses": [{"method": "kd", "weight": 0.5}],
    "training": {"epochs": 2, "lr": {"float": [0.01, 0.1]}},
    "scheduler": {"name": "none"},
    "budget": {"trials": 2},
}


def ground_here(config: SearchConfig, results: Path) -> tuple[Ground, TeacherRecord]:
    """The ground of a search with one teacher, which is trained in this process."""
    plan = next(iter(config.plans()))[1]
    section, data = plan.teacher, load_data(plan.data, config.base)
    assert section is not None
    architecture = describe(section.architecture, data.shape, len(data.classes))
    teacher = prepare_teacher(
        section, architecture, plan.data, data, results / "teachers", config.base, lambda *_: None
    )
    taught = Taught(teacher.identity, teacher.validation_accuracy)
    return Ground(config, data, data.id, {section.model_dump_json(): taught}), teacher


def distilled_here(results: Path) -> Path:
    """A finished search of two distillations on digits, trained in this process; its folder."""
    config = load_config(DISTILLED)
    ground, teacher = ground_here(config, results)
    with made_driver(results / "here", config, Listed([4, 6]), scheduled=False) as driver:
        driver.ground = ground
        really(driver, ground.data, teacher)
    return results / "here"
