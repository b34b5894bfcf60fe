"""Students of `n2n_fashion.py` that are trained to the end, and what that comes to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from n2n_search import Search, rewards, scene, students

from kdsearch.config import TrialSpec
from kdsearch.data import Batches
from kdsearch.proposers.n2n.reward import reward
from kdsearch.results.pareto import pareto_front
from kdsearch.schemes import evaluate
from kdsearch.trial import train_to_end
from kdsearch.tune.study import read_search
from kdsearch.whole import write_bytes

OURS = "n2n_plus"
EPOCHS, SMALLER = 18, 10


@dataclass(frozen=True)
class Whole:
    """A student of a search that is trained to the end."""

    search: Search
    trial_id: str
    out: Path

    @property
    def file(self) -> Path:
        return self.out / "whole" / f"{self.search.name}-{self.trial_id}-{EPOCHS}.json"


def wholes(searches: list[Search], out: Path) -> Iterator[Whole]:
    """The students that are trained to the end."""
    for search in searches:
        picks = [best(search, out), *([tenth(search, out)] if search.arm == OURS else [])]
        yield from (Whole(search, trial_id, out) for trial_id in dict.fromkeys(picks))


def best(search: Search, out: Path) -> str:
    """The trial of the best R, as the search read it."""
    trials = students(search, out)
    return str(list(trials["trial_id"])[int(np.argmax(rewards(search, out)))])


def tenth(search: Search, out: Path) -> str:
    """The most accurate trial of the front, as the search read it, of so few parameters."""
    front = pareto_front(students(search, out))
    few = front[front["parameters"] * SMALLER <= scene(search, out).parameters]
    return str(list(few["trial_id"])[int(np.argmax(few["validation_accuracy"]))])


def train_whole(job: Whole) -> str:
    """Train it; what was done is on the disk, and is not done again."""
    if job.file.exists():
        return job.file.stem
    on = scene(job.search, job.out)
    history, _ = read_search(job.out / job.search.name)
    spec = TrialSpec.model_validate(history.trials[job.trial_id]["spec"])
    training = spec.plan.training.model_copy(update={"epochs": EPOCHS})
    plan = spec.plan.model_copy(update={"training": training})
    again = spec.model_copy(update={"plan": plan, "rungs": [EPOCHS]})
    reports, student = train_to_end(again, on.around)
    test, _ = evaluate(student, Batches(on.data, 1000).evaluation("test"))
    row = {"validation_accuracy": reports[-1].validation_accuracy, "test_accuracy": test}
    job.file.parent.mkdir(exist_ok=True)
    write_bytes(job.file, json.dumps(row).encode())
    return job.file.stem


@dataclass(frozen=True)
class Trained:
    """A student of a search that was trained to the end.

    Attributes
    ----------
    picked_by : str
        ``R``, or ``tenth`` for accuracy among the small.
    fewer : float
        How many times fewer parameters than the teacher's.
    read, r_read : float
        Accuracy on validation and R, as the search read them.
    validation, test, r : float
        After the whole training.
    """

    arm: str
    seed: int
    picked_by: str
    parameters: int
    fewer: float
    read: float
    r_read: float
    validation: float
    test: float
    r: float


def trained(search: Search, out: Path) -> Iterator[Trained]:
    """What the whole trainings of a search's students came to, as far as they are done."""
    on = scene(search, out)
    table = students(search, out)
    trials = {str(row["trial_id"]): row for row in table.to_dict("records")}
    picks = {"R": best(search, out)}
    if search.arm == OURS:
        picks["tenth"] = tenth(search, out)
    for pick, trial_id in picks.items():
        if not (file := Whole(search, trial_id, out).file).exists():
            continue
        then, size = json.loads(file.read_text()), int(trials[trial_id]["parameters"])
        read, validation = (
            float(trials[trial_id]["validation_accuracy"]),
            then["validation_accuracy"],
        )
        r_read, r = (
            reward(size, on.parameters, accuracy, on.record.validation_accuracy)
            for accuracy in (read, validation)
        )
        fewer, test = on.parameters / size, then["test_accuracy"]
        yield Trained(search.arm, search.seed, pick, size, fewer, read, r_read, validation, test, r)
