"""What earlier searches give a new one: rows that its proposer is told, points that it tries first.

A row is told where it is the same training that its assignment would be here: same data, same plan
(teacher, losses, epochs and every fixed value), same scheduler and objectives, measured on the same
device; so that its values are what this search would have measured, but for the seed. Of all other
rows nothing is believed: those on their own search's front are tried, their values carried over
hole by hole.

Both are written into the log, so that the search goes on without the earlier folders.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from kdsearch.config import Plan
from kdsearch.domains import Choice, Domain, Float, Scalar
from kdsearch.errors import UserError
from kdsearch.proposers import Observation, Proposer
from kdsearch.proposers.warm import SOURCE, WarmProposer
from kdsearch.results.history import Event, History
from kdsearch.results.pareto import nondominated
from kdsearch.results.records import TOLD_APART, TrialRow
from kdsearch.results.remote import WorkingCopy, is_address, reading
from kdsearch.results.store import ResultStore
from kdsearch.search_config import SearchConfig
from kdsearch.search_sections import Fixed
from kdsearch.space import Assignment, SearchSpace
from kdsearch.tune.gate import Ground, now
from kdsearch.tune.observe import objective_values, observation
from kdsearch.tune.progress import SearchProgress
from kdsearch.tune.rung import epsilon_net
from kdsearch.tune.study import read_search

SHARE = 4  # one trial of so many, at most, tries a point of an earlier search
MOST = 16  # where the budget counts no trials
# Of the data section: where they lie and how they are held, not what they are.
ELSEWHERE = {"root", "download", "verify", "stream", "memory_mib"}


@dataclass(frozen=True)
class Source:
    """An earlier search."""

    history: History
    config: SearchConfig


def read_earlier(
    folders: Sequence[str | os.PathLike[str]], config: SearchConfig, store: ResultStore
) -> list[Source]:
    """The earlier searches of a new one; none for one that has begun, whose log has them.

    Raises
    ------
    UserError
        A folder without a search, the search itself, other folders than it was begun with, or a
        proposer that learns nothing.
    """
    names = [_name(folder) for folder in folders]
    if names and config.fixed.proposer.name == "grid":
        raise UserError("--from", "a grid learns from no search; name another proposer")
    if store.history.trials:
        recorded = store.history.earlier.get("folders", [])
        if names and names != recorded:
            was = " ".join(recorded) or "none"
            fault = f"{store.folder} was begun with {was}; leave --from out to go on with it"
            raise UserError("--from", fault)
        return []
    if _name(store.folder) in names or (store.copy and store.copy.shown in names):
        raise UserError("--from", f"{store.folder} is this search itself; it goes on by itself")
    sources = [_source(folder) for folder in folders]
    if names or store.history.earlier:
        store.append({"event": "from", "folders": names, "told": [], "queue": [], "most": 0})
    return sources


def _name(folder: str | os.PathLike[str]) -> str:
    """How the log calls an earlier search: without the secrets of an address."""
    return WorkingCopy.at(str(folder)).shown if is_address(folder) else str(Path(folder).resolve())


def _source(folder: str | os.PathLike[str]) -> Source:
    with reading(folder) as place:
        return Source(*read_search(place))


def warm(
    inner: Proposer,
    sources: Sequence[Source],
    ground: Ground,
    store: ResultStore,
    show: SearchProgress,
) -> Proposer:
    """The proposer, told and with a queue, where there is something; recorded, where it is new."""
    if sources:
        event = {**store.history.earlier, **_given(sources, ground), "at": now()}
        store.append(event)
        told, tries = len(event["told"]), min(len(event["queue"]), event["most"])
        show.say(f"--from: {told} rows told to the proposer, {tries} points to try first")
    event, trials = store.history.earlier, store.history.trials.values()
    if not event.get("folders"):
        return inner
    tried = [t["assignment"] for t in trials if t["proposer"] == SOURCE]
    queue = [assignment for assignment in event["queue"] if assignment not in tried]
    rows = [_observation(number, row) for number, row in enumerate(event["told"], 1)]
    return WarmProposer(inner, rows, queue, event["most"] - len(tried))


def carried(assignment: Assignment, space: SearchSpace, rng: random.Random) -> Assignment | None:
    """An assignment of another space in this one; None where no hole of it is here.

    Holes are the same where their names are. A value outside the domain gives the nearest in it;
    what is missing, or a word that is no option here, is drawn at random.
    """
    known = 0

    def choose(name: str, domain: Domain) -> Scalar:
        nonlocal known
        value = _nearest(domain, assignment[name]) if name in assignment else None
        known += value is not None
        return domain.sample(rng) if value is None else value

    filled = space.fill(choose)
    return filled.assignment if known else None


def _given(sources: Sequence[Source], ground: Ground) -> dict[str, Any]:
    told: list[Event] = []
    fronts: list[list[Assignment]] = []
    for source in sources:
        same = list(_same(source, ground))
        told += [_told(source, row) for row in same]
        without = {row.trial_id for row in same}
        fronts.append(
            [source.history.trials[i]["assignment"] for i in _front(source) if i not in without]
        )
    space, queue = ground.config.space, []
    for number, assignment in enumerate(chain(*zip_longest(*fronts))):
        rng = random.Random(f"{ground.config.fixed.seed}:from:{number}")
        point = carried(assignment, space, rng) if assignment is not None else None
        if point is not None and point not in queue:
            queue.append(point)
    trials = ground.config.fixed.budget.trials
    most = MOST if trials is None else max(1, trials // SHARE)
    return {"told": told, "queue": queue, "most": most}


def _same(source: Source, ground: Ground) -> Iterator[TrialRow]:
    """Rows that are the same trainings as their assignments would be here."""
    mine, theirs = ground.config.fixed, source.config.fixed
    if _judged(mine) != _judged(theirs) or mine.scheduler != theirs.scheduler:
        return
    here = {**ground.meter.places(), "size_bits": mine.bits}
    asked = {*mine.constraints, *(o.name for o in mine.objectives)}
    marks = [TOLD_APART[name] for name in asked if name in TOLD_APART]
    for row in source.history.rows:
        trial = source.history.trials[row.trial_id]
        if row.purpose != "search" or row.data_id != ground.data_id:
            continue
        if any(getattr(row, mark) != here.get(mark) for mark in marks):
            continue
        bounds = mine.constraints.items()
        if any((trial.get(name) or 0) > bound for name, bound in bounds):
            continue
        try:
            plan = ground.config.plan(trial["assignment"])
        except UserError:
            continue
        plan = plan.model_copy(update={"measures": [], "store": ground.store or plan.store})
        teacher = plan.teacher and ground.teachers.get(plan.teacher.model_dump_json())
        if plan.taught and (teacher is None or teacher.identity != row.teacher_id):
            continue
        content = plan.model_dump(mode="json")
        if _decisive(content, plan) == _decisive(trial["spec"]["plan"], plan):
            yield row


def _judged(fixed: Fixed) -> list[dict[str, Any]]:
    """The objectives, but for how they are scaled."""
    return [o.model_dump(exclude={"scale", "slack"}) for o in fixed.objectives]


def _decisive(content: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """What of a plan's sections decides a training's values."""
    data = {key: value for key, value in content["data"].items() if key not in ELSEWHERE}
    teacher = content["teacher"] if plan.taught else None
    store = _views(content) if plan.terms else None
    return {**content, "data": data, "teacher": teacher, "store": store, "measures": []}


def _views(content: dict[str, Any]) -> dict[str, Any] | None:
    """What a training sees of its teacher's outputs; None: all of them, of fresh images."""
    store = content.get("store", {})  # rows from before there was one have none
    numbered = isinstance(store.get("views"), int)
    plain = content["data"].get("augment", "none") == "none" and store.get("top_k") is None
    if not numbered or plain:
        return None
    return {key: value for key, value in store.items() if key != "memory_mib"}


def _front(source: Source) -> list[str]:
    """The front of a search, so ordered that its first points are well spread."""
    objectives, history = source.config.fixed.objectives, source.history
    complete = [r for r in history.rows if r.status == "complete" and r.purpose == "search"]
    if not complete:
        return []
    reached = [
        objective_values(objectives, history.trials[r.trial_id], history.epochs[r.trial_id][-1])
        for r in complete
    ]
    values = np.array(
        [[o.lowered(v) for o, v in zip(objectives, row, strict=True)] for row in reached]
    )
    front = np.flatnonzero(nondominated(values))
    order = epsilon_net(values[front], values.min(0), values.max(0))
    return [complete[i].trial_id for i in front[order]]


def _told(source: Source, row: TrialRow) -> dict[str, Any]:
    """What the earlier search's proposer was told of a row, for the log."""
    objectives = source.config.fixed.objectives
    told = observation(source.history, row.trial_id, row.status, objectives)
    names = ("assignment", "fate", "values", "history")
    return {name: getattr(told, name) for name in names}


def _observation(number: int, told: dict[str, Any]) -> Observation:
    values = told["values"]
    return Observation(
        trial_id=f"-{number:05d}",  # below all ids of this search
        assignment=told["assignment"],
        fate=told["fate"],
        values=None if values is None else _numbers(values),
        history=tuple((epoch, _numbers(values)) for epoch, values in told["history"]),
    )


def _numbers(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)  # the log spells nan and inf as words


def _nearest(domain: Domain, value: Scalar) -> Scalar | None:
    """The value of a domain that is nearest; None where nothing is near."""
    if domain.contains(value):
        return value
    if isinstance(value, (str, bool)):
        return None
    if isinstance(domain, Choice):
        numbers = [v for v in domain.values if isinstance(v, (int, float))]
        return min(numbers, key=lambda v: abs(v - value), default=None)
    low, high = (float(corner) for corner in domain.corners)
    within = min(max(float(value), low), high)
    if isinstance(domain, Float):
        return domain.nearest(within)
    return domain.low + round((within - low) / domain.step) * domain.step
