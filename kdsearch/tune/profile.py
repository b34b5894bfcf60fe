"""Where the time of a search goes: a few of its trials, part by part, against the bare student."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kdsearch.architecture import Architecture
from kdsearch.check import check_search, list_teachers
from kdsearch.config import TrialSpec
from kdsearch.cost import cost
from kdsearch.data import Batches, ImageData, load_data
from kdsearch.data.source import Description
from kdsearch.results.log import fold, read_events
from kdsearch.schemes.clock import Stopwatch
from kdsearch.search_config import SearchConfig, load_config
from kdsearch.students import build_student
from kdsearch.teachers import TeacherRecord, read_teacher, weights_to_bytes, write_teacher
from kdsearch.trial import Surroundings, run_trial
from kdsearch.tune.floor import bare_step
from kdsearch.tune.rerun import stored_outputs
from kdsearch.tune.search import run_search
from kdsearch.tune.teachers import teacher_identity
from kdsearch.wiring import check_plan

PARTS = ("data", "teacher", "student forward", "losses", "backward", "optimizer")
EPOCHS = 2  # of the student's own training: the first one warms up


@dataclass(frozen=True)
class TrialProfile:
    """One trial.

    Attributes
    ----------
    parameters : int
    losses : str
        Names of its terms; none: labels alone.
    parts : dict of str to float
        Seconds a step, by the rows of `PARTS`; ``losses`` without the networks' forward passes.
    evaluation : float
        Seconds an epoch.
    floor : float
        Seconds a step of the student alone: forward, cross-entropy, backward and optimizer on
        tensors that are there.
    """

    parameters: int
    losses: str
    parts: dict[str, float]
    evaluation: float
    floor: float

    @property
    def step(self) -> float:
        """Seconds a step."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Profile:
    """What `profile_search` gives.

    Attributes
    ----------
    trials : list of TrialProfile
    gap : float or None
        Seconds, median, that a warm worker waits between two trials; None: each had but one.
    threads : dict of int to float
        Seconds a step of the dearest of the trials' students alone, by CPU threads.
    """

    trials: list[TrialProfile]
    gap: float | None
    threads: dict[int, float]

    @property
    def cpus(self) -> int:
        """CPUs a trial with which all CPUs together train the most."""
        return min(self.threads, key=lambda n: n * self.threads[n])


def profile_search(config: SearchConfig, trials: int = 4) -> Profile:
    """Train a few random trials of a search for two epochs each, on Ray and in this process.

    Their teachers are untrained networks of the same architecture: that costs the same. Nothing is
    left on the disk.

    Raises
    ------
    UserError
        As `run_search`.
    """
    with tempfile.TemporaryDirectory() as folder:
        short = _shortened(config, trials)
        data = load_data(next(short.plans())[1].data, short.base)
        _write_teachers(short, data, Path(folder) / "teachers")
        done = run_search(short, results=folder, quiet=True)
        events = read_events(done.folder / "log.jsonl")
        waits = sorted(e["idle_seconds"] for e in events if e.get("idle_seconds") is not None)
        gaps = waits[_slots(config) :]  # the first trial of a worker waits for nothing
        specs = [TrialSpec.model_validate(e["spec"]) for e in fold(events).trials.values()]
        found = [_profiled(spec, data, Path(folder) / "teachers") for spec in specs]
    dearest = max(specs, key=_parameters)
    return Profile(
        trials=found,
        gap=statistics.median(gaps) if gaps else None,
        threads={n: bare_step(dearest, data, n) for n in _threads()},
    )


def _shortened(config: SearchConfig, trials: int) -> SearchConfig:
    """The same space, a few trials of it, none of them judged."""
    outline = check_search(config).outline
    stages = max(check_plan(plan, outline, filled).pretraining for filled, plan in config.plans())
    resources = config.fixed.resources
    tree: dict[str, Any] = {
        **config.tree,
        "resources": {
            "cpu": 1 if resources.cpu == "auto" else resources.cpu,
            "gpu": int(torch.cuda.is_available()) if resources.gpu == "auto" else resources.gpu,
        },
        "training": _stopped(config.tree["training"], stages + EPOCHS),
        "proposer": {"name": "random", "repeats": True},
        "scheduler": {"name": "none"},
        "budget": {"trials": trials},
        "constraints": {},
    }
    store = config.tree.get("store", {})
    if store.get("views") != "live":
        tree["store"] = {**store, "views": 1}  # what one costs to read; more cost no more
    return load_config(tree, base=config.base)


def _stopped(training: dict[str, Any], last: int) -> dict[str, Any]:
    """The section with its last epoch, in each option where it is a choice."""
    if "choice" in training:
        return {**training, "choice": [_stopped(option, last) for option in training["choice"]]}
    return {**training, "stop_epoch": last}


def _write_teachers(config: SearchConfig, data: ImageData, folder: Path) -> None:
    """Untrained ones, where the search looks for its own."""
    plan = next(config.plans())[1]
    outline = Description(data.shape, data.classes, len(data.train.labels))
    for section, architecture in list_teachers(config, outline):
        if section.weights is not None:
            continue
        name = teacher_identity(section, architecture, plan.data, data.id, config.base)
        weights = weights_to_bytes(build_student(architecture, 0, "cpu"))
        logits = torch.zeros(len(data.train.labels), len(data.classes)).numpy()
        record = TeacherRecord(name, architecture.to_json(), weights, logits, 0.0, 0.0, data.id)
        write_teacher(folder / name, record, {})


def _profiled(spec: TrialSpec, data: ImageData, folder: Path) -> TrialProfile:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    record = read_teacher(folder / spec.teacher_id) if spec.teacher_id else None
    store = None
    if record is not None and spec.plan.views is not None:
        spec, store = stored_outputs(folder, spec, record, data, data.id, lambda _: None)
    watch = Stopwatch(torch.device(device))
    before: dict[str, float] = {}
    for report in run_trial(spec, Surroundings(data, record, device, store, watch)):
        if report.epoch == spec.plan.training.last_epoch - 1:
            before = dict(watch.seconds)
    last = {name: total - before.get(name, 0.0) for name, total in watch.seconds.items()}
    steps = Batches(data, spec.plan.data.batch_size).steps_per_epoch
    return TrialProfile(
        parameters=_parameters(spec),
        losses=" ".join(term.method for term in spec.plan.terms) or "none",
        parts={name: last.get(name, 0.0) / steps for name in PARTS},
        evaluation=last["evaluation"],
        floor=bare_step(spec, data, spec.threads),
    )


def _threads() -> Iterator[int]:
    """Numbers of threads to try: 1, 2, 4 ... as far as this machine has CPUs."""
    n = 1
    while n <= (os.cpu_count() or 1):
        yield n
        n *= 2


def _slots(config: SearchConfig) -> int:
    cpu = config.fixed.resources.cpu
    return int((os.cpu_count() or 1) // (1 if cpu == "auto" else cpu))


def _parameters(spec: TrialSpec) -> int:
    return cost(Architecture.from_json(spec.architecture)).parameters
