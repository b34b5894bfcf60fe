"""Whose weights are kept: the front's, and those of trials that were asked for by name.

Repeats over seeds keep theirs until their test accuracy is read: see `close_search`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdsearch.errors import UserError
from kdsearch.results.pareto import pareto_front
from kdsearch.results.store import ResultStore
from kdsearch.search_sections import ObjectiveConfig
from kdsearch.student_folder import StudentCard, write_student
from kdsearch.tune.gate import Ground
from kdsearch.tune.observe import directions


def keep_student(
    ground: Ground, store: ResultStore, event: Mapping[str, Any], weights: bytes
) -> None:
    """Write a student's folder, before the row that speaks of it.

    Raises
    ------
    UserError
        A disk that cannot be written.
    """
    data, epochs = ground.data, store.history.epochs[event["trial_id"]]
    card = StudentCard(
        search=ground.config.fixed.search,
        trial_id=event["trial_id"],
        architecture=event["architecture"],
        classes=data.classes,
        mean=data.mean,
        std=data.std,
        data=data.name,
        validation_accuracy=epochs[-1]["validation_accuracy"] if epochs else None,
        spec=event["spec"],
    )
    folder = store.folder / "students" / event["trial_id"]
    try:
        write_student(folder, weights, card)
    except OSError as error:
        fault = f"cannot be written: {error.strerror}; the search goes on once there is room"
        raise UserError(str(folder), fault) from None


def drop_dominated(store: ResultStore, objectives: Sequence[ObjectiveConfig]) -> None:
    """Remove the weights of the search's own trials that are not on its front."""
    front = pareto_front(store.trials(), directions(objectives))
    trials = store.history.trials.items()
    searched = {trial_id for trial_id, event in trials if event["purpose"] == "search"}
    store.drop_students(searched - set(front["trial_id"]))
