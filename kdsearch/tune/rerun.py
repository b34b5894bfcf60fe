"""One row again: exactly, or its student on other data, for longer, with another seed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from kdsearch.architecture import Architecture
from kdsearch.check import need_of
from kdsearch.config import Plan, TrialSpec
from kdsearch.data import ImageData, load_data
from kdsearch.data.source import Description
from kdsearch.errors import UserError, line_of
from kdsearch.own_code import permit_code
from kdsearch.results.records import EpochReport
from kdsearch.results.store import ResultStore
from kdsearch.search_config import SearchConfig, recorded_config
from kdsearch.students import describe, output_shapes
from kdsearch.teachers import (
    TeacherRecord,
    TeacherStore,
    read_teacher,
    stock_up,
    weights_to_bytes,
)
from kdsearch.tree import edit_tree
from kdsearch.trial import Surroundings, run_trial
from kdsearch.tune.driver import Driver
from kdsearch.tune.gate import Ground, Taught, trial_event
from kdsearch.tune.launch import Launch, spec_of
from kdsearch.tune.opening import open_there
from kdsearch.tune.stores import prepare_store
from kdsearch.tune.teachers import prepare_teacher
from kdsearch.validation import validate
from kdsearch.wiring import check_plan

Say = Callable[[str], None]


def rerun_trial(
    results: str | os.PathLike[str],
    trial_id: str,
    *,
    edits: Sequence[str] = (),
    seed: int | None = None,
    code: Path | None = None,
    say: Say = print,
) -> str:
    """Run a row again in this process; the new row has the purpose ``rerun``, its student is kept.

    Without edits every epoch is compared with the recorded one. With edits the student's section
    is read again for the new data; a teacher that does not fit them is trained anew.

    Parameters
    ----------
    results : path
        The folder of the search, or its address.
    edits : sequence of str
        ``key=value`` pairs on the row's plain config: ``training.epochs=100``.
    seed : int, optional
        Another one than the row's.
    code : Path, optional
        The folder of the modules that the row, or an edit, names as ``module:callable``; without it
        none is imported.

    Returns
    -------
    str
        The new trial's id.

    Raises
    ------
    UserError
        No such row; an edit that makes no valid config.
    """
    with open_there(results) as store:
        header = store.history.header
        config = recorded_config(header, store.folder / "log.jsonl", code)
        origin = store.history.trials.get(trial_id)
        if origin is None:
            known = ", ".join(list(store.history.trials)[:3])
            place = store.shown(store.folder)
            raise UserError(place, f"has no trial {trial_id!r}; there are {known}, ...")
        return _rerun(store, config, origin, list(edits), seed, say)


def _rerun(
    store: ResultStore,
    config: SearchConfig,
    origin: dict[str, Any],
    edits: list[str],
    seed: int | None,
    say: Say,
) -> str:
    spec = spec_of(origin)
    if edits:
        plan = validate(Plan, edit_tree(spec.plan.model_dump(mode="json"), edits))
        taught = spec.teacher_id if plan.teacher == spec.plan.teacher and plan.taught else None
        changes = {"plan": plan, "rungs": _stretched(spec, plan), "teacher_id": taught}
        spec = spec.model_copy(update=changes)
    if seed is not None:
        spec = spec.model_copy(update={"seed": seed})
    permit_code(spec.model_dump(), f"trial {origin['trial_id']}", config.code)
    data = load_data(spec.plan.data, config.base)
    data_id = data.id
    if edits:
        outline = Description(data.shape, data.classes, len(data.train.labels))
        architecture = check_plan(spec.plan, outline).student
        spec = spec.model_copy(update={"architecture": architecture.to_json()})
    if store.copy is not None and spec.teacher_id is not None:
        store.copy.fetch_teacher(spec.teacher_id)
    teacher = _teacher(store.folder.parent / "teachers", spec, config, data, data_id, say)
    if teacher is not None:
        spec = spec.model_copy(update={"teacher_id": teacher.identity})
    kept = None
    if teacher is not None and (edits or spec.plan.views is not None):
        folder = store.folder.parent / "teachers"
        spec, kept = stored_outputs(folder, spec, teacher, data, data_id, say)
    driver = Driver(_ground(config, spec, data, data_id, teacher), store)
    event = trial_event(
        driver.ground,
        driver.new_id(),
        spec,
        assignment=origin["assignment"] if not edits else {},
        purpose="rerun",
        parent_id=origin["trial_id"],
    )
    recorded = store.history.epochs[origin["trial_id"]] if not (edits or seed is not None) else []
    return _train(driver, event, Surroundings(data, teacher, _device(), kept), recorded, say)


def _train(
    driver: Driver,
    event: dict[str, Any],
    around: Surroundings,
    recorded: Sequence[dict[str, Any]],
    say: Say,
) -> str:
    trial_id, same = event["trial_id"], 0
    for report in _recorded(driver, driver.launch(event), around):
        same += report.epoch <= len(recorded) and _equal(report, recorded[report.epoch - 1])
        measured = "".join(f", {name} {value:.4f}" for name, value in report.measures.items())
        say(
            f"epoch {report.epoch}: accuracy {report.validation_accuracy:.4f}, "
            f"loss {report.train_loss:.4f}{measured}, {report.seconds:.1f} s"
        )
    if recorded:
        say(f"{same} of the row's {len(recorded)} epochs came out the same to the last digit")
    kept = driver.store.folder / "students" / trial_id
    place = f"its student is in {driver.store.shown(kept)}"
    say(f"trial {trial_id}: {place if kept.is_dir() else 'diverged'}")
    return trial_id


def _recorded(driver: Driver, launch: Launch, around: Surroundings) -> Iterator[EpochReport]:
    """The epochs of a training, each recorded, and its end, whatever ends it."""
    training, seconds, finite = run_trial(launch.spec, around), 0.0, True
    try:
        while True:
            try:
                report = next(training)
            except StopIteration as stop:
                status = "complete" if finite else "diverged"
                weights = weights_to_bytes(stop.value) if finite else None
                driver.end(launch.trial_id, status, seconds=seconds, weights=weights)
                return
            seconds += report.seconds
            finite = math.isfinite(report.train_loss) and math.isfinite(report.validation_loss)
            driver.report(launch.trial_id, report)
            yield report
    except BaseException as error:  # a Ctrl-C too: a row without an end would be in flight for ever
        driver.end(launch.trial_id, "failed", error=line_of(error), seconds=seconds)
        raise


def _teacher(
    folder: Path,
    spec: TrialSpec,
    config: SearchConfig,
    data: ImageData,
    data_id: str,
    say: Say,
) -> TeacherRecord | None:
    section = spec.plan.teacher
    if section is None or not spec.plan.taught:
        return None
    architecture = describe(section.architecture, data.shape, len(data.classes))
    if spec.teacher_id is not None:
        found = read_teacher(folder / Path(spec.teacher_id).name)
        wanted = (architecture.to_json(), data_id)
        if found is not None and (found.architecture, found.data_id) == wanted:
            return found

    def watch(name: str, report: EpochReport, epochs: int) -> None:
        say(f"teacher {name}: epoch {report.epoch} of {epochs}, {report.validation_accuracy:.4f}")

    return prepare_teacher(section, architecture, spec.plan.data, data, folder, config.base, watch)


def stored_outputs(
    folder: Path,
    spec: TrialSpec,
    teacher: TeacherRecord,
    data: ImageData,
    data_id: str,
    say: Say,
) -> tuple[TrialSpec, TeacherStore | None]:
    """The row's share of the teacher's outputs; a `views: auto` that was set becomes a number."""
    plan = spec.plan
    outline = Description(data.shape, data.classes, len(data.train.labels))
    shapes = output_shapes(Architecture.from_json(teacher.architecture), 1)
    need = need_of(plan, check_plan(plan, outline))
    stock = stock_up(plan.store, [need], [shapes], outline.train_images)
    spec = spec.model_copy(update={"plan": plan.model_copy(update={"store": stock.config})})
    if plan.data.augment not in stock.augments:
        return spec, None
    threads = torch.get_num_threads()
    torch.set_num_threads(spec.threads)  # as the search's own was computed
    try:
        kept = prepare_store(stock, teacher, plan.data.augment, data, data_id, folder, say)
    finally:
        torch.set_num_threads(threads)
    return spec, kept


def _ground(
    config: SearchConfig,
    spec: TrialSpec,
    data: ImageData,
    data_id: str,
    teacher: TeacherRecord | None,
) -> Ground:
    taught = {}
    if teacher is not None and spec.plan.teacher is not None:
        key = spec.plan.teacher.model_dump_json()
        taught[key] = Taught(teacher.identity, teacher.validation_accuracy)
    return Ground(config, data, data_id, taught, threads=spec.threads)


def _stretched(spec: TrialSpec, plan: Plan) -> list[int]:
    """The rungs of the row, or one annealing where the number of epochs was changed."""
    same = plan.training.epochs == spec.plan.training.epochs
    return spec.rungs if same else [plan.training.epochs]


def _equal(report: EpochReport, recorded: dict[str, Any]) -> bool:
    values = ("train_loss", "validation_accuracy", "validation_loss")
    pairs = [(getattr(report, name), recorded[name]) for name in values]
    pairs += [(value, recorded["measures"].get(name)) for name, value in report.measures.items()]
    return all(new == old or (new != new and old != old) for new, old in pairs)  # nan equals nan


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
