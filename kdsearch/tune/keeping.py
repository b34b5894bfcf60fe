"""Whose weights are kept: the front's, and those of trials that were asked for by name.

Repeats over seeds keep theirs until their test accuracy is read: see `close_search`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdsearch.errors import UserError
from kdsearch.results.pareto import nondominated
from kdsearch.results.records import TrialRow
from kdsearch.results.store import ResultStore
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.student_folder import StudentCard, write_student
from kdsearch.tune.gate import Ground


def keep_student(
    ground: Ground,
    store: ResultStore,
    event: Mapping[str, Any],
    weights: bytes,
    accuracy: float | None,
) -> None:
    """Write a student's folder, before the row that speaks of it.

    Parameters
    ----------
    accuracy : float or None
        On validation, after the last epoch.

    Raises
    ------
    UserError
        A disk that cannot be written.
    """
    data = ground.data
    card = StudentCard(
        search=ground.config.fixed.search,
        trial_id=event["trial_id"],
        architecture=event["architecture"],
        classes=data.classes,
        mean=data.mean,
        std=data.std,
        data=data.name,
        validation_accuracy=accuracy,
        spec=event["spec"],
    )
    folder = store.folder / "students" / event["trial_id"]
    try:
        write_student(folder, weights, card)
    except OSError as error:
        fault = f"cannot be written: {error.strerror}; the search goes on once there is room"
        raise UserError(str(folder), fault) from None


class Front:
    """The front of a search that runs, kept row by row: what a row costs does not grow with them.

    The same trials as `pareto_front` of the whole table: a point that one row dominates stays
    dominated, for whatever removes that row dominates the point too.
    """

    def __init__(self, objectives: Sequence[ObjectiveConfig]) -> None:
        self.objectives = tuple(objectives)
        self._points: dict[str, tuple[float, ...]] = {}
        self._read = 0

    def follow(self, rows: Sequence[TrialRow]) -> set[str]:
        """The front's trials, of all rows so far; those read before are not read again."""
        fresh, self._read = rows[self._read :], len(rows)
        searched = [r for r in fresh if r.status == "complete" and r.purpose == "search"]
        points = {**self._points, **{row.trial_id: self._point(row) for row in searched}}
        if searched:
            kept = nondominated(np.array(list(points.values())))
            self._points = {t: p for (t, p), on in zip(points.items(), kept, strict=True) if on}
        return set(self._points)

    def _point(self, row: TrialRow) -> tuple[float, ...]:
        values = [(getattr(row, o.name), o.direction) for o in self.objectives]
        signed = ((v, -1 if direction == "max" else 1) for v, direction in values)
        return tuple(math.nan if v is None else sign * float(v) for v, sign in signed)


def drop_dominated(store: ResultStore, front: set[str]) -> None:
    """Remove the weights of the search's own trials that are not on its front."""
    trials = store.history.trials
    kept = {t for t in store.students() if t in trials and trials[t]["purpose"] == "search"}
    store.drop_students(kept - front)
