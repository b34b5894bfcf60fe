"""Trials that begin with an edit of their teacher: what the spec decides, and what it is worth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from kdsearch.config import Plan, TrialSpec, validate
from kdsearch.data import load_data
from kdsearch.edits import EDITED, describe_edited
from kdsearch.errors import UserError
from kdsearch.students import build_student, describe
from kdsearch.teachers import TeacherRecord, weights_to_bytes
from kdsearch.trial import Surroundings, run_trial, train_to_end
from tests.data.made import made_data
from tests.reports import told

TEACHER = {"family": "resnet", "blocks": [3, 2], "widths": [6, 12]}
FOREIGN = {"family": "torchvision", "model": "resnet18"}
STUDENT = {"family": EDITED, "keep": [1, 0, 1], "ratio": [1, 0.5, 1, 0.5, 1, 1, 0.5]}
INHERIT = {"name": "inherit"}


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def made_spec(
    student: dict[str, Any] = STUDENT,
    start: Any = None,
    teacher: dict[str, Any] = TEACHER,
    shape: tuple[int, int, int] = (1, 8, 8),
    **training: Any,
) -> TrialSpec:
    raw = {
        "data": {"name": "digits", "images": 500, "batch_size": 32},
        "teacher": {"architecture": teacher},
        "student": student,
        "start": start or {"name": "scratch"},
        "losses": [{"method": "kd", "weight": 0.9}],
        "training": {"epochs": 1, "lr": 0.05, **training},
    }
    theirs = describe(teacher, shape, 10)
    own = student["family"] == EDITED
    architecture = describe_edited(student, theirs) if own else describe(student, shape, 10)
    return TrialSpec(plan=validate(Plan, raw), architecture=architecture.to_json())


@pytest.fixture(scope="module")
def around() -> Surroundings:
    """Digits, and a teacher that has learned them by labels for eight epochs."""
    spec = made_spec(TEACHER, epochs=8)
    spec = spec.model_copy(update={"plan": spec.plan.model_copy(update={"losses": []})})
    around = Surroundings(load_data(spec.plan.data))
    _, network = train_to_end(spec, around)
    record = TeacherRecord("t", spec.architecture, weights_to_bytes(network), None, 0.5, 1.0)
    return Surroundings(around.data, record)


@pytest.mark.parametrize("importance", ["l1", "bn"])
def test_the_spec_decides_an_inherited_trial(around: Surroundings, importance: str) -> None:
    spec = made_spec(start={**INHERIT, "importance": importance, "recalibrate": 3}, epochs=2)
    first, _ = train_to_end(spec, around)
    torch.manual_seed(99)  # whatever happened in between
    again, _ = train_to_end(TrialSpec.model_validate_json(spec.model_dump_json()), around)
    assert told(first) == told(again)


def test_an_inherited_student_is_ahead_of_one_from_scratch(around: Surroundings) -> None:
    inherited, scratch = (
        train_to_end(made_spec(start=start), around)[0][-1].validation_accuracy
        for start in (INHERIT, None)
    )
    assert inherited > scratch + 0.2  # of ten classes, after one epoch


def test_a_teacher_of_torchvision_is_inherited_from() -> None:
    shape = (1, 20, 20)
    theirs = describe(FOREIGN, shape, 10)
    weights = weights_to_bytes(build_student(theirs, seed=0))
    record = TeacherRecord("t", theirs.to_json(), weights, None, 0.5, 1.0)
    around = Surroundings(made_data(per_class=8, classes=10, shape=shape), record)
    student = {"family": EDITED, "keep": [0] * 4, "ratio": [0.125] * 12}
    spec = made_spec(student, INHERIT, FOREIGN, shape)
    reports, network = train_to_end(spec, around)
    assert len(reports) == 1 and network.get_submodule("stem.0").weight.shape[0] == 8  # pyright: ignore
    assert record.weights == weights


def test_without_a_teacher_there_is_nothing_to_inherit(around: Surroundings) -> None:
    spec = made_spec(start=INHERIT)
    with pytest.raises(UserError, match=r"^teacher: the losses need a teacher"):
        next(run_trial(spec, Surroundings(around.data)))
