"""The front's students again, over seeds, with their teacher and without: what is still to train.

A finish is the trial again with another seed. A baseline is the same without losses, with the whole
weight on the labels. Both are new trainings, so that the luck by which a student came on the front
counts for neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kdsearch.config import ScratchStart, TrialSpec
from kdsearch.errors import UserError
from kdsearch.results.finished import NEAR, near_front
from kdsearch.results.records import Purpose
from kdsearch.results.store import ResultStore
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.tune.driver import Driver
from kdsearch.tune.gate import trial_event
from kdsearch.tune.launch import spec_of
from kdsearch.tune.observe import directions
from kdsearch.wiring import check_plan

SEED_STEP = 7919  # a prime: seeds of repeats never meet those of the search


@dataclass(frozen=True)
class Asked:
    """What `kdsearch finish` is asked for.

    Attributes
    ----------
    seeds : int
        How many repeats of a student.
    epochs : int or None
        Of their schedule, which then anneals once, to its end; None: each as it was found, its
        rungs included.
    near : float
        Students that are less accurate than the front by less than this are repeated too.
    baseline : bool
        Whether each is trained without its teacher too.

    Raises
    ------
    UserError
        A number out of its bounds.
    """

    seeds: int = 3
    epochs: int | None = None
    near: float = NEAR
    baseline: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.seeds < 2**31:
            fault = f"got {self.seeds}; at least 1 and below 2**31, and 3 for an interval"
            raise UserError("--seeds", fault)
        if self.epochs is not None and not 1 <= self.epochs < 2**31:
            fault = f"got {self.epochs}; at least 1 and below 2**31, or leave it out"
            raise UserError("--epochs", fault)
        if not 0 <= self.near < 1:
            raise UserError("--near", f"got {self.near}; from 0 to below 1, where 0.01 is a point")


@dataclass(frozen=True)
class Repeat:
    """A training that is to be: whose student again, as what, and how."""

    parent_id: str
    purpose: Purpose
    spec: TrialSpec


def missing_repeats(
    store: ResultStore, objectives: Sequence[ObjectiveConfig], asked: Asked
) -> list[Repeat]:
    """The repeats that are asked for and are not there, the first seed of all students first.

    A student that had no teacher is its own baseline, and has no other.

    Raises
    ------
    UserError
        A search without a front.
    """
    students = near_front(store.trials(), directions(objectives), asked.near)
    if not students:
        fault = "has no front: no trial is complete yet; `kdsearch run` goes on with the search"
        raise UserError(str(store.folder), fault)
    trials = store.history.trials
    lost = _lost(store)
    there = {
        (t["parent_id"], t["purpose"], t["seed"], t.get("finish_epochs"))
        for t in trials.values()
        if t["trial_id"] not in lost
    }
    return [
        Repeat(student, purpose, spec)
        for number in range(1, asked.seeds + 1)
        for student in students
        for purpose, spec in _pair(trials[student], number * SEED_STEP, asked)
        if (student, purpose, spec.seed, asked.epochs) not in there
    ]


def repeat_events(
    driver: Driver, repeats: Sequence[Repeat], epochs: int | None
) -> list[dict[str, Any]]:
    """The log's lines for repeats that start, as `Driver.enqueue` takes them.

    Raises
    ------
    UserError
        Fewer epochs than a loss needs for its pre-training.
    """
    plans = {repeat.spec.plan.model_dump_json(): repeat.spec.plan for repeat in repeats}
    for plan in plans.values():
        check_plan(plan, driver.ground.outline)  # --epochs may leave none beside a pre-training
    first, trials = int(driver.new_id()), driver.store.history.trials
    return [
        {
            **trial_event(
                driver.ground,
                f"{first + number:05d}",
                repeat.spec,
                assignment=trials[repeat.parent_id]["assignment"],
                purpose=repeat.purpose,
                parent_id=repeat.parent_id,
            ),
            "finish_epochs": epochs,
        }
        for number, repeat in enumerate(repeats)
    ]


def _lost(store: ResultStore) -> set[str]:
    """Repeats to be made again: those whose worker failed, and those whose weights are gone."""
    rows = store.history.rows
    failed = {row.trial_id for row in rows if row.status == "failed"}
    ended = {row.trial_id for row in rows if row.status == "complete"}
    return failed | (ended - set(store.history.tests) - store.students())


def _pair(origin: dict[str, Any], shift: int, asked: Asked) -> list[tuple[Purpose, TrialSpec]]:
    spec = spec_of(origin)
    spec = spec.model_copy(update={"seed": spec.seed + shift})
    if asked.epochs is not None:
        changes = {"epochs": asked.epochs, "stop_epoch": None}
        training = spec.plan.training.model_copy(update=changes)
        plan = spec.plan.model_copy(update={"training": training})
        spec = spec.model_copy(update={"plan": plan, "rungs": [asked.epochs]})
    alone = _alone(spec)
    return [("finish", spec), *([("baseline", alone)] if asked.baseline and alone != spec else [])]


def _alone(spec: TrialSpec) -> TrialSpec:
    """The same on labels alone; without terms, the weight of the labels is a matter of the rate."""
    plan = spec.plan.model_copy(update={"losses": [], "start": ScratchStart()})
    if not (spec.plan.terms or spec.plan.start.name != "scratch"):
        return spec
    training = plan.training.model_copy(update={"label_weight": 1.0})
    plan = plan.model_copy(update={"training": training})
    taught = spec.teacher_id if plan.taught else None  # to be measured against
    return spec.model_copy(update={"plan": plan, "teacher_id": taught})
