"""What holds for every row of LOSSES in a training of its own, on the digits."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from kdsearch.config import DataConfig, Plan, TrialSpec, validate
from kdsearch.data import load_data
from kdsearch.losses import LOSSES
from kdsearch.students import describe
from kdsearch.teachers import TeacherRecord, weights_to_bytes
from kdsearch.trial import Surroundings, train_to_end
from tests.cases import LOSS_CASES

EPOCHS = 4
TEACHER = {"family": "resnet", "blocks": [1, 1, 1], "widths": [8, 16, 16]}
STUDENTS: dict[str, dict[str, Any]] = {
    "resnet": {"family": "resnet", "blocks": [1, 1, 1], "widths": [4, 6, 8]},
    "mobilenet": {"family": "mobilenet", "blocks": [1, 1], "widths": [6, 8], "stem": 4},
}
DATA = DataConfig(name="digits", images=240, batch_size=32)


def spec(student: dict[str, Any], losses: list[dict[str, Any]], **training: Any) -> TrialSpec:
    plan = validate(
        Plan,
        {
            "data": DATA.model_dump(),
            "student": student,
            "losses": losses,
            "training": {"epochs": EPOCHS, "lr": 0.03, "lr_schedule": "cosine", **training},
        },
    )
    return TrialSpec(plan=plan, architecture=describe(student, (1, 8, 8), 10).to_json())


@pytest.fixture(scope="module")
def around() -> Surroundings:
    data = load_data(DATA)
    taught = spec(TEACHER, [], epochs=12)
    _, module = train_to_end(taught, Surroundings(data))
    record = TeacherRecord("t", taught.architecture, weights_to_bytes(module), None, 0.5, 1.0)
    return Surroundings(data, record)


def term_of(method: str) -> dict[str, Any]:
    """The case's term, weighed by itself, and pre-trained where that is possible."""
    term = {**LOSS_CASES[method].term, "weight": "auto"}
    names = inspect.signature(LOSSES[method]).parameters
    if "pretrain_epochs" in names:
        term["pretrain_epochs"] = 1
    if "joint" in names:
        term["joint"] = True
    if method == "noisy":
        term["sigma"] = 0.05  # the noise itself does not shrink
    return term


@pytest.mark.parametrize("student", STUDENTS)
@pytest.mark.parametrize("method", LOSSES)
def test_the_loss_falls_on_real_data(method: str, student: str, around: Surroundings) -> None:
    reports, module = train_to_end(spec(STUDENTS[student], [term_of(method)]), around)
    assert [r.epoch for r in reports] == list(range(1, EPOCHS + 1))
    own = [r.terms[method] for r in reports if r.stage is None]
    assert own[-1] < own[0]
    assert all(r.weights[method] > 0 for r in reports if r.stage is None)
    assert all(p.isfinite().all() for p in module.parameters())


def test_every_loss_can_stand_beside_another(around: Surroundings) -> None:
    """All at once: names of columns, stages and taps do not get into each other's way."""
    terms = [{**term_of(method), "scale": 0.05} for method in LOSSES]
    staged = sum("pretrain_epochs" in term for term in terms)
    reports, _ = train_to_end(spec(STUDENTS["resnet"], terms, epochs=staged + 1), around)
    assert [r.stage is not None for r in reports] == [True] * staged + [False]
    assert list(reports[-1].terms) == ["label", *LOSSES]
