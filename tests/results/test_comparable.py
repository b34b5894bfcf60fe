"""What cannot be compared is refused by every function that compares, unless asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from kdsearch.errors import UserError
from kdsearch.results.pareto import (
    attained_share,
    attainment_surface,
    best_under,
    front_ranks,
    hypervolume_history,
    knee_point,
    left_out,
    pareto_front,
    reference_box,
)

ACCURACY = ("validation_accuracy", "max")
MARKS = [  # objective, the column that tells its values apart, unlike values
    ("parameters", "data_id", ["d0", "d1"]),
    ("latency_ms", "latency_device", ["cpu: A, 1 thread, batch 1", "cpu: A, 1 thread, batch 8"]),
    ("peak_memory_mib", "memory_device", ["cpu, batch 1", "cuda: B, batch 1"]),
    ("size_bytes", "size_bits", [16, 32]),
]
ANALYSES: dict[str, Callable[..., Any]] = {
    "pareto_front": pareto_front,
    "front_ranks": front_ranks,
    "knee_point": knee_point,
    "best_under": lambda trials, goals, **more: best_under(trials, **{goals[1][0]: 9.0}, **more),
    "hypervolume_history": hypervolume_history,
    "of a box": lambda trials, goals, **more: hypervolume_history(
        trials, goals, reference_box(trials, objectives=goals, mix_data=True), **more
    ),
    "reference_box": lambda trials, goals, **more: reference_box(trials, objectives=goals, **more),
    "of two tables": lambda trials, goals, **more: reference_box(
        trials[:1], trials[1:], objectives=goals, **more
    ),
    "attained_share": lambda trials, goals, **more: attained_share(
        [trials[:1], trials[1:]], trials[:1], goals, **more
    ),
    "of points": lambda trials, goals, **more: attained_share(
        [trials[:1]], trials[1:], goals, **more
    ),
    "attainment_surface": lambda trials, goals, **more: attainment_surface(
        [trials[:1], trials[1:]], goals, **more
    ),
}


def table(**columns: Any) -> pd.DataFrame:
    fixed = {"trial_id": ["0", "1"], "status": "complete", "purpose": "search"}
    return pd.DataFrame({**fixed, "validation_accuracy": [0.5, 0.75], **columns})


@pytest.mark.parametrize(("name", "mark", "unlike"), MARKS)
@pytest.mark.parametrize("analysis", ANALYSES)
def test_unlike_rows_are_compared_by_nothing_unless_asked_for(
    analysis: str, name: str, mark: str, unlike: list[Any]
) -> None:
    analyse, goals = ANALYSES[analysis], [ACCURACY, (name, "min")]
    trials = table(**{name: [1.0, 2.0], mark: unlike})
    with pytest.raises(UserError, match=rf"^{mark}: {unlike[0]}, {unlike[1]}: .*mix_data=True"):
        analyse(trials, goals)
    analyse(trials, goals, mix_data=True)
    for same in (unlike[0], None):
        analyse(trials.assign(**{mark: [same, unlike[0]]}), goals)  # a row may not say
    stopped = trials.assign(status=["complete", "stopped"])
    if analysis != "of points":
        analyse(stopped, goals)  # what is on no front is compared with none


@pytest.mark.parametrize(("name", "mark", "unlike"), MARKS[1:])
def test_what_no_objective_compares_may_be_unlike(name: str, mark: str, unlike: list[Any]) -> None:
    trials = table(**{name: [1.0, 2.0], mark: unlike, "parameters": [1, 2]})
    for analyse in ANALYSES.values():
        analyse(trials, [ACCURACY, ("parameters", "min")])


@pytest.mark.parametrize("analyse", [*ANALYSES.values(), left_out])
def test_a_column_of_words_is_one_line_and_a_row_without_a_status_is_none(
    analyse: Callable[..., Any],
) -> None:
    goals = [ACCURACY, ("parameters", "min")]
    with pytest.raises(UserError, match="objectives: parameters holds what is no number"):
        analyse(table(parameters=["small", "large"]), goals)
    analyse(table(parameters=[1, 2], status=pd.array([None, "complete"], dtype="string")), goals)
    assert len(pareto_front(table(parameters=[1, 2]).drop(columns="status"))) == 2
    unknown = table(parameters=[1, 2], status=pd.array([None, "complete"], dtype="string"))
    assert pareto_front(unknown)["trial_id"].tolist() == ["1"]
