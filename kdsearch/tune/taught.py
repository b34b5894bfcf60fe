"""What the log keeps of the teachers that students are edits of."""

from __future__ import annotations

from collections.abc import Sequence

from kdsearch.architecture import Architecture
from kdsearch.config import TeacherConfig
from kdsearch.cost import cost
from kdsearch.edits import EDITED, as_architecture, units
from kdsearch.results.store import ResultStore
from kdsearch.tune.gate import Ground


def record_teachers(
    store: ResultStore, ground: Ground, teachers: Sequence[tuple[TeacherConfig, Architecture]]
) -> None:
    """Write what edits are measured by, each teacher once: its blocks, and which may go.

    Nothing is written where no student is an edit.
    """
    plans = (plan for _, plan in ground.config.plans())
    if not any(plan.student.get("family") == EDITED for plan in plans):
        return
    for config, architecture in teachers:
        taught = ground.teachers.get(config.model_dump_json())
        if taught is None or taught.identity in store.history.teachers:
            continue
        own = as_architecture(architecture)
        store.append(
            {
                "event": "teacher",
                "teacher_id": taught.identity,
                "validation_accuracy": taught.validation_accuracy,
                "parameters": cost(own).parameters,
                "architecture": own.to_json(),
                "removable": [[unit.stage, unit.block] for unit in units(own)],
            }
        )
