"""Edits of a teacher, read from the log: what each is worth, what a policy said, what is left."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.architecture import Architecture, Stage
from kdsearch.compression import reward
from kdsearch.results.log import Event
from kdsearch.results.page.searches import Search

if TYPE_CHECKING:
    import pandas as pd


class Layer(NamedTuple):
    """A width of the teacher, and what a student has of it.

    Attributes
    ----------
    name : str
        Where it stands: numbers count from 1.
    width : int
    left : int or None
        None where it went with a removed block.
    """

    name: str
    width: int
    left: int | None


def edited_trials(search: Search) -> pd.DataFrame:
    """The trials whose students are edits, in the order in which they ended, with their `reward`.

    A row without an epoch has none. Empty where the log does not say of what they are edits.
    """
    frame = search.trials
    mine = frame.loc[[_is_edit(search, str(name)) for name in frame["trial_id"]]].copy()
    mine["reward"] = [_reward(search, row) for row in mine.to_dict("records")]
    return mine


def best_edit(search: Search) -> dict[str, Any] | None:
    """The row of the search's front with the largest reward; None where no edit is on it."""
    rows = edited_trials(search)
    rows = rows.loc[rows["trial_id"].isin(search.front["trial_id"]) & rows["reward"].notna()]
    if not len(rows):
        return None
    return rows.sort_values("reward", kind="stable").iloc[-1].to_dict()


def teacher_of(search: Search, trial_id: str) -> Event:
    """What the log says of a trial's teacher."""
    return search.history.teachers[search.history.trials[trial_id]["teacher_id"]]


def layers(search: Search, trial_id: str) -> list[Layer]:
    """Every width of the teacher, from input to output, and what the trial's student has of it."""
    trial = search.history.trials[trial_id]
    told = teacher_of(search, trial_id)
    teacher = Architecture.from_json(told["architecture"])
    student = Architecture.from_json(trial["architecture"])
    keep = trial["spec"]["plan"]["student"].get("keep")
    spots = [tuple(spot) for spot in told["removable"]]
    gone = {s for s, stays in zip(spots, keep or [1] * len(spots), strict=True) if not stays}
    there = [spot for spot in _spots(teacher) if spot not in gone]
    left = dict(zip(there, _spots(student), strict=True))
    found: list[Layer] = []
    if teacher.stem and teacher.stem.width and student.stem:
        found.append(Layer("stem", teacher.stem.width, student.stem.width))
    for number, stage in enumerate(teacher.stages):
        if stage.width is not None:
            stream = f"{place(teacher, number)}, stream"
            found.append(Layer(stream, stage.width, student.stages[number].width))
        for block in range(len(stage.blocks)):
            spot = left.get((number, block))
            width = None if spot is None else _width(student.stages[spot[0]], spot[1])
            found.append(Layer(place(teacher, number, block), _width(stage, block), width))
    return found


def place(architecture: Architecture, stage: int, block: int | None = None) -> str:
    """Where a block stands, in words; an mlp's stages are its layers."""
    if architecture.family == "mlp":
        return f"layer {stage + 1}"
    if block is not None and architecture.stages[stage].blocks[block].kind == "dense":
        return f"hidden layer {block + 1}"
    return f"stage {stage + 1}" + ("" if block is None else f", block {block + 1}")


class Kept(NamedTuple):
    """What a policy said while it drew the trials.

    Attributes
    ----------
    names : list of str
        Of the removable blocks, from input to output.
    trials : list of str
        In the order in which they were proposed.
    probabilities : list of list of (float or None)
        A row a block: with what probability it was kept; None where nothing was decided.
    """

    names: list[str]
    trials: list[str]
    probabilities: list[list[float | None]]


def kept(search: Search) -> Kept | None:
    """With what probability the policy kept each block, by its notes; None where there are none.

    Of what was drawn for a trial it is the first draw: later ones, after a student that was known
    or may not run, are more and more at random.
    """
    holes = sorted(
        (int(name[len("student.keep[") : -1]), name)
        for name in search.history.header.get("columns", {})
        if name.startswith("student.keep[")
    )
    told = [(name, first) for name, t in search.history.trials.items() if (first := _first(t))]
    told = [pair for pair in told if _is_edit(search, pair[0])]
    rows = [[_kept_with(drawn, i) for _, drawn in told] for i in range(len(holes))]
    if not any(p is not None for row in rows for p in row):
        return None
    about = teacher_of(search, told[0][0])
    teacher = Architecture.from_json(about["architecture"])
    names = [place(teacher, *about["removable"][index]) for index, _ in holes]
    return Kept(names, [name for name, _ in told], rows)


def _first(trial: Event) -> Mapping[str, Any] | None:
    """What the policy drew first for a trial; None where it drew no removals, or at random."""
    note = trial.get("note")
    if trial["purpose"] != "search" or not isinstance(note, Mapping) or "rolled" not in note:
        return None
    first = (note["refused"] or [note["rolled"]])[0]
    return first if note["stage"] == 0 and first["share"] == 0 else None


def _kept_with(drawn: Mapping[str, Any], decision: int) -> float | None:
    """Removals are decided before widths, and the second option of each is to keep."""
    if not drawn["free"][decision]:
        return None
    probability = math.exp(drawn["log_p"][decision])
    return probability if drawn["actions"][decision] == 1 else 1 - probability


def _is_edit(search: Search, trial_id: str) -> bool:
    trial = search.history.trials.get(trial_id, {})
    student = trial.get("spec", {}).get("plan", {}).get("student", {})
    known = trial.get("teacher_id") in search.history.teachers
    return known and student.get("family") == "edited"


def _reward(search: Search, row: Mapping[str, Any]) -> float:
    told = teacher_of(search, row["trial_id"])
    accuracy = row["validation_accuracy"]
    if accuracy is None or not math.isfinite(accuracy):
        return math.nan
    best = told["validation_accuracy"]
    return reward(row["parameters"], told["parameters"], accuracy, best)


def _spots(architecture: Architecture) -> list[tuple[int, int]]:
    stages = enumerate(architecture.stages)
    return [(number, block) for number, s in stages for block in range(len(s.blocks))]


def _width(stage: Stage, block: int) -> int:
    """Inside a residual block, else of the layer itself."""
    inner = stage.blocks[block].inner
    return stage.width_of(block) if inner is None else inner
