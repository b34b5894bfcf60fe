"""Trials that begin with their teacher: what the spec decides, what learns, what it is worth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from kdsearch.config import Plan, TrialSpec, validate
from kdsearch.data import Batches, ImageData, load_data
from kdsearch.errors import UserError
from kdsearch.students import describe
from kdsearch.teachers import TeacherRecord, compute_logits, weights_to_bytes
from kdsearch.trial import Surroundings, run_trial, train_to_end
from tests.reports import told

TEACHER = {"family": "resnet", "blocks": [3, 2], "widths": [6, 12]}
STUDENT = {**TEACHER, "blocks": [2, 2]}
KD = {"method": "kd", "weight": 0.9}
FITNET = {"method": "fitnet", "weight": 1.0}


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def around() -> Surroundings:
    """Digits, and a teacher that has learned them by labels for eight epochs."""
    data: ImageData = load_data(made_spec(TEACHER).plan.data)
    spec = made_spec(TEACHER, epochs=8)
    _, network = train_to_end(spec, Surroundings(data))
    logits = compute_logits(network, Batches(data, 100).evaluation("train")).numpy()
    record = TeacherRecord("t", spec.architecture, weights_to_bytes(network), logits, 0.5, 1.0)
    return Surroundings(data, record)


def made_spec(
    student: dict[str, Any] = STUDENT, start: Any = None, losses: Any = (), **training: Any
) -> TrialSpec:
    raw = {
        "data": {"name": "digits", "images": 500, "batch_size": 32},
        "teacher": {"architecture": TEACHER},
        "student": student,
        "losses": list(losses),
        "training": {"epochs": 1, "lr": 0.05, **training},
    }
    if start is not None:
        raw["start"] = start
    architecture = describe(student, (1, 8, 8), 10).to_json()
    return TrialSpec(plan=validate(Plan, raw), architecture=architecture)


@pytest.mark.parametrize("losses", [[], [KD], [KD, FITNET]])
@pytest.mark.parametrize("similarity", ["cka", "wasserstein"])
def test_the_spec_decides_a_fused_trial(around: Surroundings, losses: Any, similarity: str) -> None:
    spec = made_spec(start={"name": "fuse", "similarity": similarity}, losses=losses, epochs=2)
    first, _ = train_to_end(spec, around)
    torch.manual_seed(99)  # whatever happened in between
    again, _ = train_to_end(TrialSpec.model_validate_json(spec.model_dump_json()), around)
    assert told(first) == told(again)


def test_absent_it_is_from_scratch(around: Surroundings) -> None:
    absent, written = (
        train_to_end(made_spec(start=s), around) for s in (None, {"name": "scratch"})
    )
    assert told(absent[0]) == told(written[0])
    assert made_spec().plan == made_spec(start={"name": "scratch"}).plan
    old = made_spec().model_dump(mode="json")
    del old["plan"]["start"]  # a row of before there were starts
    assert TrialSpec.model_validate(old) == made_spec()


@pytest.mark.parametrize("losses", [[KD], [KD, FITNET]])
def test_frozen_weights_stay_while_all_others_learn(around: Surroundings, losses: Any) -> None:
    start = {"name": "fuse", "merge": "freeze"}
    _, student = train_to_end(made_spec(start=start, losses=losses, epochs=2), around)
    _, begun = train_to_end(made_spec(start=start, losses=losses, lr=1e-30), around)
    merged = {n for n, _ in student.named_parameters() if n.startswith("stages.0.1.")}
    before = dict(begun.named_parameters())
    same = {n for n, p in student.named_parameters() if torch.equal(p, before[n])}
    assert same == merged
    _, free = train_to_end(made_spec(start={"name": "fuse"}, losses=losses, epochs=2), around)
    own = dict(free.named_parameters())
    assert not any(torch.equal(own[name], before[name]) for name in merged)


def test_a_fused_student_is_ahead_of_one_from_scratch(around: Surroundings) -> None:
    fused, scratch = (
        train_to_end(made_spec(start=s, losses=[KD]), around)[0][-1].validation_accuracy
        for s in ({"name": "fuse"}, None)
    )
    assert fused > 0.6 and fused > scratch + 0.2  # of ten classes, after one epoch


def test_the_teacher_is_left_as_it_was(around: Surroundings) -> None:
    assert around.teacher is not None
    before = bytes(around.teacher.weights)
    train_to_end(made_spec(start={"name": "fuse"}), around)
    assert around.teacher.weights == before


def test_without_a_teacher_there_is_nothing_to_fuse(around: Surroundings) -> None:
    with pytest.raises(UserError, match=r"^teacher: the start, fuse, needs a teacher"):
        next(run_trial(made_spec(start={"name": "fuse"}), Surroundings(around.data)))
